// SPDX-License-Identifier: BSL-1.0
// MachineData: a topology as the plain data that policies look at. Start-up only.
// Views point into it: it must outlive them.
// Proof: tests/unit/topology/affinity_test.cpp.
#pragma once

#include <vector>

#include <paceline/topology.hpp>

#include "policy/machine_view.hpp"

namespace paceline::core {

class MachineData {
 public:
  explicit MachineData(const topology& machine) {
    for (const topology::core& core : machine.cores()) {
      cores_.push_back({.cpu = core.cpu,
                        .cluster = static_cast<std::uint16_t>(core.cluster),
                        .sibling = static_cast<std::uint16_t>(core.sibling)});
    }
    for (const topology::cluster& cluster : machine.clusters()) {
      const topology::kind& kind = machine.kinds()[cluster.kind];
      clusters_.push_back({.rank = static_cast<std::uint16_t>(kind.rank),
                           .capacity = static_cast<std::uint16_t>(kind.capacity),
                           .node = static_cast<std::uint16_t>(cluster.node),
                           .die = static_cast<std::uint16_t>(cluster.die),
                           .first = static_cast<std::uint16_t>(cluster.first),
                           .count = static_cast<std::uint16_t>(cluster.count)});
    }
  }

  /// Valid as long as this lives and is not moved from.
  policy::MachineView view() const noexcept { return {cores_, clusters_}; }

 private:
  std::vector<policy::CoreView> cores_;
  std::vector<policy::ClusterView> clusters_;
};

}  // namespace paceline::core
