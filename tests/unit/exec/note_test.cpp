// SPDX-License-Identifier: BSL-1.0
// Proves when a worker looks at a note and what it makes of the answer: before its next poll, also
// in the middle of a pass; who is sent away is not polled here, who comes is polled at once.
#include <string>
#include <vector>

#include <paceline/preempt.hpp>
#include <paceline/task.hpp>
#include <paceline/this_task.hpp>

#include "sched/steal.hpp"
#include "support/catch.hpp"
#include "unit/exec/desk.hpp"

using namespace paceline::core;
using paceline::task;
using paceline_test::Desk;
using paceline_test::Home;
using paceline_test::say;

namespace {

void leave_note_for(Desk& desk) { leave_note(desk.home().port); }

/// A task of another worker, claimed.
Slot* taken_from(Home& other, Desk& desk, task<> body) {
  Slot& slot = desk.spawn(std::move(body), Home::kClass, &other);
  RaidCursors cursors{};
  REQUIRE(steal_from(other.port, cursors, true).bits != 0);
  return &slot;
}

}  // namespace

TEST_CASE("a note is looked at once, before the next task is polled") {
  Desk desk;
  std::string log;
  unsigned looks = 0;
  desk.on_note = [&](Slot* next) {
    ++looks;
    REQUIRE(next != nullptr);
    REQUIRE(log == "a");
    return next;
  };
  desk.spawn(say(log, 'a', 2));
  desk.spawn(say(log, 'b', 2));
  desk.step(1);
  leave_note_for(desk);
  desk.run_dry();
  REQUIRE(looks == 1);
  REQUIRE(log == "abab");
}

TEST_CASE("a note that comes in the middle of a pass is not left until the next one") {
  Desk desk;
  std::string log;
  unsigned looks = 0;
  desk.on_note = [&](Slot* next) {
    ++looks;
    REQUIRE(log == "abcx");
    return next;
  };
  for (const char name : {'a', 'b', 'c'}) desk.spawn(say(log, name, 1));
  desk.spawn([](std::string& out, Desk& its) -> task<> {
    out += 'x';
    leave_note_for(its);
    co_return;
  }(log, desk));
  for (const char name : {'d', 'e'}) desk.spawn(say(log, name, 1));
  desk.run_dry();
  REQUIRE(looks == 1);
  REQUIRE(log == "abcxde");
}

TEST_CASE("who is next and goes elsewhere is not polled here until it comes back") {
  Desk desk;
  std::string log;
  Slot* away = nullptr;
  desk.on_note = [&](Slot* next) -> Slot* {
    if (away != nullptr) return next;
    away = next;
    leave_note_for(desk);  // as who hands over more than one would
    return nullptr;
  };
  desk.spawn(say(log, 'a', 1));
  desk.spawn(say(log, 'b', 1));
  desk.spawn(say(log, 'c', 1));
  leave_note_for(desk);
  desk.run_dry();
  REQUIRE(log == "bc");
  REQUIRE(desk.runtime().ready_estimate() == 0);
  notify(*away);
  desk.run_dry();
  REQUIRE(log == "bca");
}

TEST_CASE("who comes is polled at once, in the place of who goes") {
  Home other;
  Desk desk;
  std::string log;
  Slot* guest = taken_from(other, desk, say(log, 'g', 3));
  Slot* away = nullptr;
  desk.on_note = [&](Slot* next) {
    away = next;
    return guest;
  };
  desk.spawn(say(log, 'a', 1));
  desk.spawn(say(log, 'b', 2));
  leave_note_for(desk);
  desk.run_dry();
  // It yields and stays, in turn with what is at home here.
  REQUIRE(log.substr(0, 2) == "gb");
  REQUIRE(log.size() == 5);
  REQUIRE(desk.runtime().ready_estimate() == 0);
  notify(*away);
  desk.run_dry();
  REQUIRE(log.back() == 'a');
}

TEST_CASE("a worker without work polls who is sent to it") {
  Home other;
  Desk desk;
  std::string log;
  Slot* guest = taken_from(other, desk, say(log, 'g', 2));
  desk.on_note = [&](Slot* next) {
    REQUIRE(next == nullptr);
    return guest;
  };
  leave_note_for(desk);
  desk.run_dry();
  REQUIRE(log == "gg");
  REQUIRE(desk.runtime().ready_estimate() == 0);
}

TEST_CASE("a note for nothing at a worker without work changes nothing") {
  Desk desk;
  unsigned looks = 0;
  desk.on_note = [&](Slot* next) {
    ++looks;
    return next;
  };
  leave_note_for(desk);
  desk.run_dry();
  REQUIRE(looks == 1);
  REQUIRE(desk.home().port.classes == 0);
  REQUIRE(desk.runtime().port().polls == 0);
}

TEST_CASE("a task whose stack stands here is told from one that can go") {
  Desk desk;
  std::string log;
  Slot& can_go = desk.spawn(say(log, 'a', 3));
  Slot& stands = desk.spawn([](std::string& out) -> task<> {
    out += 'x';
    paceline::await_here(paceline::yield());
    out += 'y';
    co_return;
  }(log));
  desk.step(2);
  REQUIRE(log == "axa");  // the fresh executor has a poll, too
  REQUIRE_FALSE(desk.runtime().stands_here(can_go));
  REQUIRE(desk.runtime().stands_here(stands));
  desk.run_dry();
  REQUIRE_FALSE(desk.runtime().stands_here(stands));
  REQUIRE(log.size() == 5);
}
