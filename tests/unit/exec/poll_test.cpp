// SPDX-License-Identifier: BSL-1.0
// Proves every way a claim can go, with a scripted host in place of coroutines: each phase the
// claim can meet, each verdict of may_resume, each rest, and a claim by somebody else in between.
#include "exec/poll.hpp"

#include <string>

#include "support/catch.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::Home;

namespace {

/// Does as the script says and writes down what it was asked to do.
struct Script {
  bool may = true;
  Rest rest = Rest::suspended;
  bool claimed_meanwhile = false;  // somebody else claims the task while we hold it
  Slot* moves_to = nullptr;        // the task moves to this slot during its run

  std::string log;
  Slot* acted_on = nullptr;

  bool may_resume(Slot& slot) noexcept {
    log += "may ";
    if (!may && claimed_meanwhile) claim(slot);
    return may;
  }
  Rest run(Slot*& slot) noexcept {
    log += "run ";
    if (moves_to != nullptr) {
      moves_to->state.adopt();
      (void)slot->state.vacate();
      slot = moves_to;
    }
    if (claimed_meanwhile) claim(*slot);
    return rest;
  }
  void finish(Slot& slot) noexcept {
    log += "finish ";
    acted_on = &slot;
    (void)slot.state.vacate();
  }
  void rearm(Slot& slot) noexcept {
    log += "rearm ";
    acted_on = &slot;
  }
  void put_back(Slot& slot) noexcept {
    log += "put_back ";
    acted_on = &slot;
  }

  static void claim(Slot& slot) noexcept {
    check(slot.state.try_start() == Start::busy, "the script claims a task that runs");
  }
};

Phase phase(const Slot& slot) { return StateWord::phase_of(slot.state.peek()); }

}  // namespace

TEST_CASE("a claim on a slot without a task is stale and asks nobody") {
  Home home;
  Slot& slot = *home.collection().allocate_home();
  Script script;
  REQUIRE(poll_slot(slot, script) == Claim::stale);
  REQUIRE(script.log.empty());
  REQUIRE(phase(slot) == Phase::vacant);
}

TEST_CASE("a claim on a running task leaves its mark and runs nothing") {
  Home home;
  Slot& slot = home.task();
  REQUIRE(slot.state.try_start() == Start::started);
  for (int claim = 0; claim < 3; ++claim) {
    Script script;
    REQUIRE(poll_slot(slot, script) == Claim::stale);
    REQUIRE(script.log.empty());
    REQUIRE(phase(slot) == Phase::renotified);
  }
  REQUIRE(slot.state.pause());
}

TEST_CASE("a task that may not resume is put down again and its bit is not set") {
  Home home;
  Slot& slot = home.task();
  Script script;
  script.may = false;
  REQUIRE(poll_slot(slot, script) == Claim::not_ready);
  REQUIRE(script.log == "may ");
  REQUIRE(phase(slot) == Phase::idle);
}

TEST_CASE("a claim that comes while a task is looked at sets its bit again") {
  Home home;
  Slot& slot = home.task();
  Script script;
  script.may = false;
  script.claimed_meanwhile = true;
  REQUIRE(poll_slot(slot, script) == Claim::not_ready);
  REQUIRE(script.log == "may rearm ");
  REQUIRE(script.acted_on == &slot);
  REQUIRE(phase(slot) == Phase::idle);
}

TEST_CASE("a suspended task gets its bit again exactly if it was claimed during the run") {
  for (const bool claimed : {false, true}) {
    Home home;
    Slot& slot = home.task();
    Script script;
    script.claimed_meanwhile = claimed;
    REQUIRE(poll_slot(slot, script) == Claim::polled);
    REQUIRE(script.log == (claimed ? "may run rearm " : "may run "));
    REQUIRE(phase(slot) == Phase::idle);
  }
}

TEST_CASE("a task that yielded is put back once, claimed meanwhile or not") {
  for (const bool claimed : {false, true}) {
    Home home;
    Slot& slot = home.task();
    Script script;
    script.rest = Rest::yielded;
    script.claimed_meanwhile = claimed;
    REQUIRE(poll_slot(slot, script) == Claim::polled);
    REQUIRE(script.log == "may run put_back ");
    REQUIRE(phase(slot) == Phase::idle);
  }
}

TEST_CASE("a finished task is finished once and never armed again") {
  for (const bool claimed : {false, true}) {
    Home home;
    Slot& slot = home.task();
    Script script;
    script.rest = Rest::finished;
    script.claimed_meanwhile = claimed;
    REQUIRE(poll_slot(slot, script) == Claim::polled);
    REQUIRE(script.log == "may run finish ");
    REQUIRE(phase(slot) == Phase::vacant);
    // The bit that was claimed for it stays a stale claim, for it and for the next tenant's state.
    Script later;
    REQUIRE(poll_slot(slot, later) == Claim::stale);
  }
}

TEST_CASE("a task that moved during its run comes to rest in its new slot") {
  for (const Rest rest : {Rest::finished, Rest::yielded, Rest::suspended}) {
    for (const bool claimed : {false, true}) {
      Home home;
      Slot& from = home.task();
      Slot& to = *home.collection(0).allocate_home();
      Script script;
      script.rest = rest;
      script.claimed_meanwhile = claimed;
      script.moves_to = &to;
      REQUIRE(poll_slot(from, script) == Claim::polled);
      REQUIRE(phase(from) == Phase::vacant);
      REQUIRE(phase(to) == (rest == Rest::finished ? Phase::vacant : Phase::idle));
      const bool acts = rest != Rest::suspended || claimed;
      REQUIRE(script.acted_on == (acts ? &to : nullptr));
    }
  }
}
