// SPDX-License-Identifier: BSL-1.0
#include "sched/timers.hpp"

#include <bit>

#include <paceline/detail/bridge.hpp>

#include "base/bits.hpp"

namespace paceline::core {

using detail::TimerNode;

namespace {

constexpr unsigned kDigit = 6;  // bits per level

}  // namespace

TimerWheel::Tick TimerWheel::tick_of(Nanos deadline) noexcept {
  if (deadline <= 0) return 0;
  // Rounded up: the tick is over only when the deadline is.
  return (static_cast<Tick>(deadline) + (kTick - 1)) >> kTickShift;
}

TimerWheel::TimerWheel(Nanos now) noexcept : time_(static_cast<Tick>(now) >> kTickShift) {}

void TimerWheel::link(TimerNode& node, Tick due) noexcept {
  if (due < time_) due = time_;
  const Tick differs = due ^ time_;
  const unsigned level =
      differs == 0 ? 0 : (63 - static_cast<unsigned>(std::countl_zero(differs))) / kDigit;
  const auto slot = static_cast<unsigned>(due >> (level * kDigit)) & (kSlots - 1);
  List& list = lists_[level][slot];
  node.level = static_cast<std::uint8_t>(level);
  node.slot = static_cast<std::uint8_t>(slot);
  node.next = nullptr;
  node.previous = list.last;
  if (list.last != nullptr) {
    list.last->next = &node;
  } else {
    list.first = &node;
    list.earliest = ~Tick{0};
    occupied_[level] |= bit(slot);
  }
  list.last = &node;
  if (due < list.earliest) list.earliest = due;
}

void TimerWheel::unlink(TimerNode& node) noexcept {
  List& list = lists_[node.level][node.slot];
  if (node.previous != nullptr) {
    node.previous->next = node.next;
  } else {
    list.first = node.next;
  }
  if (node.next != nullptr) {
    node.next->previous = node.previous;
  } else {
    list.last = node.previous;
  }
  if (list.first == nullptr) occupied_[node.level] &= ~bit(node.slot);
  node.next = node.previous = nullptr;
}

void TimerWheel::arm(TimerNode& node) noexcept {
  LockGuard lock(lock_);
  node.wheel = this;
  node.armed = true;
  const Tick due = tick_of(node.deadline_ns);
  link(node, due);
  if (node.deadline_ns < next_expiry_.load(std::memory_order_relaxed)) publish_next();
}

bool TimerWheel::cancel(TimerNode& node) noexcept {
  LockGuard lock(lock_);
  if (!node.armed) return false;
  node.armed = false;
  unlink(node);
  // A lower bound that is too low costs one early look; it is corrected there.
  return true;
}

/// Every node of a lower level is due before every node of a higher one, and within a level the
/// slots follow each other upwards: a node's level is that of the highest digit in which it differs
/// from `time_`, and it is not before `time_`.
bool TimerWheel::earliest_slot(unsigned& level, unsigned& slot) const noexcept {
  for (level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    slot = lowest(occupied_[level]);
    return true;
  }
  return false;
}

void TimerWheel::publish_next() noexcept {
  unsigned level = 0;
  unsigned slot = 0;
  Nanos next = kForever;
  if (earliest_slot(level, slot)) {
    const Tick earliest = lists_[level][slot].earliest;
    // Beyond what a Nanos holds is forever.
    if (earliest <= static_cast<Tick>(kForever) >> kTickShift) {
      next = static_cast<Nanos>(earliest << kTickShift);
    }
  }
  // Release. Pairs: next_expiry. A hint: whoever acts on it takes the lock.
  next_expiry_.store(next, std::memory_order_release);  // M26
}

std::size_t TimerWheel::expire(Nanos now) noexcept {
  if (now < next_expiry_.load(std::memory_order_acquire)) return 0;  // M26
  TimerNode* due = nullptr;
  TimerNode** due_end = &due;
  {
    LockGuard lock(lock_);
    const Tick now_tick = static_cast<Tick>(now) >> kTickShift;
    unsigned level = 0;
    unsigned slot = 0;
    while (earliest_slot(level, slot)) {
      // The first tick of that slot: above the level, the digits are those of `time_`.
      const unsigned shift = level * kDigit;
      const Tick above = shift + kDigit >= 64 ? 0 : time_ >> (shift + kDigit) << (shift + kDigit);
      const Tick start = above | static_cast<Tick>(slot) << shift;
      if (start > now_tick) break;
      if (start > time_) time_ = start;
      List& list = lists_[level][slot];
      TimerNode* node = list.first;
      list = {};
      occupied_[level] &= ~bit(slot);
      while (node != nullptr) {
        TimerNode* next = node->next;
        const Tick tick = tick_of(node->deadline_ns);
        if (tick <= now_tick) {
          node->armed = false;
          node->previous = nullptr;
          node->next = nullptr;
          *due_end = node;
          due_end = &node->next;
        } else {
          link(*node, tick);  // its digit is reached: it moves to a lower level
        }
        node = next;
      }
    }
    if (now_tick > time_) time_ = now_tick;
    publish_next();
  }
  // Outside the lock (failure L24), and each node's link is read before the node is given away:
  // its task may run on and free it at once.
  std::size_t fired = 0;
  while (due != nullptr) {
    TimerNode* next = due->next;
    detail::complete(*due);
    due = next;
    ++fired;
  }
  return fired;
}

}  // namespace paceline::core
