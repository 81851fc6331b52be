// SPDX-License-Identifier: BSL-1.0
// Proves what is understood of each machine of tests/topology (statement 70): clusters, kinds,
// capacities, threads, nodes, what is switched off and what is forbidden.
#include <algorithm>
#include <stdexcept>

#include "unit/topology/whole.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

topology load(const std::string& name) {
  topology machine = topology::from_xml(fixture(name));
  expect_whole(machine);
  CHECK_FALSE(machine.is_this_machine());
  CHECK(machine.description() == fixture(name));
  return machine;
}

/// "P12 E4": cores of each kind, fastest first.
std::string kinds_of(const topology& machine) {
  std::string text;
  for (const auto& kind : machine.kinds()) {
    if (!text.empty()) text += ' ';
    text += kind.name;
    text += std::to_string(kind.cores);
  }
  return text;
}

/// "E4 P6 P6": cores of each cluster with the name of its kind.
std::string clusters_of(const topology& machine) {
  std::string text;
  for (const auto& cluster : machine.clusters()) {
    if (!text.empty()) text += ' ';
    text += machine.kinds()[cluster.kind].name;
    text += std::to_string(cluster.count);
  }
  return text;
}

std::vector<unsigned> capacities_of(const topology& machine) {
  std::vector<unsigned> capacities;
  for (const auto& kind : machine.kinds()) capacities.push_back(kind.capacity);
  return capacities;
}

std::vector<unsigned> cpus_of(const topology& machine, std::size_t cluster) {
  const auto& c = machine.clusters()[cluster];
  std::vector<unsigned> cpus;
  for (const auto& core : machine.cores().subspan(c.first, c.count)) cpus.push_back(core.cpu);
  return cpus;
}

std::size_t threads_of(const topology& machine, std::size_t core) {
  std::size_t threads = 0;
  for (const auto& other : machine.cores()) {
    threads += other.sibling == machine.cores()[core].sibling ? 1 : 0;
  }
  return threads;
}

using Capacities = std::vector<unsigned>;
using Cpus = std::vector<unsigned>;

}  // namespace

TEST_CASE("statement 70: 12P+4E is three clusters of two kinds, the slow one numbered first") {
  const topology machine = load("m4-pro-12p-4e");
  CHECK(kinds_of(machine) == "P12 E4");
  CHECK(clusters_of(machine) == "E4 P6 P6");
  CHECK(capacities_of(machine) == Capacities{1024, 568});
  CHECK(machine.kinds()[1].capacity_from == topology::origin::clock);
  CHECK(machine.kinds_from() == topology::origin::library);
  CHECK(machine.distance(0, 3) == 3);
  CHECK(machine.distance(4, 10) == 4);
}

TEST_CASE("statement 70: 2+4+2+2 is four kinds though two of them are one design") {
  const topology machine = load("o1-2-4-2-2");
  CHECK(kinds_of(machine) == "P2 M4 M22 E2");  // names: P, M, M2, E
  CHECK(machine.kinds()[2].name == "M2");
  CHECK(clusters_of(machine) == "E2 M22 M4 P2");
  CHECK(capacities_of(machine) == Capacities{1024, 760, 420, 230});
  CHECK(machine.kinds()[3].rank == 3);
}

TEST_CASE("statement 70: 6P+8E has threads on P only, and favoured cores are no kind") {
  const topology machine = load("6p-8e-smt");
  CHECK(kinds_of(machine) == "P12 E8");
  CHECK(clusters_of(machine) == "P12 E8");
  CHECK(threads_of(machine, 0) == 2);
  CHECK(threads_of(machine, 12) == 1);
  CHECK(machine.distance(0, 1) == 1);
  CHECK(machine.distance(0, 2) == 3);
  CHECK(machine.distance(12, 13) == 2);  // one module
  CHECK(machine.distance(12, 16) == 3);
  CHECK(machine.distance(0, 12) == 3);
  CHECK(capacities_of(machine) == Capacities{1024, 757});  // 3700 of 5000: the least of the group
}

TEST_CASE("statement 70: three types are three kinds, ranked by type and clock") {
  const topology machine = load("three-types");
  CHECK(kinds_of(machine) == "P4 M8 E2");
  CHECK(clusters_of(machine) == "P4 M8 E2");
  CHECK(machine.distance(0, 12) == 4);
}

TEST_CASE("statement 70: interleaved numbers fall into the cluster of their cache and kind") {
  const topology machine = load("interleaved");
  CHECK(kinds_of(machine) == "P8 E16");
  CHECK(cpus_of(machine, 0) == Cpus{0, 1, 2, 3, 12, 13, 14, 15});
  CHECK(machine.distance(0, 4) == 1);  // CPUs 0 and 12
}

TEST_CASE("statement 70: 2 x 20 x 2 is two clusters on two nodes, siblings far apart in number") {
  const topology machine = load("2x20x2");
  CHECK(machine.cores().size() == 80);
  CHECK(clusters_of(machine) == "P40 P40");
  CHECK(machine.nodes().size() == 2);
  CHECK(machine.nodes()[1].bytes == std::uint64_t{8192} << 20);
  CHECK(machine.cores()[20].cpu == 40);
  CHECK(machine.cores()[20].sibling == 0);
  CHECK(machine.distance(0, 20) == 1);
  CHECK(machine.distance(0, 1) == 3);
  CHECK(machine.distance(0, 40) == 5);
  CHECK(machine.clusters()[1].die == 1);
}

TEST_CASE("statement 70: 24 caches of 8 are 24 clusters on two nodes") {
  const topology machine = load("24-caches-of-8");
  CHECK(machine.clusters().size() == 24);
  for (const auto& cluster : machine.clusters()) CHECK(cluster.count == 8);
  CHECK(machine.kinds().size() == 1);
  CHECK(machine.kinds()[0].capacity == 1024);
  CHECK(machine.distance(0, 7) == 3);
  CHECK(machine.distance(0, 8) == 4);
  CHECK(machine.distance(0, 96) == 5);
}

TEST_CASE("statement 70: one big core and four little ones, the big one with the highest number") {
  const topology machine = load("1-big-4-little");
  CHECK(kinds_of(machine) == "P1 E4");
  CHECK(cpus_of(machine, 1) == Cpus{4});
  CHECK(machine.kinds()[machine.clusters()[1].kind].rank == 0);
}

TEST_CASE("statement 70: capacities that differ by jitter are one kind of the least of them") {
  const topology machine = load("capacity-jitter");
  CHECK(kinds_of(machine) == "P10 E10");
  CHECK(capacities_of(machine) == Capacities{997, 718});
  CHECK(clusters_of(machine) == "E5 P5 E5 P5");  // both kinds under each cache
  CHECK(machine.kinds()[1].capacity_from == topology::origin::library);
}

TEST_CASE("statement 70: without model numbers each capacity is believed as it stands") {
  const topology machine = load("capacity-jitter-no-model");
  CHECK(capacities_of(machine) == Capacities{1024, 1017, 997, 731, 718});
  CHECK(machine.clusters().size() == 5);
}

TEST_CASE("statement 70: kinds of equal efficiency are told apart and not ranked") {
  const topology machine = load("unranked");
  CHECK(machine.kinds().size() == 3);
  for (const auto& kind : machine.kinds()) {
    CHECK(kind.rank == 0);
    CHECK(kind.capacity == 1024);
    CHECK(kind.capacity_from == topology::origin::assumed);
  }
}

TEST_CASE("statement 70: CPUs that are switched off are listed and get no core") {
  const topology machine = load("offline");
  CHECK(machine.cores().size() == 5);
  CHECK(cpus_of(machine, 0) == Cpus{1, 2});
  CHECK(cpus_of(machine, 1) == Cpus{4, 5, 7});
  CHECK(Cpus(machine.offline_cpus().begin(), machine.offline_cpus().end()) == Cpus{0, 3, 6});
  CHECK(machine.forbidden_cpus().empty());
  CHECK(machine.nodes()[0].number == 2);
  CHECK(machine.nodes()[1].number == 5);
}

TEST_CASE("statement 70: sparse numbers become dense cores and stay what they are") {
  const topology machine = load("sparse");
  CHECK(cpus_of(machine, 0) == Cpus{1, 33, 65, 700});
  CHECK(cpus_of(machine, 1) == Cpus{9, 129, 1023});
  CHECK(machine.distance(0, 2) == 1);  // CPUs 1 and 65
  CHECK(machine.distance(0, 1) == 3);
}

TEST_CASE("statement 70: what the cgroup does not grant is forbidden, not forgotten") {
  const topology machine = load("cgroup");
  CHECK(cpus_of(machine, 0) == Cpus{2, 3});
  CHECK(cpus_of(machine, 1) == Cpus{4, 5});
  CHECK(Cpus(machine.forbidden_cpus().begin(), machine.forbidden_cpus().end()) == Cpus{0, 1, 6, 7});
  CHECK(machine.offline_cpus().empty());
}

TEST_CASE("memory farther away is farther in steps") {
  const topology machine = load("ring-of-4-nodes");
  CHECK(machine.distance(0, 2) == 5);
  CHECK(machine.distance(0, 4) == 6);
  CHECK(machine.distance(0, 6) == 5);
}

TEST_CASE("cores with missing caches keep to themselves") {
  const topology machine = load("irregular-caches");
  CHECK(clusters_of(machine) == "P1 P1 P2");
  CHECK(machine.distance(2, 3) == 3);
  CHECK(machine.distance(0, 1) == 4);
}

TEST_CASE("a machine may have one processor") {
  const topology machine = load("1-processor");
  CHECK(machine.cores().size() == 1);
  CHECK(machine.clusters().size() == 1);
  CHECK(machine.distance(0, 0) == 0);
  CHECK_THROWS_AS(machine.distance(0, 1), std::out_of_range);
}

TEST_CASE("every fixture prints as a table that names each cluster and as a whole picture") {
  for (const char* name : {"m4-pro-12p-4e", "6p-8e-smt", "2x20x2", "24-caches-of-8", "offline"}) {
    const topology machine = load(name);
    const std::string table = machine.to_table();
    CHECK(std::count(table.begin(), table.end(), '\n') >=
          static_cast<long>(machine.clusters().size() + machine.kinds().size()));
    const std::string svg = machine.to_svg();
    CHECK(svg.rfind("<svg", 0) == 0);
    CHECK(svg.substr(svg.size() - 7) == "</svg>\n");
    for (const auto& core : machine.cores()) {
      std::string label = std::to_string(core.cpu);
      label.append("</text>");
      CHECK(svg.find(label) != std::string::npos);
    }
  }
}
