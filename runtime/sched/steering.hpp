// SPDX-License-Identifier: BSL-1.0
// Steering: looks at the whole machine now and then and tells the clusters what to take as given.
// Flow room: preempt; the monitor's thread, while a worker is awake.
// It must never touch queued work, nor be needed: what it said last stands.
// Proof: tests/unit/api/clusters_test.cpp; of its decisions tests/unit/policy/controller_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/atomic.hpp"
#include "base/time.hpp"
#include "policy/controller.hpp"
#include "sched/clusters.hpp"

namespace paceline::core {

/// The shell around policy::Controller: takes its snapshots and hands on what it decides. All of it
/// belongs to one thread, but for steps().
class Steering {
 public:
  /// Has nothing to steer before begin().
  Steering() = default;

  /// What the profile says takes effect at once. Before a worker runs, and only where there are
  /// several clusters. Throws std::bad_alloc, std::invalid_argument.
  void begin(const policy::MachineView& machine, const policy::ProfileSettings& profile,
             Clusters& clusters, std::vector<Seat*> seats);

  /// Looks, if it is time to; when to look again, kForever if there is nothing to steer.
  Nanos step(Nanos now) noexcept;
  /// Any thread.
  std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_relaxed); }

 private:
  void note_utilisation(Nanos now) noexcept;
  void hand_on() noexcept;
  void call_sleepers() noexcept;

  std::optional<policy::Controller> controller_;
  Clusters* clusters_ = nullptr;
  std::vector<Seat*> seats_;
  std::vector<std::uint32_t> utilisation_;  // by core
  std::vector<std::uint32_t> capacity_;     // by core
  std::vector<std::uint32_t> latency_;      // by cluster and class
  std::vector<policy::ClusterHealth> health_;
  std::vector<Nanos> rested_;  // by worker, at the last look
  Nanos looked_at_ = 0;
  Nanos next_ = 0;
  Atomic<std::uint64_t> steps_{0};
};

}  // namespace paceline::core
