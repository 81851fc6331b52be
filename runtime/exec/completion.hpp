// SPDX-License-Identifier: BSL-1.0
// The end of a task and what it sets in motion: joins, groups, stop requests.
// Flow rooms: end, wake. finish() runs on the poller; the rest on any thread.
// It must never touch a frame after the join word said that somebody else frees it.
// Proof: tests/model/join_model.cpp, tests/model/stay_model.cpp,
// tests/unit/api/join_handle_test.cpp, tests/unit/api/stay_test.cpp.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <stop_token>

#include <paceline/detail/awaitable.hpp>
#include <paceline/detail/bridge.hpp>
#include <paceline/detail/promise.hpp>
#include <paceline/detail/suspension.hpp>

#include "base/atomic.hpp"
#include "task/slot.hpp"

namespace paceline::core {

class ExecutorRuntime;
struct TaskName;

/// A thread that waits for a task. On that thread's stack.
struct alignas(8) BlockingWaiter {
  // 0, then 1 once. Release by the finisher, acquire by the waiter: publishes the task's end.
  Atomic<std::uint32_t> done{0};
};

/// Asks a task to stop when an external token is.
struct StopForwarder {
  detail::PromiseBase* promise;
  void operator()() const noexcept { detail::request_stop(*promise); }
};

}  // namespace paceline::core

namespace paceline::detail {

/// What few tasks have. Owned by the promise; dies with the frame.
struct TaskExtras {
  core::TaskName* name = nullptr;
  int nice = 0;  // -20..19, see spawn_options
  std::optional<std::stop_callback<core::StopForwarder>> external_stop;
};

/// A stop source somebody asked for. Listed with the runtime, so that stopping the runtime reaches
/// tokens that left the task.
struct StopRecord {
  std::stop_source source;
  std::uint32_t runtime_id = 0;
  StopRecord* next = nullptr;
  StopRecord* previous = nullptr;
};

}  // namespace paceline::detail

namespace paceline::core {

/// The current task's root frame is done: vacates the slot, hands the result on, frees the frame if
/// nobody wants it.
void finish(ExecutorRuntime& runtime, Slot& slot) noexcept;

/// Vacates a slot and gives it back. The poller.
void vacate(ExecutorRuntime& runtime, Slot& slot) noexcept;

/// The finishing half of the join word: publishes the end and wakes whoever waits. True if the
/// frame is now the caller's to destroy.
bool publish_end(detail::PromiseBase& promise) noexcept;

/// The resting half of a stay, asked by the poller whose task comes to rest in one: was it
/// completed while the task waited for something else, or is it being completed? Then its bit is
/// spent, or may go to a slot that the task has left, and nobody sets another.
bool stay_is_over(const detail::ForeignStay& stay) noexcept;

}  // namespace paceline::core
