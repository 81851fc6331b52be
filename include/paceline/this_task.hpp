// SPDX-License-Identifier: BSL-1.0
// The task that is running now: yield and what it may ask about itself.
#pragma once

#include <coroutine>
#include <cstddef>
#include <stop_token>
#include <string_view>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>
#include <paceline/qos.hpp>
#include <paceline/spawn.hpp>

namespace paceline {

namespace detail {

class YieldAwaiter : public NativeAwaiter {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame) { stop_ = suspend_yielding(frame); }
  void await_resume() const {
    if (stop_.requested()) throw operation_cancelled();
  }

 private:
  StopView stop_;
};

}  // namespace detail

/// Gives way once to every task of the class that is ready now. Task only: throws std::logic_error
/// elsewhere. Cancelling throws operation_cancelled and loses nothing.
inline detail::YieldAwaiter yield() noexcept { return {}; }

/// All of these throw std::logic_error outside a task; none blocks.
namespace this_task {

task_id id();
/// The name given at spawn, or empty. Valid until the task ends.
std::string_view name();
paceline::qos qos();
/// The name of the task's group, or empty. Valid until the task ends.
std::string_view group();
/// Index of the worker that runs this poll, 0..workers-1. May differ after every suspension.
std::size_t worker();
/// A token that is stopped when the task is asked to stop, for libraries that take one. The first
/// call in a task allocates: std::bad_alloc.
std::stop_token stop_token();
/// Changes the class of this task from now on. Wakers taken before no longer reach it. One that
/// makes itself less important than who awaits it already is lent nothing by that one. Throws
/// std::invalid_argument for a value outside the enum and std::bad_alloc; then nothing changed.
void set_qos(paceline::qos q);

}  // namespace this_task
}  // namespace paceline
