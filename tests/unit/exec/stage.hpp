// SPDX-License-Identifier: BSL-1.0
// A desk whose tasks say what they do, and ask for their own preemption.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <paceline/preempt.hpp>
#include <paceline/task.hpp>
#include <paceline/this_task.hpp>

#include "unit/exec/desk.hpp"

namespace paceline_test {

using Story = std::vector<std::string>;

/// What stands behind the tasks of these tests: plain functions that ask for their own preemption.
struct Stage {
  Desk desk;
  Story story;

  void say(const std::string& line) { story.push_back(line); }
  std::uint64_t demotions() { return desk.count(desk.runtime().counters().demotions_safepoint); }
};

inline paceline::task<> say_once(Stage& stage, std::string line) {
  stage.say(line);
  co_return;
}

inline paceline::task<> hog(Stage& stage, std::string name, int slices) {
  for (int i = 0; i < slices; ++i) {
    stage.say(name + std::to_string(i));
    stage.desk.ask(core::Ask::slice);
    paceline::preempt_point();
  }
  stage.say(name + " ends");
  co_return;
}

}  // namespace paceline_test
