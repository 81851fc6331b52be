// SPDX-License-Identifier: BSL-1.0
// task<T>: the lazy coroutine.
#pragma once

#include <coroutine>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/detail/promise.hpp>
#include <paceline/detail/result.hpp>
#include <paceline/detail/transfer.hpp>

namespace paceline {

template <class T>
class task;

namespace detail {

struct FinalAwaiter {
  bool await_ready() noexcept { return false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> frame) noexcept {
    PromiseBase& child = frame.promise();
    // A root returns to its executor, which sees that the frame is done.
    if constexpr (kTransferIsTailCall) {
      return child.root ? std::coroutine_handle<>(std::noop_coroutine())
                        : std::coroutine_handle<>::from_address(
                              reinterpret_cast<void*>(child.link.load(std::memory_order_relaxed)));
    } else {
      if (!child.root) leave_child(child);
    }
  }
  void await_resume() noexcept {}
};

template <class T>
struct TaskPromiseBase : PromiseBase {
  task<T> get_return_object() noexcept;
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }

  /// Awaiters of this library see the task's own handle; all others get a bridge.
  template <Awaitable A>
  decltype(auto) await_transform(A&& awaitable) {
    if constexpr (NativeAwaitable<A> && !std::is_reference_v<AwaiterOf<A>>) {
      // By elision: awaiters do not move, and g++-12 would copy one given by reference.
      return get_awaiter(static_cast<A&&>(awaitable));
    } else if constexpr (NativeAwaitable<A>) {
      return std::remove_cvref_t<A>(static_cast<A&&>(awaitable));
    } else {
      return ForeignAwaiter<A>(static_cast<A&&>(awaitable));
    }
  }

  T take() {
    if (error) {
      error_seen = true;
      std::rethrow_exception(std::move(error));
    }
    return result.take();
  }

  [[no_unique_address]] ResultSlot<T> result;
};

template <class T>
struct TaskPromise : TaskPromiseBase<T> {
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) {
    this->result.set(std::forward<U>(value));
  }
};

template <class T>
struct TaskPromise<T&> : TaskPromiseBase<T&> {
  void return_value(T& value) noexcept { this->result.set(value); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase<void> {
  void return_void() noexcept {}
};

/// Lets the library reach the coroutine inside a task.
struct TaskAccess {
  template <class T>
  static std::coroutine_handle<TaskPromise<T>> handle(const task<T>& t) noexcept {
    return t.frame_;
  }
  template <class T>
  static std::coroutine_handle<TaskPromise<T>> release(task<T>& t) noexcept {
    return std::exchange(t.frame_, nullptr);
  }
};

template <class T>
class TaskAwaiter : public NativeAwaiter {
 public:
  explicit TaskAwaiter(std::coroutine_handle<TaskPromise<T>> child) noexcept : child_(child) {}
  TaskAwaiter(const TaskAwaiter&) = delete;
  TaskAwaiter& operator=(const TaskAwaiter&) = delete;
  ~TaskAwaiter() { destroy_frame(child_); }

  bool await_ready() noexcept { return false; }
  template <class Parent>
  auto await_suspend(std::coroutine_handle<Parent> parent) {
    PromiseBase& child = child_.promise();
    if constexpr (kTransferIsTailCall) {
      child.link.store(reinterpret_cast<std::uintptr_t>(parent.address()),
                       std::memory_order_relaxed);
      return std::coroutine_handle<>(child_);
    } else {
      return enter_child(child, child_, parent);
    }
  }
  T await_resume() { return child_.promise().take(); }

 private:
  std::coroutine_handle<TaskPromise<T>> child_;
};

[[noreturn]] void throw_empty_task(const char* what);

}  // namespace detail

/// A lazy coroutine: nothing of its body runs until it is awaited or spawned.
///
/// Move-only and awaited once; destroying a task that was not started destroys its arguments and
/// nothing else. T is void, a reference, or any movable type. An exception that leaves the body is
/// rethrown where the task is awaited or joined.
///
/// `co_await child()` runs the child at once on the same worker as part of the same spawned task:
/// it shares the parent's class, name and stop token, and costs a frame but no slot, no atomic
/// operation and no trip through the scheduler.
template <class T = void>
class [[nodiscard("a task does nothing until it is awaited or spawned")]] task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using value_type = T;

  /// An empty task; awaiting or spawning it is an error.
  task() noexcept = default;
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (frame_) detail::destroy_frame(frame_);
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~task() {
    if (frame_) detail::destroy_frame(frame_);
  }

  /// False once the task was moved from, awaited or spawned.
  explicit operator bool() const noexcept { return frame_ != nullptr; }

  /// Runs the task to its end and gives its value or rethrows. Consumes the task. Throws
  /// std::logic_error if it is empty. Blocks nothing. Cancelling loses nothing by itself: the stop
  /// request reaches what the child is suspended on.
  auto operator co_await() && { return detail::TaskAwaiter<T>(consume()); }
  auto operator co_await() & { return detail::TaskAwaiter<T>(consume()); }

 private:
  friend struct detail::TaskAccess;
  friend struct detail::TaskPromiseBase<T>;

  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> consume() {
    if (!frame_) detail::throw_empty_task("co_await");
    return std::exchange(frame_, nullptr);
  }

  std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T>
task<T> TaskPromiseBase<T>::get_return_object() noexcept {
  return task<T>(
      std::coroutine_handle<TaskPromise<T>>::from_promise(static_cast<TaskPromise<T>&>(*this)));
}

}  // namespace detail
}  // namespace paceline
