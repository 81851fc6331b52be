// SPDX-License-Identifier: BSL-1.0
// Region: may this thread be preempted by signal, and is a signal on its way to it?
// Flow room: preempt. The thread itself, its signal handler, and whoever sends.
// It must never let a signal arrive while its thread is outside a region.
// Proof: tests/model/region_model.cpp, tests/unit/api/async_region_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/probe.hpp"

namespace paceline::core {

/// How a request to give way was answered; all but the first say what stood in the way.
enum class Answer : std::uint8_t {
  gave_way,
  runtime,    // the thread is inside the runtime, or in blocking()
  nopreempt,  // a guard lives
  text,       // the code that was interrupted lies outside the async text section
  stack,      // too little of it is left
  stale,      // asked of a poll that is over, or what asked has been served
  cap,        // too many weak executors
  memory,     // no stack or slot for a fresh executor
  masked,     // the application had blocked the signal, or has taken it over
  count,
};
inline constexpr std::size_t kAnswers = static_cast<std::size_t>(Answer::count);

/// One thread's region word and what belongs to it. It is part of the seat that the thread began
/// with, so that late senders find memory, and stays the thread's when its worker changes threads.
///
///   out --go_in--> in --leave--> out                      (the thread)
///   in --claim--> signalled --withdraw--> in              (a sender: one signal at most is under
///   way) signalled --take--> out --go_in--> in                 (the thread's signal handler)
///
/// I1: who has claimed sends one signal, or withdraws. I2: the thread leaves from `in` only, so it
/// waits for a signal that was claimed: none arrives later. I3: while the handler works, the word
/// is `out`: none comes on top of it.
///
/// Progress: claim, take and go_in are wait-free; leave waits for a sender that has claimed and for
/// the system to deliver, some microseconds. Lifetime: that of seats, for ever.
struct alignas(kCacheLinePair) Region {
  static constexpr std::uint32_t kOut = 0;
  static constexpr std::uint32_t kIn = 1;
  static constexpr std::uint32_t kSignalled = 2;

  Atomic<std::uint32_t> word{kOut};
  Atomic<int> thread{0};  // the system's number; set before it first goes in
  Atomic<int> signal{0};  // 0: its runtime uses none
  Atomic<std::uint64_t> sent{0};
  Atomic<std::uint64_t> refused[kAnswers] = {};  // by its thread
  // Its thread's, and its handler's.
  unsigned depth = 0;         // regions that live
  bool ready = false;         // the thread accepts the signal
  std::uint64_t process = 0;  // machine::fork_generation() when it began

  /// Seq_cst: the caller looks at its request word afterwards, as a sender looks here after it has
  /// set that word. Release. Pairs: claim. Publishes: `thread` and `signal`.
  void go_in() noexcept { word.exchange(kIn, std::memory_order_seq_cst); }  // M40

  bool is_in() const noexcept { return word.load(std::memory_order_relaxed) == kIn; }

  /// True: the caller must send one signal, or withdraw. Any thread, signal-safe.
  bool claim() noexcept {
    if (planted(Mutant::signal_without_claim)) return word.load() == kIn;  // M40
    std::uint32_t in = kIn;
    return word.compare_exchange_strong(in, kSignalled, std::memory_order_seq_cst,  // M40
                                        std::memory_order_seq_cst);
  }
  /// The signal could not be sent.
  void withdraw() noexcept {
    if (planted(Mutant::keep_failed_claim)) return;
    word.store(kIn, std::memory_order_release);  // M40
  }
  /// The signal is here. False: nobody has claimed. The handler.
  bool take() noexcept {
    std::uint32_t signalled = kSignalled;
    return word.compare_exchange_strong(signalled, kOut, std::memory_order_acquire,  // M40
                                        std::memory_order_relaxed);
  }
  /// From here on no signal comes. `wait()` lets one arrive that is under way.
  template <class Wait>
  void leave(Wait&& wait) noexcept {
    if (planted(Mutant::leave_blindly)) {
      word.store(kOut, std::memory_order_release);  // M40
      return;
    }
    std::uint32_t in = kIn;
    while (!word.compare_exchange_strong(in, kOut, std::memory_order_acq_rel,  // M40
                                         std::memory_order_relaxed)) {
      in = kIn;
      wait();
    }
  }

  /// Before its thread's first region. That thread.
  void begin(int thread_number, int signal_number, std::uint64_t process_now) noexcept {
    thread.store(thread_number, std::memory_order_relaxed);
    signal.store(signal_number, std::memory_order_relaxed);
    process = process_now;
    ready = false;
    depth = 0;
  }
  /// A new runtime counts from zero.
  void reset() noexcept {
    signal.store(0, std::memory_order_relaxed);
    sent.store(0, std::memory_order_relaxed);
    for (auto& each : refused) each.store(0, std::memory_order_relaxed);
  }

  /// Raised unless the process switched preemption by signal off.
  static inline constinit Atomic<bool> allowed{true};
};

}  // namespace paceline::core
