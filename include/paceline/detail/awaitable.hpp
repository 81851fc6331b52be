// SPDX-License-Identifier: BSL-1.0
// Which awaiters may see a task's own coroutine handle, and the bridge for all others.
//
// A paceline task is resumed by its slot's bit and state word only (decision D1). An awaiter of
// somebody else's library would resume the handle it is given directly, from any thread; it gets
// the handle of a bridge coroutine instead, whose resumption is an exact wake of the task.
// Proof: tests/unit/api/foreign_awaitable_test.cpp.
#pragma once

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include <paceline/detail/bridge.hpp>

namespace paceline::detail {

/// Base of awaiters that follow the slot protocol.
struct NativeAwaiter {};

template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return static_cast<A&&>(awaitable);
  }
}

template <class A>
using AwaiterOf = decltype(get_awaiter(std::declval<A>()));

template <class A>
concept Awaitable = requires(AwaiterOf<A> awaiter) {
  { awaiter.await_ready() };
  { awaiter.await_resume() };
};

template <class A>
using RawAwaitResult =
    decltype(std::declval<std::add_lvalue_reference_t<AwaiterOf<A>>>().await_resume());
/// What a task that awaits A returns: an rvalue reference into the awaiter would dangle.
template <class A>
using AwaitResult =
    std::conditional_t<std::is_rvalue_reference_v<RawAwaitResult<A>>,
                       std::remove_reference_t<RawAwaitResult<A>>, RawAwaitResult<A>>;

template <class A>
concept NativeAwaitable =
    Awaitable<A> && std::is_base_of_v<NativeAwaiter, std::remove_cvref_t<AwaiterOf<A>>>;

/// A task's stay in somebody else's awaitable. Foreign code may run paceline tasks in between,
/// which suspend and resume as part of the same task, so the task remembers its foreign stays as a
/// stack: when a poll ends without a suspension of its own it stands at the innermost of them.
struct ForeignStay : Suspension {
  ForeignStay() noexcept;
  std::coroutine_handle<> frame;  // goes on here
  ForeignStay* outer = nullptr;
  Atomic<std::uint32_t> completing{0};  // raised by the completer before it looks for the task
};

/// Suspends the current task at `stay`, whether or not stop was requested. Throws std::logic_error
/// outside a task.
void begin_stay(ForeignStay& stay, std::coroutine_handle<> frame);
/// The stay is over: its awaiter is resumed, or was never really suspended. The task itself.
void end_stay(ForeignStay& stay) noexcept;
/// What the awaitable was waiting for has come. Any thread, once.
void complete_stay(ForeignStay& stay) noexcept;

/// The coroutine whose handle a foreign awaiter gets. Resuming it completes the stay and frees the
/// bridge.
struct Bridge {
  struct promise_type {
    Bridge get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }
  };
  std::coroutine_handle<> handle;

  static Bridge make(ForeignStay& stay) {
    complete_stay(stay);
    co_return;
  }
};

/// Awaits a foreign awaitable from a paceline task.
template <class A>
class ForeignAwaiter : public NativeAwaiter {
 public:
  explicit ForeignAwaiter(A&& awaitable) : awaiter_(get_awaiter(std::forward<A>(awaitable))) {}
  ForeignAwaiter(const ForeignAwaiter&) = delete;
  ForeignAwaiter& operator=(const ForeignAwaiter&) = delete;

  bool await_ready() { return awaiter_.await_ready(); }

  std::coroutine_handle<> await_suspend(std::coroutine_handle<> frame) {
    begin_stay(stay_, frame);
    staying_ = true;
    Bridge bridge = make_bridge();
    using Verdict = decltype(awaiter_.await_suspend(bridge.handle));
    try {
      if constexpr (std::is_void_v<Verdict>) {
        awaiter_.await_suspend(bridge.handle);
      } else if constexpr (std::is_same_v<Verdict, bool>) {
        if (!awaiter_.await_suspend(bridge.handle)) {
          bridge.handle.destroy();
          leave();
          return frame;
        }
      } else {
        return awaiter_.await_suspend(bridge.handle);
      }
    } catch (...) {
      bridge.handle.destroy();
      leave();
      throw;
    }
    return std::noop_coroutine();
  }

  decltype(auto) await_resume() {
    leave();
    return awaiter_.await_resume();
  }

 private:
  Bridge make_bridge() {
    try {
      return Bridge::make(stay_);
    } catch (...) {
      leave();
      throw;
    }
  }
  void leave() noexcept {
    if (staying_) end_stay(stay_);
    staying_ = false;
  }

  AwaiterOf<A> awaiter_;
  ForeignStay stay_;
  bool staying_ = false;
};

}  // namespace paceline::detail
