// SPDX-License-Identifier: BSL-1.0
// Timers of one worker: a hierarchical wheel of intrusive nodes.
// Flow rooms: suspend (arm), wake (expire). The owner arms and expires; a task that was stolen may
// cancel from another worker, hence the lock, which is otherwise uncontended.
// It must never wake a task while it holds its lock, nor a timer early.
// Proof: tests/unit/sched/timers_test.cpp (differential against an ordered multimap).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <paceline/time.hpp>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "base/sizes.hpp"
#include "base/time.hpp"

namespace paceline::core {

/// Nine levels of 64 slots, a tick of 2^14 ns (16 us). A node hangs in the level of the highest
/// six-bit digit in which its deadline differs from the wheel's time, so a deadline of any size
/// finds a place, and moves down as that digit is reached: at most eight moves in its life
/// (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987, scheme 7).
///
/// Writers: under `lock_`. I1: a node is in exactly one list while `armed`. I2: a node fires when
/// its tick, its deadline rounded up, is over: never early, late by less than a tick plus the time
/// until somebody looks. I3: after `expire` or `cancel` has unlinked a node the wheel does not
/// touch it again.
class TimerWheel {
 public:
  static constexpr unsigned kTickShift = 14;
  static constexpr Nanos kTick = Nanos{1} << kTickShift;
  static constexpr unsigned kLevels = 9;  // 14 + 9 * 6 > 63
  static constexpr unsigned kSlots = 64;

  explicit TimerWheel(Nanos now) noexcept;

  /// Any thread, though only the worker does. The node's suspension completes when it is due.
  void arm(detail::TimerNode& node) noexcept;

  /// True: unlinked, it will never fire. False: it fired, or is about to. Any worker.
  bool cancel(detail::TimerNode& node) noexcept;

  /// Unlinks every node that is due, then completes them. Returns how many.
  std::size_t expire(Nanos now) noexcept;

  /// When to call expire next: never later than the earliest deadline's tick; kForever if there is
  /// none. Any thread, without the lock.
  // M26
  Nanos next_expiry() const noexcept { return next_expiry_.load(std::memory_order_acquire); }

 private:
  using Tick = std::uint64_t;
  struct List {
    detail::TimerNode* first = nullptr;
    detail::TimerNode* last = nullptr;
    Tick earliest = ~Tick{0};  // lower bound of the nodes' ticks
  };

  static Tick tick_of(Nanos deadline) noexcept;
  void link(detail::TimerNode& node, Tick due) noexcept;
  void unlink(detail::TimerNode& node) noexcept;
  bool earliest_slot(unsigned& level, unsigned& slot) const noexcept;
  void publish_next() noexcept;

  Mutex lock_{LockRank::timers};
  Tick time_;  // every tick before it is over
  std::array<Word, kLevels> occupied_{};
  std::array<std::array<List, kSlots>, kLevels> lists_{};
  Atomic<Nanos> next_expiry_{kForever};
};

}  // namespace paceline::core
