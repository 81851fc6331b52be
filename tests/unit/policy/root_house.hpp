// SPDX-License-Identifier: BSL-1.0
// A root with its memory and its tasks, and a driver that lets one worker run always-ready tasks.
#pragma once

#include <map>
#include <vector>

#include "policy/root.hpp"

namespace paceline_test {

using namespace paceline::core;
using namespace paceline::core::policy;

struct RootHouse {
  std::vector<RootTask> tasks;
  std::vector<GroupEntry> groups;
  std::vector<std::uint32_t> queues;
  Root root;

  explicit RootHouse(unsigned task_count, unsigned group_count, unsigned workers = 1)
      : tasks(task_count),
        groups(group_count * kClasses),
        queues(groups.size()),
        root(class_table(), {tasks, groups, queues}, workers) {}

  /// Describes a task. Priority 0: that of its class.
  void define(unsigned task, unsigned q, unsigned group = 0, int priority = 0,
              Reach reach = Reach::free) {
    tasks[task].q = static_cast<std::uint8_t>(q);
    tasks[task].group = group;
    tasks[task].base = static_cast<std::uint8_t>(priority != 0 ? priority : kClassRows[q].base);
    tasks[task].reach = reach;
  }
  /// Makes the group have this score in a class: what it did before is forgotten.
  void set_score(unsigned group, unsigned q, int score) {
    const Nanos unit = 10 * kMillisecond;
    Interactivity& history = groups[group * kClasses + q].history;
    history = {score > 8 ? unit * (16 - score) : unit * 8, score > 8 ? unit * 8 : unit * score,
               static_cast<std::uint8_t>(score), false};
  }
  /// Takes a task and ends it.
  unsigned take(Nanos now) {
    const unsigned task = root.take(now).task;
    if (task != kNoTask) root.stop(task, StopReason::blocked, now);
    return task;
  }
};

/// One worker and tasks that are always ready. Decisions fall at the ends of quanta.
class Saturated {
 public:
  struct Switch {
    Nanos at;
    unsigned q;
  };

  /// One task for each class of `classes`, in groups of their own, queued at 0.
  explicit Saturated(const std::vector<unsigned>& classes)
      : house_(static_cast<unsigned>(classes.size()), static_cast<unsigned>(classes.size())) {
    for (unsigned i = 0; i < classes.size(); ++i) {
      house_.define(i, classes[i], i);
      house_.root.wake(i, 0);
    }
  }

  void run(Nanos until) {
    if (current_ == kNoTask) enter(house_.root.take(0).task);
    while (now_ < until) {
      const unsigned q = house_.tasks[current_].q;
      Nanos ran = kClassRows[q].quantum;
      now_ += ran;
      used_[q] += ran;
      house_.root.charge(current_, ran);
      while (now_ >= next_tick_) {
        house_.root.tick(next_tick_);
        next_tick_ += kTick;
      }
      if (house_.root.peek(now_, current_).task == current_) continue;
      const unsigned next = house_.root.take(now_, current_).task;
      house_.root.stop(current_, StopReason::preempted, now_);
      enter(next);
    }
  }

  const std::vector<Switch>& switches() const { return switches_; }
  Nanos now() const { return now_; }
  Nanos used(unsigned q) const { return used_.count(q) == 1 ? used_.at(q) : 0; }
  RootHouse& house() { return house_; }

  /// Starts of a class's runs.
  std::vector<Nanos> starts(unsigned q) const {
    std::vector<Nanos> all;
    for (const Switch& s : switches_) {
      if (s.q == q) all.push_back(s.at);
    }
    return all;
  }

 private:
  void enter(unsigned task) {
    current_ = task;
    switches_.push_back({now_, house_.tasks[task].q});
  }

  RootHouse house_;
  unsigned current_ = kNoTask;
  Nanos now_ = 0;
  Nanos next_tick_ = kTick;
  std::map<unsigned, Nanos> used_;
  std::vector<Switch> switches_;
};

}  // namespace paceline_test
