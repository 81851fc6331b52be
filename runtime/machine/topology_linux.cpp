// SPDX-License-Identifier: BSL-1.0
// What cores there are for us: affinity mask, cgroup quota.
#include <cerrno>
#include <memory>

#include <sched.h>

#include "machine/cgroup.hpp"
#include "machine/machine.hpp"

namespace paceline::core::machine {

std::vector<int> usable_cpus() {
  // The kernel refuses masks shorter than its own, so grow until it is content (more than 1,024
  // CPUs are real).
  for (std::size_t cpus = 1024; cpus <= 1024 * 1024; cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(cpus),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(bytes, set.get());
    if (::sched_getaffinity(0, bytes, set.get()) != 0) {
      if (errno == EINVAL) continue;
      break;
    }
    std::vector<int> found;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set.get())) found.push_back(static_cast<int>(cpu));
    }
    if (!found.empty()) return found;
    break;
  }
  return {0};
}

std::optional<double> cpu_quota() {
  return cgroup::cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
}

}  // namespace paceline::core::machine
