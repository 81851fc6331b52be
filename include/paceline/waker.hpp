// SPDX-License-Identifier: BSL-1.0
// waker: tell a task to look again, from anywhere.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>

namespace paceline {

class waker;

namespace this_task {

/// A waker of the current task. Throws std::logic_error outside a task.
paceline::waker waker();

}  // namespace this_task

/// Names a task so that anybody can wake it: 16 bytes, trivially copyable, owns nothing.
///
/// wake() may be called late, twice or never, from any thread, from a signal handler, and after the
/// task or the whole runtime is gone: a wake that finds nobody is counted and ignored. It is one
/// atomic OR on the task's page; it allocates nothing, takes no lock and cannot fail. What the
/// caller wrote before wake() is visible to the task when it looks.
class waker {
 public:
  /// Wakes nobody.
  waker() noexcept = default;

  void wake() const noexcept;

  explicit operator bool() const noexcept { return static_cast<bool>(task_); }
  friend bool operator==(const waker&, const waker&) noexcept = default;

 private:
  friend waker this_task::waker();
  detail::TaskRef task_;
  std::uint64_t generation_ = 0;
};
static_assert(sizeof(waker) == 16 && std::is_trivially_copyable_v<waker>);

namespace detail {

template <class Ready, class Arm>
class WakerAwaiter : public NativeAwaiter {
 public:
  WakerAwaiter(Ready ready, Arm arm)
      : where_(*this), ready_(std::move(ready)), arm_(std::move(arm)) {}
  WakerAwaiter(const WakerAwaiter&) = delete;
  WakerAwaiter& operator=(const WakerAwaiter&) = delete;

  bool await_ready() { return ready_(); }
  bool await_suspend(std::coroutine_handle<> frame) {
    const waker self = this_task::waker();
    if (!suspend_at(where_, frame)) {
      where_.cancelled = true;
      return false;
    }
    try {
      arm_(self);
    } catch (...) {
      not_suspended();
      throw;
    }
    return true;
  }
  void await_resume() const {
    if (where_.cancelled) throw operation_cancelled();
  }

 private:
  struct Where : Suspension {
    explicit Where(WakerAwaiter& awaiter) noexcept : Suspension(kOps), owner(&awaiter) {}
    WakerAwaiter* owner;
    bool cancelled = false;
  };
  static bool poll(Suspension& where) noexcept {
    return static_cast<Where&>(where).owner->ready_();
  }
  static bool cancel(Suspension& where) noexcept {
    return static_cast<Where&>(where).cancelled = true;
  }
  static constexpr SuspensionOps kOps{"waker", &poll, &cancel};

  Where where_;
  Ready ready_;
  Arm arm_;
};

template <class Ready, class Arm>
struct SuspendUntil {
  Ready ready;
  Arm arm;
  auto operator co_await() && { return WakerAwaiter<Ready, Arm>(std::move(ready), std::move(arm)); }
};

}  // namespace detail

/// Suspends the task until `ready()` is true. `arm(waker)` is called once, when a wake can no
/// longer be missed: it hands the waker to whoever will make `ready()` true. `ready` is called on a
/// worker after each wake, must be noexcept and brief. Task only (std::logic_error elsewhere).
/// Cancelling throws operation_cancelled; what `arm` registered may still wake, to no effect.
template <class Ready, class Arm>
  requires std::is_nothrow_invocable_r_v<bool, Ready&> && std::invocable<Arm&, waker>
auto suspend_until(Ready ready, Arm arm) {
  return detail::SuspendUntil<Ready, Arm>{std::move(ready), std::move(arm)};
}

}  // namespace paceline
