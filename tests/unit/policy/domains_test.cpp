// SPDX-License-Identifier: BSL-1.0
// Proves that domains nest, that their groups partition them, and that they stay small.
#include "policy/domains.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/domain_checks.hpp"
#include "support/policy_machine.hpp"

using namespace paceline::core::policy;
using paceline_test::alike;
using paceline_test::ClusterSpec;
using paceline_test::PolicyMachine;

namespace {

struct Named {
  std::string name;
  std::vector<ClusterSpec> clusters;
};

/// The shapes of policies.md appendix A, as clusters of (last-level cache, kind).
std::vector<Named> machines() {
  std::vector<Named> all{
      {"one core", {{}}},
      {"two threads", {{.smt = 2}}},
      {"one P with 4 E", {{1, 450, 0, 0, 4, 1}, {0, 1024, 0, 0, 1, 1}}},
      {"6 P with SMT, 8 E", {{0, 1024, 0, 0, 6, 2}, {1, 600, 0, 0, 8, 1}}},
      {"2 P with SMT, 8 E, 2 low-power E",
       {{0, 1024, 0, 0, 2, 2}, {1, 620, 0, 0, 8, 1}, {2, 380, 0, 1, 2, 1}}},
      {"4 fast, 8 dense, SMT everywhere", {{0, 1024, 0, 0, 4, 2}, {1, 800, 0, 0, 8, 2}}},
      {"two caches with both kinds",
       {{0, 1024, 0, 0, 5, 1}, {1, 718, 0, 0, 5, 1}, {0, 1024, 0, 1, 5, 1}, {1, 718, 0, 1, 5, 1}}},
      {"2 x 20 x 2", alike(2, 20, 2, 1)},
      {"24 caches of 8, SMT", alike(24, 8, 2, 12)},
      {"16 caches of 8", alike(16, 8, 1, 8)},
      {"12 packages", alike(12, 8, 2, 1)},
      {"64 cores of 4 threads", alike(1, 64, 4, 1)},
      {"32 clusters of 4 in 4 nodes", alike(32, 4, 1, 8)},
      {"64 nodes", alike(64, 2, 2, 1)},
      {"caches missing on one node", {{.cores = 1}, {.cores = 3}, {.node = 1, .cores = 4}}},
      {"nodes whose clusters are scattered",
       {{.node = 3, .cores = 2}, {.node = 1, .cores = 2}, {.node = 3, .cores = 2}, {.node = 1}}},
      {"a core with SMT beside one without", {{.cores = 1, .smt = 2}, {.cores = 1}}},
  };
  return all;
}

std::vector<DomainLevel> chain_of(const Domains& domains, std::uint32_t core) {
  std::vector<DomainLevel> levels;
  for (std::uint32_t d = domains.place(core).innermost; d != kNoDomain; d = domains.at(d).parent) {
    levels.push_back(domains.at(d).level);
  }
  return levels;
}

}  // namespace

TEST_CASE("statement 51: spans nest, groups partition, the local group is first, levels fold") {
  for (const Named& machine : machines()) {
    INFO(machine.name);
    const PolicyMachine fixture(machine.clusters);
    const Domains domains(fixture.view());
    REQUIRE(domains.cores() == fixture.cores());
    paceline_test::check_domains(domains);
  }
}

TEST_CASE("a machine gets the levels that it has and no others") {
  using enum DomainLevel;
  using Levels = std::vector<DomainLevel>;
  const auto levels = [](const std::vector<ClusterSpec>& clusters, std::uint32_t core) {
    return chain_of(Domains(PolicyMachine(clusters).view()), core);
  };
  CHECK(levels({{}}, 0).empty());
  CHECK(levels({{.smt = 2}}, 1) == Levels{smt});
  CHECK(levels(alike(2, 20, 2, 1), 0) == Levels{smt, mc, sys});
  CHECK(levels(alike(24, 8, 2, 12), 0) == Levels{smt, mc, numa, sys});
  CHECK(levels(alike(1, 64, 4, 1), 63) == Levels{smt, mc});
  CHECK(levels({{0, 1024, 0, 0, 4, 1}, {1, 400, 0, 0, 4, 1}}, 5) == Levels{mc, numa});
  // One node has a single cluster, the other two: the chains differ.
  const std::vector<ClusterSpec> uneven{
      {.cores = 4}, {.node = 1, .cores = 2}, {.node = 1, .cores = 2}};
  CHECK(levels(uneven, 0) == Levels{mc, sys});
  CHECK(levels(uneven, 4) == Levels{mc, numa, sys});
}

TEST_CASE("moves cost 1, 10, 100 and 1000 by the nearest common level") {
  const PolicyMachine fixture(alike(4, 2, 2, 2));
  const Domains domains(fixture.view());
  CHECK(move_cost(domains.level_between(0, 2)) == 1);     // siblings
  CHECK(move_cost(domains.level_between(0, 1)) == 10);    // one cluster
  CHECK(move_cost(domains.level_between(0, 4)) == 100);   // one node
  CHECK(move_cost(domains.level_between(0, 8)) == 1000);  // another node
  CHECK(domains.level_between(8, 0) == domains.level_between(0, 8));
}

TEST_CASE("flags say who shares what and where kinds of cores meet") {
  const PolicyMachine fixture({{0, 1024, 0, 0, 2, 2}, {1, 400, 0, 0, 4, 1}});
  const Domains domains(fixture.view());
  for (const Domain& domain : domains.all()) {
    const bool whole = domain.count == domains.cores();
    CHECK(((domain.flags & kDomainAsymmetric) != 0) == whole);
    CHECK(((domain.flags & kDomainSharesCapacity) != 0) == (domain.level == DomainLevel::smt));
    CHECK(((domain.flags & kDomainSharesCache) != 0) == (domain.level <= DomainLevel::mc));
  }
}

TEST_CASE("four thousand cores need memory for each core, not for each pair") {
  const auto bytes = [](std::uint16_t clusters) {
    const PolicyMachine fixture(alike(clusters, 4, 2, 8));
    const Domains domains(fixture.view());
    CHECK(domains.all().size() < domains.cores());
    return domains.bytes() / domains.cores();
  };
  const std::size_t small = bytes(8);    // 64 cores
  const std::size_t large = bytes(512);  // 4096 cores
  CHECK(large <= small + small / 10);
  CHECK(large < 128);
  // One span of 4096 cores without any structure.
  const PolicyMachine flat(alike(1, 4096, 1, 1));
  CHECK(Domains(flat.view()).bytes() < 4096 * 128);
}

TEST_CASE("a machine view that contradicts itself is refused with its fault and place") {
  const auto fault = [](auto change) {
    PolicyMachine fixture(alike(2, 2, 2, 1));
    change(fixture);
    const MachineVerdict verdict = judge_machine(fixture.view());
    if (verdict.fault == MachineFault::none) {
      CHECK_NOTHROW(Domains(fixture.view()));
    } else {
      CHECK_THROWS_AS(Domains(fixture.view()), std::invalid_argument);
      CHECK_FALSE(to_string(verdict.fault).empty());
    }
    return verdict.fault;
  };
  using M = PolicyMachine;
  using F = MachineFault;
  CHECK(fault([](M&) {}) == F::none);
  CHECK(fault([](M& m) { m.cores_.clear(); }) == F::no_cores);
  CHECK(fault([](M& m) { m.clusters_.clear(); }) == F::scattered_cluster);
  CHECK(fault([](M& m) { m.cores_.resize(70000, m.cores_[0]); }) == F::too_many_cores);
  CHECK(fault([](M& m) { m.clusters_[1].count = 0; }) == F::empty_cluster);
  CHECK(fault([](M& m) { m.clusters_[1].count = 60000; }) == F::scattered_cluster);
  CHECK(fault([](M& m) { m.clusters_[1].count = 3; }) == F::scattered_cluster);
  CHECK(fault([](M& m) { m.clusters_[1].first = 2; }) == F::scattered_cluster);
  CHECK(fault([](M& m) { m.cores_[1].cluster = 7; }) == F::scattered_cluster);
  CHECK(fault([](M& m) { m.clusters_[0].capacity = 0; }) == F::bad_capacity);
  CHECK(fault([](M& m) { m.clusters_[0].capacity = 1025; }) == F::bad_capacity);
  CHECK(fault([](M& m) { m.cores_[2].sibling = 3; }) == F::bad_sibling);
  CHECK(fault([](M& m) { m.cores_[4].sibling = 0; }) == F::bad_sibling);
  CHECK(fault([](M& m) { m.cores_[0].sibling = 1; }) == F::bad_sibling);
}
