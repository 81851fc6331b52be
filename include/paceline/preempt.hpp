// SPDX-License-Identifier: BSL-1.0
// For code that runs long, or waits deep inside ordinary functions.
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

#include <paceline/detail/safepoint.hpp>
#include <paceline/task.hpp>

namespace paceline {

/// A safepoint: if something more urgent waits, or something equally urgent has waited for a slice
/// (runtime_options::slice), the task gives way here and goes on later from exactly here, on the
/// same thread, with all of its call stack.
///
/// Costs about a nanosecond while nobody asks. Any call depth; no coroutine needed. Outside a task,
/// or while a nopreempt guard lives, it does nothing. Do not call it while holding a lock that
/// another task of the same worker may want (std::mutex and its like): nobody could release it.
/// Thread-local state of the application is whatever the tasks that ran in between left there.
/// Keeps errno, the floating-point control words and C++ exceptions in flight. Throws nothing.
inline void preempt_point() noexcept {
  if (detail::this_safepoint.request->load(std::memory_order_relaxed) != 0) [[unlikely]] {
    detail::at_safepoint();
  }
}

/// While one lives, its thread takes no safepoint: the task is not preempted. Guards nest; when the
/// last one ends, a request that came meanwhile is honoured. Must not live across a co_await: the
/// next task of the worker would inherit it. Keep it short, it delays everybody else.
class [[nodiscard("the guard protects only while it lives")]] nopreempt {
 public:
  nopreempt() noexcept { detail::begin_nopreempt(); }
  ~nopreempt() { detail::end_nopreempt(); }
  nopreempt(const nopreempt&) = delete;
  nopreempt& operator=(const nopreempt&) = delete;
};

/// Runs f here and returns what it returns. If that takes longer than some 50 us while other tasks
/// wait for this core, another thread takes the core over; this one finishes the task's present
/// run, beside it, and the task then goes on where there is room.
///
/// For system calls that may block and for library calls that take long. A call that returns soon
/// costs two atomic operations. Within f the thread is none of the runtime's: runtime::spawn works,
/// this_task, await_here and the free spawn do not. Nests; outside a task, under nopreempt and with
/// preemption_mode::off or safepoint f just runs. An exception of f passes through.
template <class F>
decltype(auto) blocking(F&& f) {
  const detail::BlockingScope scope;
  return std::forward<F>(f)();
}

namespace detail {

/// Checks that the caller may wait on its stack and sets aside what that takes. Throws
/// std::logic_error outside a task or under nopreempt, std::system_error
/// (resource_unavailable_try_again) if there is no stack to go on with.
void prepare_await_here();
/// Runs `frame`, which returns to its resumer when it has ended, and waits until it has.
void run_here(std::coroutine_handle<> frame) noexcept;

template <class A>
task<AwaitResult<A>> await_in_task(A&& awaitable) {
  co_return co_await std::forward<A>(awaitable);
}

}  // namespace detail

/// Awaits from plain code inside a task, at any call depth: the call stack waits, the core goes on
/// with other tasks. Value, exception and cancellation come back as from `co_await`.
///
/// Each waiting call keeps its stack (runtime_options::stack_size of address space, of which only
/// what was touched is memory). Throws std::logic_error outside a task or under nopreempt, and
/// std::system_error (resource_unavailable_try_again) if no stack can be had; then nothing was
/// awaited. The rules of preempt_point() about locks and thread-local state hold here, too. The
/// task stays on its thread until the call returns; awaiting a move to another runtime throws
/// std::logic_error.
template <class A>
detail::AwaitResult<A> await_here(A&& awaitable) {
  detail::prepare_await_here();
  task<detail::AwaitResult<A>> inner = detail::await_in_task(std::forward<A>(awaitable));
  const auto frame = detail::TaskAccess::handle(inner);
  frame.promise().root = true;  // ends by returning to whoever resumed it
  detail::run_here(frame);
  return frame.promise().take();
}

}  // namespace paceline
