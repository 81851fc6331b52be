// SPDX-License-Identifier: BSL-1.0
// The machine as policies see it: plain data, made once from the topology, owned by whoever asks.
//
// Cores are workers-to-be, numbered 0..n-1 without holes and grouped by cluster; what the system
// calls them is in `cpu`. A cluster is a set of cores of one kind under one last-level cache.
#pragma once

#include <cstdint>
#include <span>

namespace paceline::core::policy {

/// [L] Capacity of the fastest core of the machine; all others are relative to it
/// (policies.md 5.5).
inline constexpr std::uint32_t kFullCapacity = 1024;

struct CoreView {
  std::uint32_t cpu;      ///< the system's number; may be sparse
  std::uint16_t cluster;  ///< index into MachineView::clusters
  std::uint16_t sibling;  ///< index of the first core that shares this physical core (SMT)
};

struct ClusterView {
  std::uint16_t rank;      ///< of its kind by capacity; 0 is the fastest ("P"), higher is slower
  std::uint16_t capacity;  ///< of one of its cores, 1..kFullCapacity
  std::uint16_t node;      ///< memory node
  std::uint16_t die;
  std::uint16_t first;  ///< its cores are first..first+count-1
  std::uint16_t count;
};

struct MachineView {
  std::span<const CoreView> cores;
  std::span<const ClusterView> clusters;
};

}  // namespace paceline::core::policy
