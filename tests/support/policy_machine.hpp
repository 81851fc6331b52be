// SPDX-License-Identifier: BSL-1.0
// Machines for the tests of policies, written as lists of clusters. Owns what its view shows.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "policy/machine_view.hpp"

namespace paceline_test {

struct ClusterSpec {
  std::uint16_t rank = 0;
  std::uint16_t capacity = 1024;
  std::uint16_t node = 0;
  std::uint16_t die = 0;
  std::uint16_t cores = 1;  ///< physical
  std::uint16_t smt = 1;    ///< threads of each
};

class PolicyMachine {
 public:
  explicit PolicyMachine(const std::vector<ClusterSpec>& clusters) {
    for (const ClusterSpec& spec : clusters) {
      const auto index = static_cast<std::uint16_t>(clusters_.size());
      const auto first = static_cast<std::uint16_t>(cores_.size());
      const auto count = static_cast<std::uint16_t>(spec.cores * spec.smt);
      clusters_.push_back({spec.rank, spec.capacity, spec.node, spec.die, first, count});
      // Threads of one core are not neighbours: first all first threads, then all second ones.
      for (std::uint16_t i = 0; i < count; ++i) {
        const auto sibling = static_cast<std::uint16_t>(first + i % spec.cores);
        cores_.push_back({static_cast<std::uint32_t>(cores_.size()), index, sibling});
      }
    }
  }

  paceline::core::policy::MachineView view() const { return {cores_, clusters_}; }
  std::uint32_t cores() const { return static_cast<std::uint32_t>(cores_.size()); }

  std::vector<paceline::core::policy::CoreView> cores_;
  std::vector<paceline::core::policy::ClusterView> clusters_;
};

/// `count` clusters of the same shape; node and die grow by one every `per_node` clusters.
inline std::vector<ClusterSpec> alike(std::uint16_t count, std::uint16_t cores, std::uint16_t smt,
                                      std::uint16_t per_node) {
  std::vector<ClusterSpec> specs;
  for (std::uint16_t i = 0; i < count; ++i) {
    const auto node = static_cast<std::uint16_t>(i / per_node);
    specs.push_back({0, 1024, node, node, cores, smt});
  }
  return specs;
}

/// A mask with the cores 0..count-1.
inline std::vector<std::uint64_t> first_cores(std::uint32_t count) {
  std::vector<std::uint64_t> words((count + 63) / 64, 0);
  for (std::uint32_t i = 0; i < count; ++i) words[i / 64] |= std::uint64_t{1} << (i % 64);
  return words;
}

}  // namespace paceline_test
