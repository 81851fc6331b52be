// SPDX-License-Identifier: BSL-1.0
// Proves that the domains of each described machine of tests/topology nest and partition it.
#include "policy/domains.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "sched/machine_data.hpp"
#include "support/domain_checks.hpp"
#include "unit/topology/whole.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

std::vector<core::policy::DomainLevel> levels_of(const std::string& name) {
  const topology machine = topology::from_xml(fixture(name));
  const core::MachineData data(machine);
  const core::policy::Domains domains(data.view());
  std::vector<core::policy::DomainLevel> levels;
  for (std::uint32_t d = domains.place(0).innermost; d != core::policy::kNoDomain;
       d = domains.at(d).parent) {
    levels.push_back(domains.at(d).level);
  }
  return levels;
}

}  // namespace

TEST_CASE("statement 51: the domains of every described machine nest, partition it and fold") {
  std::size_t machines = 0;
  const std::filesystem::path folder = std::filesystem::path(fixture("x")).parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".xml") continue;
    ++machines;
    INFO(entry.path());
    const topology machine = topology::from_xml(entry.path().string());
    const core::MachineData data(machine);
    if (entry.path().stem() == "split-core") {
      // A core with threads of two kinds is no machine: whoever asks takes all cores as alike.
      CHECK_THROWS_AS(core::policy::Domains(data.view()), std::invalid_argument);
      continue;
    }
    const core::policy::Domains domains(data.view());
    CHECK(domains.cores() == machine.cores().size());
    check_domains(domains);
  }
  CHECK(machines >= 18);
}

TEST_CASE("statement 51: described machines have the levels that their caches and nodes make") {
  using enum core::policy::DomainLevel;
  using Levels = std::vector<core::policy::DomainLevel>;
  CHECK(levels_of("1-processor").empty());
  CHECK(levels_of("2x20x2") == Levels{smt, mc, sys});
  CHECK(levels_of("24-caches-of-8") == Levels{mc, numa, sys});
  CHECK(levels_of("ring-of-4-nodes") == Levels{mc, sys});
}
