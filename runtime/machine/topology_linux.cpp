// SPDX-License-Identifier: BSL-1.0
// What cores there are for us: affinity mask, cgroup quota, distances from hwloc.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <memory>

#include <hwloc.h>
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

namespace {

using Topology =
    std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, void (*)(hwloc_topology_t)>;

Topology load_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return {nullptr, hwloc_topology_destroy};
  Topology topology(raw, hwloc_topology_destroy);
  if (hwloc_topology_load(raw) != 0) return {nullptr, hwloc_topology_destroy};
  return topology;
}

}  // namespace

std::vector<std::vector<unsigned>> cpu_distances(const std::vector<int>& cpus) {
  std::vector<std::vector<unsigned>> distance(cpus.size(), std::vector<unsigned>(cpus.size(), 0));
  // Loading takes milliseconds and the machine does not change under us: once per process.
  static const Topology topology = load_topology();
  if (!topology) return distance;
  std::vector<hwloc_obj_t> objects;
  objects.reserve(cpus.size());
  for (int cpu : cpus) {
    objects.push_back(hwloc_get_pu_obj_by_os_index(topology.get(), static_cast<unsigned>(cpu)));
  }
  const int depth = hwloc_topology_get_depth(topology.get());
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    for (std::size_t j = 0; j < cpus.size(); ++j) {
      if (i == j || objects[i] == nullptr || objects[j] == nullptr) continue;
      const hwloc_obj_t common =
          hwloc_get_common_ancestor_obj(topology.get(), objects[i], objects[j]);
      // The deeper the common ancestor, the nearer the two.
      distance[i][j] = static_cast<unsigned>(std::max(1, depth - common->depth));
    }
  }
  return distance;
}

}  // namespace paceline::core::machine
