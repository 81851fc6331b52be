// SPDX-License-Identifier: BSL-1.0
// Loot: ready tasks that a thief has claimed and not yet polled, visible to other thieves.
// Flow room: run. Owner: the thief that holds it; other workers may take from it.
// It must never hold a task that is not claimed, nor hide one: a stuck thief's loot is taken.
// Proof: tests/model/steal_model.cpp, tests/unit/exec/loot_test.cpp.
#pragma once

#include "base/atomic.hpp"
#include "base/probe.hpp"
#include "task/slot.hpp"

namespace paceline::core {

/// A ring of slot addresses.
///
/// Writers: the owner by plain load and store (it alone adds entries), other workers by exchange
/// with 0. I1: an entry leaves the ring only in the hands of somebody who then tries to start its
/// task. I2: the owner's store of 0 may come after another worker's exchange: then both hold the
/// entry, one of them as a spurious bit (waker_page.hpp, I2). Progress: wait-free.
class Loot {
 public:
  static constexpr unsigned kCapacity = 64;

  bool full() const noexcept { return tail_ - head_ == kCapacity; }
  bool empty() const noexcept { return tail_ == head_; }
  /// A hint for thieves.
  unsigned size_hint() const noexcept { return hint_.load(std::memory_order_relaxed); }

  /// Owner; not when full.
  void push(Slot& slot) noexcept {
    // Release. Pairs: take_any. Publishes: what our claim of the bit acquired.
    entries_[tail_++ % kCapacity].store(&slot, std::memory_order_release);  // M11
    publish_hint();
  }
  /// Owner. Null if empty.
  Slot* pop() noexcept {
    while (head_ != tail_) {
      Atomic<Slot*>& entry = entries_[head_++ % kCapacity];
      Slot* slot = entry.load(std::memory_order_relaxed);
      entry.store(nullptr, std::memory_order_relaxed);
      publish_hint();
      if (slot != nullptr) return slot;
    }
    return nullptr;
  }
  /// Another worker: takes one entry, or null.
  Slot* take_any() noexcept {
    return take_any([](const Slot&) { return true; });
  }
  /// The same, of those that looked `wanted` a moment before.
  template <class Wanted>
  Slot* take_any(Wanted&& wanted) noexcept {
    for (Atomic<Slot*>& entry : entries_) {
      const Slot* seen = entry.load(std::memory_order_relaxed);
      if (seen == nullptr || !wanted(*seen)) continue;
      // Acquire. Pairs: push.
      if (Slot* slot = entry.exchange(nullptr, std::memory_order_acq_rel)) return slot;  // M11
    }
    return nullptr;
  }

 private:
  void publish_hint() noexcept { hint_.store(tail_ - head_, std::memory_order_relaxed); }

  unsigned head_ = 0;  // owner only; their difference is the size
  unsigned tail_ = 0;
  alignas(kCacheLine) Atomic<unsigned> hint_{0};
  alignas(kCacheLine) Atomic<Slot*> entries_[kCapacity] = {};
};

}  // namespace paceline::core
