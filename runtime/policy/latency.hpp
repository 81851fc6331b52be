// SPDX-License-Identifier: BSL-1.0
// How long a new task of a class is expected to wait on a cluster, and the snapshot of all clusters
// that the decisions of "Edge" read.
//
// Flow room: spawn, wake, run, idle: whoever changes a cluster's queue or workers asks for the new
// value and publishes it. Any thread. It never stores anything itself: values in, values out.
// The metric is the reference's section 3.3 (XNU's sched_clutch.c).
// Proof: tests/unit/policy/latency_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include <paceline/qos.hpp>

#include "base/time.hpp"
#include "policy/class_table.hpp"
#include "policy/edge_table.hpp"

namespace paceline::core::policy {

/// Microseconds of waiting, or a number of shared tasks. Infinite: the cluster takes no work.
using Load = std::uint32_t;
inline constexpr Load kInfiniteLoad = std::numeric_limits<Load>::max();

/// Both averages forget with this weight (3.3, items 3 and 4).
inline constexpr Nanos kLatencyMemory = 10 * kMillisecond;
/// The same under a profile's `time_scale` (2.1).
constexpr Nanos latency_memory(double time_scale) noexcept {
  return scaled_time(kLatencyMemory, clamp_time_scale(time_scale));
}

/// One class on one cluster.
struct ClassLoad {
  Nanos updated = 0;          ///< of `average`
  Nanos exec_updated = 0;     ///< of `exec_us`
  std::uint32_t depth = 0;    ///< runnable tasks of this class or a more important one
  std::uint32_t average = 0;  ///< of depth per worker, fixed point with 8 fractional bits
  std::uint32_t exec_us = 0;  ///< average length of a slice

  friend bool operator==(const ClassLoad&, const ClassLoad&) = default;
};

/// Tasks that are heavy users of what a cluster's cores share (3.9).
enum class SharedUse : std::uint8_t { none, round_robin, native_first };
std::string_view to_string(SharedUse use) noexcept;
/// Of two flags: round robin decides (statement 47).
constexpr SharedUse shared_use(bool round_robin, bool native_first) noexcept {
  if (round_robin) return SharedUse::round_robin;
  return native_first ? SharedUse::native_first : SharedUse::none;
}

/// What is known of a cluster at one moment.
struct ClusterLoad {
  std::array<ClassLoad, qos_count> classes{};
  std::array<std::uint32_t, 2> shared{};  ///< queued and running: round robin, native first
  std::uint16_t workers = 0;              ///< that can run now
  bool recommended = true;                ///< by the controller
  ClassMask stealable = kNoClass;         ///< classes with queued tasks that are bound to nothing
  RankMask foreign_queued = 0;   ///< kinds that its queued foreign tasks prefer (preference_of)
  RankMask foreign_running = 0;  ///< kinds that its running foreign tasks prefer
};

/// Depths by class from plain counts of runnable tasks: each includes the more important ones.
/// Pinned tasks are not counted.
constexpr std::array<std::uint32_t, qos_count> depths_of(
    std::array<std::uint32_t, qos_count> counts) noexcept {
  for (std::size_t q = 1; q < qos_count; ++q) counts[q] += counts[q - 1];
  return counts;
}

/// The average depth per worker, rounded to a whole number.
constexpr std::uint32_t rounded(std::uint32_t average) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{average} + 128) >> 8);
}

/// The class after its depth or the cluster's `workers` changed. Without workers, or when `now`
/// lies before the last update, the average stays as it was. `memory`: what latency_memory gives.
[[nodiscard]] ClassLoad with_depth(ClassLoad load, std::uint32_t depth, std::uint32_t workers,
                                   Nanos now, Nanos memory = kLatencyMemory) noexcept;

/// The class after a slice of `slice_us` ended. A stale `now` changes nothing.
[[nodiscard]] ClassLoad with_slice(ClassLoad load, std::uint64_t slice_us, Nanos now,
                                   Nanos memory = kLatencyMemory) noexcept;

/// What a new task is expected to wait: average depth times average slice; below kInfiniteLoad.
constexpr Load latency_us(const ClassLoad& load) noexcept {
  const std::uint64_t slice = load.exec_us > 1 ? load.exec_us : 1;
  const std::uint64_t us = rounded(load.average) * slice;
  return us < kInfiniteLoad ? static_cast<Load>(us) : kInfiniteLoad - 1;
}

/// The form in which decisions read loads. They are templates of it, so that the runtime can answer
/// each question from its own words at the moment it is asked: most placements read one cluster.
/// Clusters beyond the span take no work.
struct LoadView {
  std::span<const ClusterLoad> clusters;

  bool recommended(ClusterIndex c) const noexcept {
    return c < clusters.size() && clusters[c].recommended;
  }
  std::uint32_t workers(ClusterIndex c) const noexcept {
    return c < clusters.size() ? clusters[c].workers : 0;
  }
  Load latency(ClusterIndex c, qos q) const noexcept {
    return takes_work(c) ? latency_us(clusters[c].classes[index_of(q)]) : kInfiniteLoad;
  }
  Load shared(ClusterIndex c, SharedUse use) const noexcept {
    return takes_work(c) ? clusters[c].shared[use == SharedUse::native_first ? 1 : 0]
                         : kInfiniteLoad;
  }
  std::uint32_t depth(ClusterIndex c, qos q) const noexcept {
    return c < clusters.size() ? clusters[c].classes[index_of(q)].depth : 0;
  }
  ClassMask stealable(ClusterIndex c) const noexcept {
    return c < clusters.size() ? clusters[c].stealable : kNoClass;
  }
  RankMask foreign_queued(ClusterIndex c) const noexcept {
    return c < clusters.size() ? clusters[c].foreign_queued : RankMask{0};
  }
  RankMask foreign_running(ClusterIndex c) const noexcept {
    return c < clusters.size() ? clusters[c].foreign_running : RankMask{0};
  }

 private:
  bool takes_work(ClusterIndex c) const noexcept { return recommended(c) && workers(c) != 0; }
};

/// Whether a cluster can run something now.
template <class Loads>
bool available(const Loads& loads, ClusterIndex cluster) noexcept {
  return loads.recommended(cluster) && loads.workers(cluster) != 0;
}

/// What placement compares: waiting for ordinary tasks, their number for shared ones.
template <class Loads>
Load load_for(const Loads& loads, ClusterIndex cluster, qos q, SharedUse use) noexcept {
  return use == SharedUse::none ? loads.latency(cluster, q) : loads.shared(cluster, use);
}

}  // namespace paceline::core::policy
