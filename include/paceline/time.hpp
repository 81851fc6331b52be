// SPDX-License-Identifier: BSL-1.0
// Letting time pass: sleep_for, sleep_until.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>

namespace paceline {

namespace detail {

/// A timer in a worker's wheel, intrusive: it lives in the sleeping frame, so arming one allocates
/// nothing. All fields but `deadline_ns` belong to the wheel and its lock.
struct TimerNode : Suspension {
  explicit TimerNode(std::int64_t deadline_ns) noexcept;

  std::int64_t deadline_ns;  // steady clock; INT64_MAX: never
  TimerNode* next = nullptr;
  TimerNode* previous = nullptr;
  void* wheel = nullptr;  // where it is armed
  std::uint8_t level = 0;
  std::uint8_t slot = 0;
  bool armed = false;
  bool cancelled = false;
};

/// Suspends the current task until the node's deadline. False: asked to stop, not suspended.
bool sleep_suspend(TimerNode& node, std::coroutine_handle<> frame);

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// Steady nanoseconds from now, saturating at kNever.
std::int64_t deadline_after(std::int64_t delay_ns) noexcept;
[[noreturn]] void throw_bad_duration();

/// Any chrono duration in nanoseconds, rounded up, saturating. NaN throws std::invalid_argument.
template <class Rep, class Period>
constexpr std::int64_t saturated_ns(std::chrono::duration<Rep, Period> d) {
  using Wide = std::chrono::duration<long double, std::nano>;
  if constexpr (std::is_floating_point_v<Rep>) {
    if (std::isnan(d.count())) throw_bad_duration();
  }
  const long double wide = Wide(d).count();
  if (wide >= 9.2e18L) return kNever;
  if (wide <= -9.2e18L) return -kNever;
  return static_cast<std::int64_t>(std::chrono::ceil<std::chrono::nanoseconds>(d).count());
}

class SleepAwaiter : public NativeAwaiter {
 public:
  explicit SleepAwaiter(std::int64_t deadline_ns) noexcept : node_(deadline_ns) {}
  SleepAwaiter(const SleepAwaiter&) = delete;
  SleepAwaiter& operator=(const SleepAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame) {
    if (sleep_suspend(node_, frame)) return true;
    node_.cancelled = true;
    return false;
  }
  void await_resume() const {
    // Not armed: it only gave way, like yield.
    if (node_.cancelled || (node_.wheel == nullptr && stop_requested())) {
      throw operation_cancelled();
    }
  }

 private:
  TimerNode node_;
};

/// What sleep_for returns: a deadline, awaited as often as one likes.
class Sleep {
 public:
  explicit Sleep(std::int64_t deadline_ns) noexcept : deadline_ns_(deadline_ns) {}
  SleepAwaiter operator co_await() const noexcept { return SleepAwaiter(deadline_ns_); }

 private:
  std::int64_t deadline_ns_;
};

}  // namespace detail

/// Suspends the task for at least `d` by the steady clock; never shorter. Zero or less gives way
/// once, like yield(). The longest durations mean "until asked to stop". Task only
/// (std::logic_error elsewhere). NaN throws std::invalid_argument. Cancelling throws
/// operation_cancelled and loses nothing. Blocks nothing; allocates nothing.
template <class Rep, class Period>
detail::Sleep sleep_for(std::chrono::duration<Rep, Period> d) {
  return detail::Sleep(detail::deadline_after(detail::saturated_ns(d)));
}

/// Suspends the task until the steady clock has reached `when`. See sleep_for.
template <class Duration>
detail::Sleep sleep_until(std::chrono::time_point<std::chrono::steady_clock, Duration> when) {
  return detail::Sleep(detail::saturated_ns(when.time_since_epoch()));
}

}  // namespace paceline
