// SPDX-License-Identifier: BSL-1.0
// Timers without a runtime: nodes whose completion can be seen, on a task that nobody polls.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include <paceline/time.hpp>

#include "sched/timers.hpp"
#include "unit/task/home.hpp"

namespace paceline_test {

/// Nodes belong to a suspended task; a node that fires raises its `ready` and wakes that task.
class Timers {
 public:
  Timers() : task_(home_.task().ref()) {}

  paceline::detail::TimerNode& node(core::Nanos deadline) {
    paceline::detail::TimerNode& made = nodes_.emplace_back(deadline);
    made.task = task_;
    return made;
  }
  /// Calls `observe` after each completion, on the thread that completes.
  void on_completion(std::function<void()> observe) {
    observer_ = std::move(observe);
    home_.port.work_added = [](core::Port&, unsigned, bool) noexcept { observer_(); };
  }
  static bool fired(const paceline::detail::TimerNode& node) { return node.ready.load() != 0; }

 private:
  Home home_;
  paceline::detail::TaskRef task_;
  std::deque<paceline::detail::TimerNode> nodes_;
  static inline std::function<void()> observer_;
};

}  // namespace paceline_test
