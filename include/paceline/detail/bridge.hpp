// SPDX-License-Identifier: BSL-1.0
// The few functions that coroutine headers call into the library.
// Flow rooms: spawn, suspend, wake. Bodies: runtime/api/bridge.cpp and runtime/api/spawn.cpp.
// None of them may be inlined into a coroutine: they re-read the current worker (decision D15).
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>

#include <paceline/detail/promise.hpp>
#include <paceline/detail/suspension.hpp>
#include <paceline/options.hpp>

namespace paceline::core {
class RuntimeCore;
}

namespace paceline::detail {

using core::RuntimeCore;

// --- frames ---

// allocate_frame, free_frame and release_promise: see promise.hpp.

// --- suspending the current task; worker only ---

/// Suspends the current task at `where`, to be continued at `frame`. False: the task was asked to
/// stop, it is not suspended. Throws std::logic_error outside a task.
bool suspend_at(Suspension& where, std::coroutine_handle<> frame);
/// The same for an operation that cannot be cancelled: suspends whether or not stop was requested.
void suspend_regardless(Suspension& where, std::coroutine_handle<> frame);
/// The suspension just begun does not happen: the task goes on. Before await_suspend returns false
/// or throws.
void not_suspended() noexcept;
/// Where a stop request reaches a task. Good while it stays on its runtime.
struct StopView {
  const Atomic<std::uintptr_t>* task = nullptr;  // PromiseBase::stop of its root
  const Atomic<bool>* runtime = nullptr;

  bool requested() const noexcept {
    return (task->load(std::memory_order_seq_cst) & 1) != 0 ||  // M16
           runtime->load(std::memory_order_seq_cst);            // M17
  }
};
/// Suspends the current task behind every other ready task of its class.
StopView suspend_yielding(std::coroutine_handle<> frame);
/// Was the current task asked to stop? False outside a task.
StopView stop_view() noexcept;
inline bool stop_requested() noexcept {
  const StopView view = stop_view();
  return view.task != nullptr && view.requested();
}
/// Throws std::logic_error, naming `what`, if the caller is not a task.
void require_task(const char* what);
/// Lets the executor's loop resume `next` when its present resumption returns. False if there is no
/// such loop on this thread: resume it yourself.
bool post_transfer(std::coroutine_handle<> next) noexcept;

/// Exact resume: raises `where.ready` and makes the task ready. Any thread, once per suspension.
void complete(Suspension& where) noexcept;

// --- starting and joining ---

/// Starts `frame` as a root task. `core` null: the current runtime (std::logic_error if none).
/// `options` null: all defaults, the common case, which has nothing to check.
/// Throws std::invalid_argument, runtime_stopped or std::bad_alloc; then nothing was started and
/// the frame still belongs to the caller. Returns the task's id.
std::uint64_t spawn_root(RuntimeCore* core, PromiseBase& promise, std::coroutine_handle<> frame,
                         const spawn_options* options);

/// The same for the common case: on the current runtime, in the current task's class.
std::uint64_t spawn_child(PromiseBase& promise, std::coroutine_handle<> frame);

/// Children that are started together and waited for together.
///
/// Writers: finishing children (`remaining`, `first_failed`); the awaiting task before it starts
/// them. I1: the child that brings `remaining` to 0 completes the suspension and touches the group
/// no more; until then every child's frame is alive, so a failing child may ask the rest to stop.
struct JoinGroup : Suspension {
  explicit JoinGroup(const SuspensionOps& kind) noexcept : Suspension(kind) {}

  static constexpr std::size_t kNoFailure = ~std::size_t{0};

  PromiseBase** children = nullptr;
  std::size_t count = 0;
  // acq_rel on each decrement: the last child has seen all others' results, so has who it wakes.
  Atomic<std::size_t> remaining{0};
  Atomic<std::size_t> first_failed{kNoFailure};
  bool stop_forwarded = false;
};

/// Suspends the current task and starts all children of `group` (frames[i] belongs to children[i]).
/// False: nothing was started because the task was asked to stop. Throws std::bad_alloc or
/// runtime_stopped, then nothing was started either.
bool spawn_group(JoinGroup& group, const std::coroutine_handle<>* frames,
                 std::coroutine_handle<> parent);
extern const SuspensionOps join_group_ops;

/// Asks a root task to stop. Any thread that keeps its frame alive. True the first time.
bool request_stop(PromiseBase& promise) noexcept;

/// Registers the current task as the joiner. False: the task is finished already.
bool join_suspend(PromiseBase& promise, Suspension& where) noexcept;
/// Withdraws it again. False: the task has finished meanwhile and `where` is being completed.
bool join_withdraw(PromiseBase& promise, Suspension& where) noexcept;
/// Blocks the calling thread until the task is finished. Throws std::logic_error on a worker.
void join_blocking(PromiseBase& promise, const char* caller);
/// A destructor threw while a frame was destroyed: reports it on stderr.
void report_destructor_exception() noexcept;

/// Destroys a frame that is done or was never started. An exception from the destructor of an
/// argument is reported, not propagated: there is nobody left to catch it.
inline void destroy_frame(std::coroutine_handle<> frame) noexcept {
  try {
    frame.destroy();
  } catch (...) {
    report_destructor_exception();
  }
}

/// Gives up the handle's share of the frame; frees it if the task has finished.
void release_handle(PromiseBase& promise, std::coroutine_handle<> frame) noexcept;

}  // namespace paceline::detail
