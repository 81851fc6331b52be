// SPDX-License-Identifier: BSL-1.0
// Proves the set of cores: never empty, without doubles, of clusters, kinds and nodes; and what
// this machine says of itself.
#include <cstdlib>
#include <stdexcept>

#include "machine/machine.hpp"
#include "machine/topology_data.hpp"
#include "sched/machine_data.hpp"
#include "unit/topology/whole.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

using Cores = std::vector<std::size_t>;

Cores cores_of(const affinity& set) { return {set.cores().begin(), set.cores().end()}; }

}  // namespace

TEST_CASE("a set of cores is ascending and without doubles") {
  const affinity set{5, 1, 5, 3, 1};
  CHECK(cores_of(set) == Cores{1, 3, 5});
  CHECK(set.contains(3));
  CHECK_FALSE(set.contains(2));
  CHECK(set == affinity{3, 5, 1});
}

TEST_CASE("statement 55: an empty or disjoint set of cores is refused and changes nothing") {
  CHECK_THROWS_AS(affinity(std::span<const std::size_t>()), std::invalid_argument);
  CHECK_THROWS_AS(affinity({}), std::invalid_argument);
  CHECK_THROWS_AS((affinity{1, std::size_t{1} << 40}), std::invalid_argument);
  const affinity low{0, 1}, high{2, 3};
  CHECK_THROWS_AS(low & high, std::invalid_argument);
  CHECK(cores_of(low) == Cores{0, 1});
  CHECK(cores_of(high) == Cores{2, 3});
  CHECK(cores_of((low & affinity{1, 2})) == Cores{1});
}

TEST_CASE("the cores of a cluster, of a kind and of a node are sets") {
  const topology machine = topology::synthetic("2x(2P+2*1E)");
  CHECK(cores_of(affinity::of_cluster(machine, 0)) == Cores{0, 1});
  CHECK(cores_of(affinity::of_cluster(machine, 2)) == Cores{3});
  CHECK(cores_of(affinity::of_kind(machine, 0)) == Cores{0, 1, 4, 5});
  CHECK(cores_of(affinity::of_kind(machine, 1)) == Cores{2, 3, 6, 7});
  CHECK(cores_of(affinity::of_node(machine, 1)) == Cores{4, 5, 6, 7});
  CHECK_THROWS_AS(affinity::of_cluster(machine, 6), std::out_of_range);
  CHECK_THROWS_AS(affinity::of_kind(machine, 2), std::out_of_range);
  CHECK_THROWS_AS(affinity::of_node(machine, 2), std::out_of_range);
}

TEST_CASE("this machine has the cores that the affinity mask allows") {
  const topology machine = topology::detect();
  expect_whole(machine);
  REQUIRE(machine.is_this_machine());
  std::vector<int> cpus;
  for (const auto& core : machine.cores()) cpus.push_back(static_cast<int>(core.cpu));
  std::sort(cpus.begin(), cpus.end());
  CHECK(cpus == core::machine::usable_cpus());
  CHECK(machine.description() == "this machine");
}

TEST_CASE("kinds that the user names for this machine are believed before all others") {
  const auto usable = core::machine::usable_cpus();
  const std::string first = std::to_string(usable.front());
  ::setenv("PACELINE_KINDS", (first + "=300").c_str(), 1);
  const topology machine = topology::detect();
  ::setenv("PACELINE_KINDS", "nonsense", 1);
  CHECK_THROWS_AS(topology::detect(), std::invalid_argument);
  ::unsetenv("PACELINE_KINDS");
  CHECK(machine.kinds_from() == topology::origin::configured);
  expect_whole(machine);
  if (usable.size() > 1) {
    REQUIRE(machine.kinds().size() == 2);
    CHECK(machine.kinds()[0].capacity == 1024);
    CHECK(machine.kinds()[1].capacity == 300);
    CHECK(machine.kinds()[1].cores == 1);
  }
}

TEST_CASE("CPUs that the library does not know are cores far from all others") {
  using namespace paceline::core::machine;
  Sketch sketch = sketch_from_text("4P+4E");
  restrict_to(sketch, {1, 4, 5, 70, 5000});
  const topology machine = assemble(sketch);
  expect_whole(machine);
  REQUIRE(machine.cores().size() == 5);
  CHECK(machine.forbidden_cpus().size() == 5);
  CHECK(machine.cores()[3].cpu == 70);
  CHECK(machine.cores()[4].cpu == 5000);
  CHECK(machine.distance(0, 3) == 4);
  CHECK(machine.clusters().size() == 3);
}

TEST_CASE("where detection fails all cores are alike") {
  const topology machine = core::machine::homogeneous({3, 5, 900});
  expect_whole(machine);
  CHECK(machine.is_this_machine());
  CHECK(machine.clusters().size() == 1);
  CHECK(machine.kinds().size() == 1);
  CHECK(machine.kinds_from() == topology::origin::none);
  CHECK(machine.cores()[2].cpu == 900);
  CHECK_THROWS_AS(core::machine::homogeneous({}), std::invalid_argument);
}

TEST_CASE("policies get the same machine as plain data") {
  const topology machine = topology::from_xml(fixture("6p-8e-smt"));
  const core::MachineData data(machine);
  const auto view = data.view();
  REQUIRE(view.cores.size() == 20);
  REQUIRE(view.clusters.size() == 2);
  CHECK(view.clusters[0].rank == 0);
  CHECK(view.clusters[1].rank == 1);
  CHECK(view.clusters[1].capacity == machine.kinds()[1].capacity);
  CHECK(view.clusters[1].first == 12);
  CHECK(view.clusters[1].count == 8);
  CHECK(view.cores[1].sibling == 0);
  CHECK(view.cores[13].cpu == 13);
  CHECK(view.cores[13].cluster == 1);
}
