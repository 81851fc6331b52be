// SPDX-License-Identifier: BSL-1.0
// Which worker of the chosen cluster gets a task, and how it is told.
//
// Flow room: spawn, wake, after place.hpp. Any thread. Looks at the workers of one cluster only.
// The rules are the reference's section 3.5 (XNU's choose_processor for Edge) and, for long queues,
// decision D8 of the architecture.
// Proof: tests/unit/policy/worker_choice_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/rng.hpp"
#include "base/time.hpp"
#include "policy/edge_table.hpp"
#include "policy/latency.hpp"

namespace paceline::core::policy {

/// A worker as its cluster's placement sees it.
struct WorkerView {
  Nanos since = 0;             ///< start of the running task's stretch
  std::uint32_t queued = 0;    ///< ready tasks it is home to
  std::uint16_t priority = 0;  ///< of the running task; higher is more important
  bool idle = false;
  bool favoured = false;       ///< by the controller, while idle
  bool rotating = false;       ///< flagged for rotation: should give its core to others
  bool asked_urgent = false;   ///< has an URGENT request that it has not answered
  bool asked_preempt = false;  ///< has a PREEMPT request that it has not answered
};

inline constexpr std::uint32_t kNoWorker = 0xffff'ffff;

enum class WorkerWhat : std::uint8_t {
  wake,     ///< unpark it
  preempt,  ///< queue there and ask it to give way
  queue,    ///< queue there; it comes to it
};
std::string_view to_string(WorkerWhat what) noexcept;

enum class WorkerReason : std::uint8_t {
  last,      ///< where it ran before
  favoured,  ///< the controller prefers it
  idle,
  rotating,   ///< idle, though it should give its core to others
  outranked,  ///< runs the least important task, which is less important than this one
  forced,     ///< stirring: runs the least important task, for longest
  least_queued,
  nobody,  ///< the cluster has no worker
};
std::string_view to_string(WorkerReason reason) noexcept;

struct WorkerAsk {
  std::uint16_t priority = 0;
  bool urgent = false;
  bool force = false;              ///< stirring: preempt also an equal (3.8)
  std::uint32_t last = kNoWorker;  ///< index of the worker that ran it last, if in this cluster
};

struct WorkerVerdict {
  WorkerWhat what;
  std::uint32_t where;  ///< index into the span, or kNoWorker
  WorkerReason reason;

  friend bool operator==(const WorkerVerdict&, const WorkerVerdict&) = default;
};

/// Up to so many workers all queues are compared, above it two chosen by `rng` (D8).
inline constexpr std::size_t kCompareAll = 8;

WorkerVerdict choose_worker(std::span<const WorkerView> workers, const WorkerAsk& ask,
                            Rng& rng) noexcept;

/// 3.5: a slow core may let work for another kind wait for so long before it wakes.
inline constexpr Nanos kWakeDelay = 64 * kMicrosecond;
inline constexpr std::uint32_t kLongSliceUs = 64;  // 3.5, too: at once where slices are so long

/// How long the unpark of an idle worker may be deferred, and be cancelled if the task is taken
/// meanwhile: 0 or kWakeDelay. `exec_us` is the average slice of the task's class on the preferred
/// cluster.
Nanos wake_delay(const EdgeTable& table, ClusterIndex target, ClusterIndex preferred,
                 std::uint32_t exec_us) noexcept;

}  // namespace paceline::core::policy
