// SPDX-License-Identifier: BSL-1.0
// Proves what the runtime believes about cores: numbers from the affinity mask, a quota that is
// none or positive, and binding that works or says why not.
#include <algorithm>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include <sched.h>

#include "machine/machine.hpp"
#include "support/catch.hpp"

using namespace paceline::core;

namespace {

/// On a thread of its own, whose binding ends with it.
template <class Body>
void on_own_thread(Body&& body) {
  std::thread thread(std::forward<Body>(body));
  thread.join();
}

}  // namespace

TEST_CASE("usable cores are those of the affinity mask, ascending") {
  const std::vector<int> cpus = machine::usable_cpus();
  REQUIRE_FALSE(cpus.empty());
  REQUIRE(std::is_sorted(cpus.begin(), cpus.end()));
  REQUIRE(std::set<int>(cpus.begin(), cpus.end()).size() == cpus.size());
  cpu_set_t mask;
  REQUIRE(::sched_getaffinity(0, sizeof mask, &mask) == 0);
  REQUIRE(cpus.size() == static_cast<std::size_t>(CPU_COUNT(&mask)));
  for (const int cpu : cpus) REQUIRE(CPU_ISSET(cpu, &mask));
}

TEST_CASE("a thread bound to one core sees one usable core") {
  for (const int cpu : machine::usable_cpus()) {
    int error = -1;
    std::vector<int> usable;
    on_own_thread([&] {
      error = machine::pin_this_thread(cpu);
      usable = machine::usable_cpus();
    });
    REQUIRE(error == 0);
    REQUIRE(usable == std::vector<int>{cpu});
  }
}

TEST_CASE("binding to a core that does not exist says so and changes nothing") {
  const std::vector<int> before = machine::usable_cpus();
  int error = 0;
  std::vector<int> after;
  on_own_thread([&] {
    error = machine::pin_this_thread(50'000);
    after = machine::usable_cpus();
  });
  REQUIRE(error == EINVAL);
  REQUIRE(after == before);
}

TEST_CASE("the cgroup grants nothing in particular or a positive share") {
  const auto quota = machine::cpu_quota();
  if (quota) REQUIRE(*quota > 0);
  REQUIRE(machine::cpu_quota() == quota);
}
