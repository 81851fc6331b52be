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
using AwaitResult =
    decltype(std::declval<std::add_lvalue_reference_t<AwaiterOf<A>>>().await_resume());

template <class A>
concept NativeAwaitable =
    Awaitable<A> && std::is_base_of_v<NativeAwaiter, std::remove_cvref_t<AwaiterOf<A>>>;

/// The coroutine whose handle a foreign awaiter gets. Resuming it completes the suspension and
/// frees the bridge.
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

  static Bridge make(Suspension& where) {
    complete(where);
    co_return;
  }
};

extern const SuspensionOps foreign_ops;  // not cancellable: we cannot withdraw what is not ours

/// Awaits a foreign awaitable from a paceline task.
template <class A>
class ForeignAwaiter : public NativeAwaiter {
 public:
  explicit ForeignAwaiter(A&& awaitable)
      : awaiter_(get_awaiter(std::forward<A>(awaitable))), where_(foreign_ops) {}
  ForeignAwaiter(const ForeignAwaiter&) = delete;
  ForeignAwaiter& operator=(const ForeignAwaiter&) = delete;

  bool await_ready() { return awaiter_.await_ready(); }

  std::coroutine_handle<> await_suspend(std::coroutine_handle<> frame) {
    Bridge bridge = Bridge::make(where_);
    suspend_regardless(where_, frame);
    using Verdict = decltype(awaiter_.await_suspend(bridge.handle));
    try {
      if constexpr (std::is_void_v<Verdict>) {
        awaiter_.await_suspend(bridge.handle);
      } else if constexpr (std::is_same_v<Verdict, bool>) {
        if (!awaiter_.await_suspend(bridge.handle)) {
          bridge.handle.destroy();
          return frame;
        }
      } else {
        return awaiter_.await_suspend(bridge.handle);
      }
    } catch (...) {
      bridge.handle.destroy();
      throw;
    }
    return std::noop_coroutine();
  }

  decltype(auto) await_resume() { return awaiter_.await_resume(); }

 private:
  AwaiterOf<A> awaiter_;
  Suspension where_;
};

}  // namespace paceline::detail
