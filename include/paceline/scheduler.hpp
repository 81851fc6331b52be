// SPDX-License-Identifier: BSL-1.0
// scheduler: where to run, as a value; resume_on: go there.
#pragma once

#include <coroutine>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>

namespace paceline {

namespace detail {

void retain_core(RuntimeCore* core) noexcept;
void release_core(RuntimeCore* core) noexcept;
/// Moves the current task to `core`, or, outside a task, posts `frame` to its inbox. Throws
/// runtime_stopped or std::bad_alloc; then nothing has moved. False: the task was asked to stop.
bool schedule_on(RuntimeCore* core, std::coroutine_handle<> frame);

class ScheduleAwaiter : public NativeAwaiter {
 public:
  explicit ScheduleAwaiter(RuntimeCore* core) noexcept : core_(core) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame) {
    // Once scheduled, the coroutine may have run elsewhere and be gone, and this awaiter with it.
    if (schedule_on(core_, frame)) return true;
    cancelled_ = true;
    return false;
  }
  void await_resume() const {
    if (cancelled_ || stop_requested()) throw operation_cancelled();
  }

 private:
  RuntimeCore* core_;
  bool cancelled_ = false;
};

}  // namespace detail

/// A copyable handle to a runtime. Valid after the runtime is gone; scheduling then throws
/// runtime_stopped. An empty one throws std::logic_error.
class scheduler {
 public:
  scheduler() noexcept = default;
  scheduler(const scheduler& other) noexcept : core_(other.core_) { detail::retain_core(core_); }
  scheduler(scheduler&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  scheduler& operator=(scheduler other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~scheduler() { detail::release_core(core_); }

  /// `co_await s.schedule()` continues on a worker of the runtime: a task moves there with its
  /// name, class and handle; any other coroutine is posted to a worker's inbox and runs outside a
  /// task. Cancelling (task only) throws operation_cancelled, before or after the move.
  detail::ScheduleAwaiter schedule() const { return detail::ScheduleAwaiter(checked()); }

  friend bool operator==(const scheduler&, const scheduler&) noexcept = default;

 private:
  friend class runtime;
  explicit scheduler(detail::RuntimeCore* core) noexcept : core_(core) {
    detail::retain_core(core_);
  }
  detail::RuntimeCore* checked() const;

  detail::RuntimeCore* core_ = nullptr;
};

/// Continues the current coroutine on another runtime; on its own it is a yield. Wakers taken
/// before the move no longer reach the task.
inline detail::ScheduleAwaiter resume_on(const scheduler& where) { return where.schedule(); }

}  // namespace paceline
