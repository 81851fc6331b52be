// SPDX-License-Identifier: BSL-1.0
// The part of a task's promise that does not depend on its result type.
// Flow rooms: spawn, end, join. Written by the worker that runs the task and by the holder of its
// join handle; everything they share is in the two atomic words below.
// It must never be touched by a waker: it lives in the frame, and wakers may be late.
// Proof: tests/model/join_model.cpp, tests/unit/api/join_handle_test.cpp.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>

#include <paceline/detail/atomic.hpp>
#include <paceline/detail/suspension.hpp>

namespace paceline::detail {

struct TaskExtras;  // name, external stop token: only for tasks that have them
struct StopRecord;  // a std::stop_source somebody asked for

/// The join word of a root task: who waits for it, and who frees its frame.
///
/// Writers: the finishing worker (exchange to `done`), the handle (one exchange or CAS at a time).
/// States: 0 (handle held, nobody waits) -> waiter | detached -> done. Tags in the low bits say
/// what a waiter is.
/// I1: exactly one side sees the other's final move: the one that comes second frees the frame (or
///     lets the joiner free it).
/// I2: after its exchange to `done` the finishing worker does not touch the frame unless the word
///     was `detached`.
/// Progress: wait-free on both sides. Lifetime: that of the frame.
namespace join_word {
inline constexpr std::uintptr_t none = 0;
inline constexpr std::uintptr_t done = 1;
inline constexpr std::uintptr_t detached = 2;
inline constexpr std::uintptr_t tag_mask = 7;
inline constexpr std::uintptr_t tag_suspension = 3;  // a Suspension*
inline constexpr std::uintptr_t tag_thread = 4;      // a BlockingWaiter*
inline constexpr std::uintptr_t tag_group = 5;       // a JoinGroup*
}  // namespace join_word

void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;
void release_promise(struct PromiseBase& promise) noexcept;

/// Base of every task promise. One frame is either *nested* (awaited by another coroutine: `link`
/// is that coroutine's address) or a *root* (spawned: `link` is its join word, `self` its slot).
struct PromiseBase {
  PromiseBase() noexcept = default;
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;
  ~PromiseBase() {
    if (extras != nullptr || stop.load(std::memory_order_relaxed) > 1 ||
        lent.load(std::memory_order_relaxed) != 0) {
      release_promise(*this);
    }
  }

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

  Atomic<std::uintptr_t> link{0};
  // 0, then bit 0 once stop is requested; the other bits point to a StopRecord if one was asked
  // for.
  Atomic<std::uintptr_t> stop{0};
  // The root's slot (TaskRef::bits). Seq_cst where it changes and where a stop request follows it:
  // a task that moves stores `self` and then looks at `stop`, a stopper raises `stop` and then
  // loads `self`; one of them sees the other.
  Atomic<std::uintptr_t> self{0};
  TaskExtras* extras = nullptr;  // owned
  std::exception_ptr error;      // set when the body ended with an exception
  // Of the runtime that runs or ran this root; relaxed, a root may move while somebody joins it.
  Atomic<std::uint32_t> runtime_id{0};
  std::uint8_t level = 0;  // of awaiting, modulo 256: see transfer.hpp
  bool root = false;
  bool error_seen = false;  // somebody rethrew it: not unhandled
  bool abandoned = false;   // given up at shutdown: its frame is never destroyed
  // The root's stand-in in a more important class (TaskRef::bits), lent by who awaits it; 0: none.
  Atomic<std::uintptr_t> lent{0};
};

}  // namespace paceline::detail
