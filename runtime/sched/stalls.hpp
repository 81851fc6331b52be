// SPDX-License-Identifier: BSL-1.0
// Stalls: tells the application of a task that answers no request, and where it is stuck.
// Flow room: stall. The monitor's thread.
// It must never send a signal unless the application has asked for stacks (on_stall).
// Proof: tests/unit/api/stall_test.cpp.
#pragma once

#include <cstdint>
#include <optional>

#include <paceline/stall.hpp>

#include "base/atomic.hpp"
#include "base/time.hpp"
#include "machine/stack_sample.hpp"

namespace paceline::core {

class ExecutorRuntime;
class RuntimeCore;
struct Seat;
struct Slot;

/// A poll that was asked to give way and has not.
struct Suspect {
  Nanos asked_at = 0;    // 0: there is none
  Nanos weighed_at = 0;  // first looked at what its thread does then,
  Nanos cpu_time = 0;    // and how long it had run by then
  bool told = false;
};

/// Where it runs: on a worker, as the poll of that number, or on a thread that has lost its worker.
struct Whereabouts {
  int thread = 0;
  unsigned worker = 0;
  const ExecutorRuntime* runtime = nullptr;
  const Seat* seat = nullptr;  // null: handed off
  std::uint64_t poll = 0;

  /// The task, if it is there still.
  Slot* task() const noexcept;
};

class Stalls {
 public:
  /// `after`: so long without an answer.
  Stalls(RuntimeCore& core, Nanos after);

  /// False: nobody wants to know.
  bool on() const noexcept { return on_; }
  /// Looks at a suspect; tells once. `next`: when to look again.
  void look_at(Suspect& suspect, const Whereabouts& where, Nanos now, Nanos& next) noexcept;
  /// How many were told. Any thread.
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  void tell(const Whereabouts& where, stall_kind kind, Nanos lasted) noexcept;

  RuntimeCore& core_;
  const Nanos after_;
  const bool on_;
  std::optional<machine::StackSampling> sampling_;
  Atomic<std::uint64_t> count_{0};
};

}  // namespace paceline::core
