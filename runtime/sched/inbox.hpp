// SPDX-License-Identifier: BSL-1.0
// A worker's inbox for what has no slot: foreign coroutines posted through a scheduler.
// Flow room: spawn. Any thread posts; the worker takes.
// It must never let a post be overlooked: the queue may look empty while an item is on its way.
// Proof: tests/unit/sched/inbox_test.cpp; coretest park-edge.
#pragma once

#include <coroutine>
#include <cstdint>
#include <new>

#include "base/atomic.hpp"
#include "base/concurrent_queue.hpp"

namespace paceline::core {

/// moodycamel's queue and a count that is raised before the item is put in and lowered after it is
/// taken out. I1: count >= items that were accepted and not yet taken; so a worker that re-checks
/// the count before it sleeps cannot miss an item (failure W14).
class Inbox {
 public:
  /// Any thread. Throws std::bad_alloc, then nothing was posted.
  void post(std::coroutine_handle<> frame) {
    // Seq_cst: first half of the handshake with the parking worker, as in task/collection.hpp.
    count_.fetch_add(1, std::memory_order_seq_cst);  // M7
    if (!queue_.enqueue(frame.address())) {
      count_.fetch_sub(1, std::memory_order_relaxed);
      throw std::bad_alloc();
    }
  }

  /// The worker. Null if nothing can be taken right now.
  std::coroutine_handle<> take() noexcept {
    if (empty()) return nullptr;
    void* frame = nullptr;
    if (!queue_.try_dequeue(frame)) return nullptr;
    count_.fetch_sub(1, std::memory_order_relaxed);
    return std::coroutine_handle<>::from_address(frame);
  }

  /// False while an item is in the queue or on its way. Any thread.
  bool empty() const noexcept { return count_.load(std::memory_order_seq_cst) == 0; }  // M7

 private:
  Atomic<std::uint32_t> count_{0};
  moodycamel::ConcurrentQueue<void*> queue_{32};
};

}  // namespace paceline::core
