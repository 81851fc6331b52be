// SPDX-License-Identifier: BSL-1.0
// What holds of every topology, whatever it was made from.
#pragma once

#include <set>
#include <string>

#include <paceline/topology.hpp>

#include "support/catch.hpp"

namespace paceline_test {

inline std::string fixture(const std::string& name) {
  return std::string(PACELINE_SOURCE_ROOT) + "/tests/topology/" + name + ".xml";
}

/// Clusters partition the cores in order, ids are dense and in range, distances are a metric's
/// beginning: zero to oneself only, symmetric.
inline void expect_whole(const paceline::topology& machine) {
  const auto cores = machine.cores();
  const auto clusters = machine.clusters();
  const auto kinds = machine.kinds();
  REQUIRE_FALSE(cores.empty());
  std::size_t next = 0;
  std::vector<std::size_t> of_kind(kinds.size(), 0), of_node(machine.nodes().size(), 0);
  for (const auto& cluster : clusters) {
    REQUIRE(cluster.first == next);
    REQUIRE(cluster.count > 0);
    REQUIRE(cluster.kind < kinds.size());
    REQUIRE(cluster.node < machine.nodes().size());
    next += cluster.count;
    of_kind[cluster.kind] += cluster.count;
    of_node[cluster.node] += cluster.count;
  }
  REQUIRE(next == cores.size());
  std::set<unsigned> cpus;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    const auto& cluster = clusters[cores[i].cluster];
    REQUIRE((i >= cluster.first && i < cluster.first + cluster.count));
    REQUIRE(cores[i].sibling <= i);
    REQUIRE(cores[cores[i].sibling].sibling == cores[i].sibling);
    REQUIRE(cpus.insert(cores[i].cpu).second);
  }
  REQUIRE_FALSE(kinds.empty());
  REQUIRE(kinds.front().rank == 0);
  std::set<std::string> names;
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    REQUIRE(kinds[k].cores == of_kind[k]);
    REQUIRE((kinds[k].capacity >= 1 && kinds[k].capacity <= 1024));
    REQUIRE(names.insert(kinds[k].name).second);
    if (k == 0) continue;
    REQUIRE(kinds[k].capacity <= kinds[k - 1].capacity);
    REQUIRE((kinds[k].rank > kinds[k - 1].rank) == (kinds[k].capacity < kinds[k - 1].capacity));
  }
  for (std::size_t n = 0; n < of_node.size(); ++n) {
    REQUIRE(machine.nodes()[n].cores == of_node[n]);
    REQUIRE(of_node[n] > 0);
  }
  for (const unsigned cpu : machine.offline_cpus()) REQUIRE(cpus.count(cpu) == 0);
  for (const unsigned cpu : machine.forbidden_cpus()) REQUIRE(cpus.count(cpu) == 0);
  const std::size_t step = cores.size() / 64 + 1;
  for (std::size_t i = 0; i < cores.size(); i += step) {
    for (std::size_t j = 0; j < cores.size(); j += step) {
      REQUIRE(machine.distance(i, j) == machine.distance(j, i));
      REQUIRE((machine.distance(i, j) == 0) == (i == j));
      REQUIRE((machine.distance(i, j) <= 1) == (cores[i].sibling == cores[j].sibling));
    }
  }
}

}  // namespace paceline_test
