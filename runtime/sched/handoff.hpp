// SPDX-License-Identifier: BSL-1.0
// Hand-off: a thread that may be away for long lends its worker, and another thread may take it.
// Flow room: preempt. The lender, and the thread that takes over.
// It must never let two threads touch one ExecutorRuntime.
// Proof: tests/model/handoff_model.cpp, tests/unit/sched/handoff_test.cpp.
#pragma once

#include <cstdint>

#include "sched/idle.hpp"

namespace paceline::core {

/// The hold word of a seat: who may touch the worker's runtime.
///
///   held --lend--> lent, count + 1 --reclaim--> held          (the lender)
///                  lent --begin_taking--> taken --finish_taking--> held
///                                         taken --give_up_taking--> lent
///
/// Writers: the worker's thread (lend, reclaim), one thread at a time that takes over (the rest).
/// I1: between lend and reclaim the lender touches nothing of the runtime. I2: exactly one of reclaim
/// and begin_taking wins. I3: a lender whose reclaim fails for good finds the refuge in its
/// executor, published before finish_taking. Progress: lend and reclaim are wait-free unless a
/// takeover is under way, then the lender waits for some microseconds. Lifetime: that of the seat.
class Hold {
 public:
  static constexpr std::uint32_t kHeld = 0;
  static constexpr std::uint32_t kLent = 1;
  static constexpr std::uint32_t kTaken = 2;
  static constexpr std::uint32_t kStates = 3;
  static constexpr std::uint32_t kCountOne = 4;

  static bool is_lent(std::uint32_t word) noexcept { return (word & kStates) == kLent; }

  /// The worker's thread. Returns the word, for reclaim.
  static std::uint32_t lend(Seat& seat) noexcept {
    const std::uint32_t lent =
        (seat.hold.load(std::memory_order_relaxed) + kCountOne) | kLent;
    // Release. Pairs: begin_taking. Publishes: the runtime as the lender left it. Seq_cst: before
    // the lender looks whether anybody waits for the worker.
    seat.hold.exchange(lent, std::memory_order_seq_cst);  // M31
    return lent;
  }
  /// The lender. False: somebody takes over.
  static bool reclaim(Seat& seat, std::uint32_t lent) noexcept {
    // Acquire. Pairs: give_up_taking, after which the runtime is as it was, but for memory.
    return seat.hold.compare_exchange_strong(lent, lent & ~kStates, std::memory_order_acq_rel,
                                             std::memory_order_relaxed);  // M31
  }
  static bool begin_taking(Seat& seat, std::uint32_t lent) noexcept {
    // Acquire. Pairs: lend. Without: we would move a runtime that we see half written.
    return seat.hold.compare_exchange_strong(lent, (lent & ~kStates) | kTaken,
                                             std::memory_order_acq_rel,
                                             std::memory_order_relaxed);  // M31
  }
  static void give_up_taking(Seat& seat, std::uint32_t lent) noexcept {
    seat.hold.store(lent, std::memory_order_release);  // M31
  }
  static void finish_taking(Seat& seat, std::uint32_t lent) noexcept {
    seat.hold.store(lent & ~kStates, std::memory_order_release);  // M31
  }
};

}  // namespace paceline::core
