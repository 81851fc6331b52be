// SPDX-License-Identifier: BSL-1.0
// Hand-off: a thread that is away for long loses its worker to another thread.
// Flow room: preempt. The worker's thread, and the thread that takes over.
// It must never let two threads touch one ExecutorRuntime.
// Proof: tests/model/handoff_model.cpp, tests/unit/api/blocking_test.cpp.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/probe.hpp"
#include "machine/machine.hpp"
#include "task/collection.hpp"

namespace paceline::core {

/// The hold word of a port: who may touch the worker's runtime.
///
///   held --lend--> lent, count + 1 --reclaim--> held            (the worker's thread)
///   held, lent --begin_taking--> taken --finish_taking--> held, count + 1   (the other thread)
///                                      --give_up_taking--> as before
///
/// Beside it each thread's own `inside`: 0 while it is out in user code.
///
/// Writers: as marked; one thread at a time takes over (the runtime's crew sees to that).
///
/// I1: between lend and reclaim the lender touches nothing of the runtime, nor does a thread that
/// is out in user code. One that lends is not out.
///
/// I2: from lent, exactly one of reclaim and begin_taking wins.
///
/// I3: from held, the taker lets every thread pass a barrier after begin_taking and gives up unless
/// the worker's thread is out; that thread compares the word when it comes in. So either the taker
/// finds it inside, or it finds the word changed.
///
/// I4: who finds the word changed for good gets the refuge by mail, posted after finish_taking.
///
/// Progress: all wait-free, but a thread that comes in during a takeover waits for its end, some
/// microseconds. Lifetime: that of the port.
class Hold {
 public:
  static constexpr std::uint32_t kHeld = 0;
  static constexpr std::uint32_t kLent = 1;
  static constexpr std::uint32_t kTaken = 2;
  static constexpr std::uint32_t kStates = 3;
  static constexpr std::uint32_t kCountOne = 4;

  // --- out in user code and in again; the worker's thread ---

  static void go_out(Atomic<std::uint32_t>& inside) noexcept {
    // Release. Pairs: is_out. Publishes: the runtime as this thread leaves it.
    inside.store(0, std::memory_order_release);  // M31
  }
  /// True if the word is still as this thread knows it: nobody has taken over or is about to.
  static bool come_in(Atomic<std::uint32_t>& inside, const Port& port,
                      std::uint32_t known) noexcept {
    // Relaxed, and only the compiler is held back: whoever takes over makes this thread pass a
    // barrier between begin_taking and is_out. Without: both could read the old value.
    inside.store(1, std::memory_order_relaxed);  // M31
    asm volatile("" ::: "memory");
    if (planted(Mutant::come_in_blindly)) return true;
    // Acquire. Pairs: give_up_taking, whose thread may have looked at the runtime.
    return port.hold.load(std::memory_order_acquire) == known;  // M31
  }
  static bool is_out(const Atomic<std::uint32_t>& inside) noexcept {
    if (planted(Mutant::take_without_look)) return true;
    return inside.load(std::memory_order_acquire) == 0;  // M31
  }

  /// The word after a takeover.
  static constexpr std::uint32_t taken_over(std::uint32_t word) noexcept {
    return (word & ~kStates) + kCountOne;
  }
  static bool is_lent(std::uint32_t word) noexcept { return (word & kStates) == kLent; }
  static bool is_held(std::uint32_t word) noexcept { return (word & kStates) == kHeld; }

  /// The worker's thread, inside. Returns the word, for reclaim.
  static std::uint32_t lend(Port& port, std::uint32_t known) noexcept {
    const std::uint32_t lent = (known + kCountOne) | kLent;
    std::uint32_t held = known;
    // Release. Pairs: begin_taking. Publishes: the runtime as the lender leaves it. Seq_cst: before
    // the lender looks whether anybody waits for the worker, as wakers look here after they have
    // set their bit. It fails while somebody tries to take over from held: as we are inside, that
    // is given up at once.
    // M31
    while (!port.hold.compare_exchange_strong(held, lent, std::memory_order_seq_cst,
                                              std::memory_order_relaxed)) {
      held = known;
      machine::relax();
    }
    return lent;
  }
  /// False: somebody takes over.
  static bool reclaim(Port& port, std::uint32_t lent) noexcept {
    if (planted(Mutant::reclaim_by_store)) {
      port.hold.store(lent & ~kStates, std::memory_order_release);  // M31
      return true;
    }
    // Acquire. Pairs: give_up_taking, after which the runtime is as it was, but for spare memory.
    // M31
    return port.hold.compare_exchange_strong(lent, lent & ~kStates, std::memory_order_acq_rel,
                                             std::memory_order_relaxed);
  }
  static bool begin_taking(Port& port, std::uint32_t word) noexcept {
    // Acquire. Pairs: lend. Without: we would move a runtime that we see half written.
    const std::uint32_t taken = (word & ~kStates) | kTaken;
    // M31
    return port.hold.compare_exchange_strong(word, taken, std::memory_order_seq_cst,
                                             std::memory_order_relaxed);
  }
  static void give_up_taking(Port& port, std::uint32_t word) noexcept {
    port.hold.store(word, std::memory_order_release);  // M31
  }
  static void finish_taking(Port& port, std::uint32_t word) noexcept {
    port.hold.store(taken_over(word), std::memory_order_release);  // M31
  }
};

}  // namespace paceline::core
