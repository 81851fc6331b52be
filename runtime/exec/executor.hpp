// SPDX-License-Identifier: BSL-1.0
// Executor: one stack that polls tasks, strong or weak.
// Flow rooms: run, preempt. Belongs to one ExecutorRuntime and one OS thread.
// It must never decide what to poll: the runtime picks, the executor resumes.
// Proof: tests/unit/exec/executor_test.cpp, tests/unit/exec/demotion_test.cpp.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <paceline/detail/suspension.hpp>

#include "machine/fiber.hpp"
#include "policy/turns.hpp"
#include "task/collection.hpp"

namespace paceline::core {

class ExecutorRuntime;

/// How the poll that just returned left its task.
enum class Outcome : std::uint8_t {
  none,       // nothing was said: it ended, or stays in a foreign awaitable
  suspended,  // waits for something
  yielded,    // ready, behind the others
  left,       // moved to another runtime, ready there
};

/// Where an executor stands while it does not run.
enum class Standing : std::uint8_t {
  at_rest,    // between two polls: nothing on its stack
  preempted,  // in the middle of a poll, may go on
  waiting,    // in the middle of a poll, for what its task is suspended on
};

/// The strong executor polls batch after batch. When it is parked in the middle of a poll it
/// becomes weak: it keeps its stack and its task, a fresh one takes over, and once it is resumed
/// and that poll has ended it is at rest again, free to be the next fresh one. It never takes a
/// second task while it is weak.
///
/// A weak executor has a slot of its own in a collection that thieves leave alone (decision 0010).
/// When it may go on, that slot's bit is set; which of those goes on is said by policy::Turns.
///
/// It runs on one thread for as long as anything is on its stack. If that thread loses its core,
/// the executor's runtime becomes the refuge of that thread (hand_over): so whoever stands on its
/// stack asks runtime() again after every stretch of user code.
///
/// Writers: its own thread, everything; another worker that claimed its waiting task: `gate.ready`,
/// before it sets the slot's bit. I1: a parked executor is published (slot, task) only after the
/// switch away from its stack, by the stack it went to. I2: while it is `waiting` the task's state
/// word decides who may resume; while it is `preempted` the task stays RUNNING and only the
/// executor's own slot can.
class Executor {
 public:
  /// Throws std::bad_alloc.
  Executor(ExecutorRuntime& runtime, std::size_t stack_bytes);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Runs it: a batch of polls, or the rest of the poll it was parked in. Returns when it stands.
  void enter() noexcept { fiber_.enter(); }
  /// Back to whoever entered. On this executor's stack.
  void leave() noexcept { fiber_.leave(); }
  /// Lets the loop end. Before destruction; only at rest.
  void retire() noexcept;

  /// Bytes of its stack below `here`, an address on it.
  std::size_t room_below(const void* here) const noexcept {
    return static_cast<std::size_t>(static_cast<const char*>(here) -
                                    static_cast<const char*>(fiber_.stack_bottom()));
  }

  /// Where it is parked; only while it is kept from running. Any thread.
  machine::Trace trace() const noexcept { return fiber_.trace(); }

  ExecutorRuntime& runtime() const noexcept { return *runtime_; }
  void set_runtime(ExecutorRuntime& runtime) noexcept { runtime_ = &runtime; }

  Standing standing = Standing::at_rest;
  bool weak = false;
  Slot* slot = nullptr;          // its own, while it has one
  bool entered_by_slot = false;  // resumed by a claim of its own slot, not of its task's
  Slot* next_slot = nullptr;     // in hand_over: where it moves
  Executor* next = nullptr;      // in the list of spare or of parked ones
  Executor* previous = nullptr;  // parked

  // While it is weak.
  policy::Share share;
  unsigned share_class = 0;
  unsigned share_group = 0;     // its task's
  std::uint64_t parked_at = 0;  // in the order of parking on one worker
  Nanos preempted_when = 0;     // if that is why it is parked

  // The poll it was parked in.
  Slot* task = nullptr;
  Outcome outcome = Outcome::none;
  bool waits_on_stack = false;
  bool yielded = false;            // waiting: ready at once, behind the others
  void* inner = nullptr;           // waiting: the coroutine that goes on
  std::coroutine_handle<> posted;  // see ExecutorRuntime::post_transfer
  std::vector<std::coroutine_handle<>> posted_more;
  // What the own slot waits for while the task waits: that somebody who claimed the task says so.
  detail::Suspension gate;

  /// A slot in the port it is about to move to. False: no memory.
  bool next_slot_in(Port& port) noexcept {
    next_slot = port.weak().allocate_shared(Role::pinned);
    return next_slot != nullptr;
  }
  void drop_next_slot() noexcept {
    if (next_slot != nullptr) TaskCollection::release(*std::exchange(next_slot, nullptr), false);
  }

  /// A slot's `resume` that means an executor instead of a coroutine.
  static void* tagged(Executor& executor) noexcept {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&executor) | 1);
  }
  static bool is_tagged(const void* resume) noexcept {
    return (reinterpret_cast<std::uintptr_t>(resume) & 1) != 0;
  }
  static Executor* of(void* resume) noexcept {
    return is_tagged(resume) ? reinterpret_cast<Executor*>(static_cast<char*>(resume) - 1)
                             : nullptr;
  }

 private:
  static void loop(void* self) noexcept;

  ExecutorRuntime* runtime_;
  machine::Fiber fiber_;
  bool retiring_ = false;
};

}  // namespace paceline::core
