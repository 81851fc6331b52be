// SPDX-License-Identifier: BSL-1.0
// Proves how executors share a core, in virtual time: equal hogs equally, others by their nice
// values, and short tasks before both.
#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "exec/completion.hpp"
#include "support/catch.hpp"
#include "unit/exec/stage.hpp"

using namespace paceline::core;
using namespace paceline_test;

namespace {

/// Takes a slice after the other until `stop`, and counts them.
paceline::task<> slices(Stage& stage, int& taken, const bool& stop) {
  while (!stop) {
    stage.desk.ask(Ask::slice);
    paceline::preempt_point();
    ++taken;
  }
  co_return;
}

paceline::task<> yields(Stage& stage, Nanos each, Nanos& had, const bool& stop) {
  while (!stop) {
    stage.desk.pass(each);
    had += each;
    co_await paceline::yield();
  }
}

/// Computes until `until` and is asked to give way at the ends of turns that its worker tells of.
paceline::task<> computes(Stage& stage, Nanos until, Nanos& longest_wait) {
  const auto& turn_end = stage.desk.home().port.turn_end;
  while (stage.desk.now() < until) {
    stage.desk.pass(100 * kMicrosecond);
    const Nanos before = stage.desk.now();
    if (before >= turn_end.load(std::memory_order_relaxed)) stage.desk.ask(Ask::urgent);
    paceline::preempt_point();
    longest_wait = std::max(longest_wait, stage.desk.now() - before);
  }
  co_return;
}

}  // namespace

TEST_CASE("equal hogs get equal shares of their core") {
  for (const int hogs : {2, 3, 8, 31}) {
    Stage stage;
    bool stop = false;
    std::vector<int> taken(static_cast<std::size_t>(hogs));
    for (int& each : taken) stage.desk.spawn(slices(stage, each, stop));
    const Nanos until = stage.desk.now() + hogs * 100 * Desk::kSlice;
    while (stage.desk.now() < until) stage.desk.step(1);
    stop = true;
    stage.desk.run_dry();
    const auto [least, most] = std::minmax_element(taken.begin(), taken.end());
    INFO(hogs << " hogs: " << *least << " to " << *most);
    REQUIRE(*most <= *least + 5);  // of 100 each
    REQUIRE(*least >= 95);
  }
}

TEST_CASE("hogs share their core by their nice values") {
  Stage stage;
  bool stop = false;
  int first = 0;
  int second = 0;
  stage.desk.spawn(slices(stage, first, stop));
  Slot& kinder = stage.desk.spawn(slices(stage, second, stop));
  kinder.root->extras = new paceline::detail::TaskExtras;
  kinder.root->extras->nice = 5;  // 335 to 1024
  while (first + second < 1000) stage.desk.step(1);
  stop = true;
  stage.desk.run_dry();
  REQUIRE(first >= 1000 * 1024 / (1024 + 335) - 5);
  REQUIRE(second >= 1000 * 335 / (1024 + 335) - 5);
}

TEST_CASE("a stream of short tasks and a hog share their core, and neither waits for long") {
  Stage stage;
  bool stop = false;
  int taken = 0;
  Nanos had = 0;
  stage.desk.spawn(slices(stage, taken, stop));
  stage.desk.spawn(yields(stage, 50 * kMicrosecond, had, stop));
  const Nanos from = stage.desk.now();
  while (stage.desk.now() - from < 400 * Desk::kSlice) stage.desk.step(16);
  stop = true;
  stage.desk.run_dry();
  const Nanos hog = taken * Desk::kSlice;
  INFO("hog " << hog << " short " << had);
  // Between equal shares and the strong executor's weight of two tasks.
  REQUIRE(hog >= 400 * Desk::kSlice / 4);
  REQUIRE(had >= 400 * Desk::kSlice / 3);
}

TEST_CASE("a short task that becomes ready among hogs waits for no more than the slice that runs") {
  Stage stage;
  bool stop = false;
  std::vector<int> taken(8);
  for (int& each : taken) stage.desk.spawn(slices(stage, each, stop));
  const auto total = [&] { return std::accumulate(taken.begin(), taken.end(), 0); };
  for (int i = 0; i < 20; ++i) {
    for (int s = 0; s < 30; ++s) stage.desk.step(1);
    stage.story.clear();
    stage.desk.spawn(say_once(stage, "short"));
    const int before = total();
    while (stage.story.empty()) stage.desk.step(1);
    REQUIRE(total() - before <= 1);
  }
  stop = true;
  stage.desk.run_dry();
}

TEST_CASE("a worker tells when its class's turn ends, and being asked then is enough for turns") {
  Stage stage;
  Nanos upper_waits = 0;
  Nanos lower_waits = 0;
  const Nanos until = stage.desk.now() + 2 * kSecond;
  stage.desk.spawn(computes(stage, until, upper_waits), 1);
  stage.desk.spawn(computes(stage, until, lower_waits), 5);
  stage.desk.run_dry();
  REQUIRE(upper_waits == 2 * kMillisecond);
  REQUIRE(lower_waits == 270 * kMillisecond);
}

TEST_CASE("a class that is alone has no turn that ends") {
  Stage stage;
  Nanos waits = 0;
  stage.desk.spawn(computes(stage, stage.desk.now() + kSecond, waits), 3);
  stage.desk.run_dry();
  REQUIRE(waits == 0);
  REQUIRE(stage.desk.home().port.turn_end.load(std::memory_order_relaxed) == kForever);
}
