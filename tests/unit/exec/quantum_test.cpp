// SPDX-License-Identifier: BSL-1.0
// Proves what a quantum is worth, in virtual time: a task goes before its equals in its first one
// only, and what it takes beyond is billed to it and to its group (statements 33 and 34).
#include <algorithm>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "unit/exec/stage.hpp"

using namespace paceline::core;
using namespace paceline_test;

namespace {

constexpr unsigned kClass = Home::kClass;

void take_slice(Stage& stage) {
  stage.desk.ask(Ask::slice);
  paceline::preempt_point();
}

/// Takes so many slices, then overruns one by so many others, then takes one more.
paceline::task<> overruns(Stage& stage, std::string name, int slices, int overrun) {
  for (int i = 0; i < slices; ++i) {
    stage.say(name);
    take_slice(stage);
  }
  stage.say(name + " overruns");
  stage.desk.pass((overrun - 1) * Desk::kSlice);
  take_slice(stage);
  stage.say(name);
  co_return;
}

/// How many turns others had between the overrun of a task and its next turn.
int turns_after_overrun(const Story& story, const std::string& name) {
  auto at = std::find(story.begin(), story.end(), name + " overruns");
  REQUIRE(at != story.end());
  const auto begin = ++at;
  return static_cast<int>(std::find(begin, story.end(), name) - begin);
}

/// Short polls until the end; one of them lasts as long as is wished.
paceline::task<> works(Stage& stage, Nanos& had, Nanos& one_long, const bool& stop) {
  while (!stop) {
    const Nanos poll = std::exchange(one_long, 0) + 100 * kMicrosecond;
    stage.desk.pass(poll);
    had += poll;
    co_await paceline::yield();
  }
}

}  // namespace

TEST_CASE("statement 33: a running task goes before its equals in its first quantum only") {
  Stage stage;
  struct Runs {
    static paceline::task<> run(Stage& stage) {
      stage.say("a");
      stage.desk.pass(Desk::kSlice / 2);
      stage.desk.ask(Ask::urgent);  // for something that somebody else has taken meanwhile
      paceline::preempt_point();
      stage.say("a in its first quantum");
      stage.desk.pass(-Desk::kSlice / 2);  // the next slice makes it one
      for (int i = 0; i < 2; ++i) {
        take_slice(stage);
        stage.say("a");
      }
      co_return;
    }
  };
  stage.desk.spawn(Runs::run(stage));
  stage.desk.spawn(hog(stage, "b", 3));
  stage.desk.run_dry();
  // Each time when the quantum of one is over the two have had the same.
  CHECK(stage.story == Story{"a", "a in its first quantum", "b0", "a", "b1", "a", "b2", "b ends"});
}

TEST_CASE("statement 34: an overrun is billed whole to its task") {
  for (const int overrun : {1, 2, 5, 20}) {
    Stage stage;
    stage.desk.spawn(overruns(stage, "a", 2, overrun));
    stage.desk.spawn(overruns(stage, "b", 60, 1));
    stage.desk.run_dry();
    INFO("an overrun of " << overrun << " slices");
    CHECK(turns_after_overrun(stage.story, "a") == overrun);
  }
}

TEST_CASE("statement 34: the first overrun is billed whole, too, when nobody kept books before") {
  struct Runs {
    static paceline::task<> run(Stage& stage, int overrun, bool wanted_elsewhere) {
      if (wanted_elsewhere) stage.desk.ask(Ask::rebalance);  // by a free worker, who does not wait
      stage.desk.pass(kSecond);  // while nobody waits, which is no overrun
      stage.desk.spawn(hog(stage, "b", 60));
      stage.say("a overruns");
      stage.desk.ask(Ask::slice);
      stage.desk.pass((overrun - 1) * Desk::kSlice);
      paceline::preempt_point();
      stage.say("a");
      co_return;
    }
  };
  const bool wanted_elsewhere = GENERATE(false, true);
  for (const int overrun : {1, 2, 5, 20}) {
    Stage stage;
    stage.desk.spawn(Runs::run(stage, overrun, wanted_elsewhere));
    stage.desk.run_dry();
    INFO("an overrun of " << overrun << " slices");
    const int turns = turns_after_overrun(stage.story, "a");
    CHECK(turns == overrun);
  }
}

TEST_CASE("statement 34: an overrun is billed whole to its group") {
  for (const int slices : {10, 20, 40}) {
    Stage stage;
    bool stop = false;
    Nanos had[2] = {0, 0};
    Nanos one_long[2] = {0, 0};
    for (unsigned g = 0; g < 2; ++g) {
      stage.desk.found_group(g + 1, 100);
      stage.desk.spawn(works(stage, had[g], one_long[g], stop), kClass, nullptr, g + 1);
    }
    const auto run_for = [&](Nanos time) {
      for (const Nanos until = stage.desk.now() + time; stage.desk.now() < until;) {
        stage.desk.step(16);
      }
    };
    run_for(40 * Desk::kSlice);
    one_long[0] = slices * Desk::kSlice;
    run_for(200 * Desk::kSlice);
    // What the one had too much the other got back: they differ by turns, not by the overrun.
    INFO("an overrun of " << slices << " slices: " << had[0] << " and " << had[1]);
    CHECK(had[0] - had[1] <= 5 * Desk::kSlice);
    CHECK(had[1] - had[0] <= 5 * Desk::kSlice);
    stop = true;
    stage.desk.run_dry();
  }
}
