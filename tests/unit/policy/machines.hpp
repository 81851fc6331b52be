// SPDX-License-Identifier: BSL-1.0
// Machines made by hand for the tests of policies, and loads to go with them.
#pragma once

#include <cstdint>
#include <vector>

#include "policy/edge_table.hpp"
#include "policy/latency.hpp"

namespace paceline_test {

namespace policy = paceline::core::policy;
using paceline::qos;

/// Grows by clusters; view() stays valid until the next one.
class Machine {
 public:
  Machine& add(std::uint16_t rank, std::uint16_t cores, std::uint16_t die = 0,
               std::uint16_t node = 0) {
    const auto first = static_cast<std::uint16_t>(cores_.size());
    const auto cluster = static_cast<std::uint16_t>(clusters_.size());
    const auto capacity = static_cast<std::uint16_t>(policy::kFullCapacity >> rank);
    clusters_.push_back({rank, capacity, node, die, first, cores});
    for (std::uint16_t i = 0; i < cores; ++i) {
      const auto core = static_cast<std::uint16_t>(first + i);
      cores_.push_back({core, cluster, core});
    }
    return *this;
  }

  policy::MachineView view() const { return {cores_, clusters_}; }
  std::vector<policy::CoreView>& cores() { return cores_; }
  std::vector<policy::ClusterView>& clusters() { return clusters_; }

 private:
  std::vector<policy::CoreView> cores_;
  std::vector<policy::ClusterView> clusters_;
};

/// One load for each cluster of a machine: idle, recommended, all workers there.
class Loads {
 public:
  explicit Loads(const Machine& machine) {
    for (const policy::ClusterView& cluster : machine.view().clusters) {
      all_.emplace_back();
      all_.back().workers = cluster.count;
    }
  }

  policy::ClusterLoad& operator[](std::size_t cluster) { return all_[cluster]; }
  policy::LoadView view() const { return {all_}; }

  /// Makes the latency of `cluster` for every class `us`.
  Loads& wait(std::size_t cluster, std::uint32_t us) {
    for (policy::ClassLoad& load : all_[cluster].classes) {
      load.average = us == 0 ? 0 : 1u << 8;
      load.exec_us = us;
    }
    return *this;
  }
  /// Runnable tasks of `q` alone; those beyond the workers are queued, and unbound.
  Loads& runnable(std::size_t cluster, qos q, std::uint32_t count, bool queued) {
    for (std::size_t i = policy::index_of(q); i < paceline::qos_count; ++i)
      all_[cluster].classes[i].depth += count;
    if (queued) all_[cluster].stealable |= policy::class_bit(q);
    return *this;
  }

 private:
  std::vector<policy::ClusterLoad> all_;
};

}  // namespace paceline_test
