// SPDX-License-Identifier: BSL-1.0
// Proves the explorer itself: it finds classic mistakes, what it prints runs again, equal seeds
// give equal searches, and it says so when a search proves less than it was asked to.
#include <stdexcept>
#include <string>

#include <paceline/detail/atomic.hpp>

#include "explorer/search.hpp"
#include "explorer/seen.hpp"
#include "explorer/verdict.hpp"
#include "litmus.hpp"
#include "support/catch.hpp"

using namespace model;
using paceline::detail::Atomic;

namespace {

struct World {
  Atomic<int> count{0};
  Atomic<std::uint32_t> flag{0};
  Atomic<std::uint32_t> word{0};
  Goal both;
  Goal never;
};
World* world = nullptr;

void increment(World& w) { w.count.store(w.count.load() + 1); }

void set_up_lost_update(const Variant& variant) {
  world = &arena().make<World>();
  thread<World>("one", *world, &increment);
  thread<World>("two", *world, &increment);
  if (variant.flags == 1) {
    world->both = Goal("both updates count");
    world->never = Goal("what nothing can reach");
  }
}
void both_count() { require(world->count.load() == 2, "no update is lost"); }
void note_both() {
  if (world->count.load() == 2) world->both.reach();
}

void sleep_if_unset(World& w) {
  if (w.flag.load() == 0) park(&w.word, 0);
}
void set_and_wake(World& w) {
  w.flag.store(1);
  unpark(&w.word, false);
}
void set_up_missed_wake(const Variant&) {
  world = &arena().make<World>();
  thread<World>("sleeper", *world, &sleep_if_unset);
  thread<World>("waker", *world, &set_and_wake);
}
void all_done() { require(crew().unfinished() == 0, "nobody sleeps for good"); }

const Model kLostUpdate{"lost update", "", &set_up_lost_update, &both_count, nullptr, {}};
const Model kUpdates{"updates", "", &set_up_lost_update, &note_both, nullptr, {}};
const Model kMissedWake{"missed wake", "", &set_up_missed_wake, &all_done, nullptr, {}};
const Variant kVariant{.name = "test"};
const Variant kWithGoals{.name = "test", .flags = 1};

void check_found(const Model& model, const Result& result, const std::string& sentence) {
  REQUIRE(result.status == Result::Status::failed);
  CHECK(result.broken == sentence);
  // What is printed is text.
  const Schedule printed(result.schedule.text());
  const Result again = replay(model, kVariant, printed, false);
  CHECK(again.status == Result::Status::failed);
  CHECK(again.broken == sentence);
  const Schedule small = shrink(model, kVariant, result.schedule, result.broken);
  CHECK(small.runs().size() <= result.schedule.runs().size());
  CHECK(replay(model, kVariant, small, false).broken == sentence);
}

}  // namespace

TEST_CASE("small programs have exactly the outcomes that are known of them") {
  Verdict::catch_crashes();  // one of them crashes as planned; Catch would end the program
  CHECK(run_litmus(false) == 0);
}

TEST_CASE("a lost update is found by every search, and its schedule shows it again") {
  const std::string sentence = "no update is lost";
  check_found(kLostUpdate, search_depth_first(kLostUpdate, kVariant, {}), sentence);
  check_found(kLostUpdate, search_depth_first(kLostUpdate, kVariant, {.bound = 1}), sentence);
  check_found(kLostUpdate, search_random(kLostUpdate, kVariant, 7, 1000, {}), sentence);
  const Result unpreempted = search_depth_first(kLostUpdate, kVariant, {.bound = 0});
  CHECK(unpreempted.status == Result::Status::passed);
}

TEST_CASE("a wake missed between check and sleep is found, and its schedule shows it again") {
  const std::string sentence = "nobody sleeps for good";
  check_found(kMissedWake, search_depth_first(kMissedWake, kVariant, {}), sentence);
  check_found(kMissedWake, search_depth_first(kMissedWake, kVariant, {.bound = 1}), sentence);
  check_found(kMissedWake, search_random(kMissedWake, kVariant, 7, 1000, {}), sentence);
}

TEST_CASE("the same seed gives the same search, another one another") {
  const Result first = search_random(kUpdates, kVariant, 3, 50, {});
  const Result second = search_random(kUpdates, kVariant, 3, 50, {});
  CHECK(first.executions == 50);
  CHECK(first.steps == second.steps);
  const Result found = search_random(kLostUpdate, kVariant, 11, 1000, {});
  const Result same = search_random(kLostUpdate, kVariant, 11, 1000, {});
  CHECK(found.schedule.text() == same.schedule.text());
  CHECK(found.executions == same.executions);
  std::set<std::string> texts;
  for (unsigned seed = 0; seed < 20; ++seed) {
    texts.insert(search_random(kLostUpdate, kVariant, seed * 1000, 1000, {}).schedule.text());
  }
  CHECK(texts.size() > 1);
}

TEST_CASE("a depth-first search gives the same numbers each time") {
  const Result first = search_depth_first(kUpdates, kVariant, {});
  const Result second = search_depth_first(kUpdates, kVariant, {});
  CHECK(first.states == second.states);
  CHECK(first.executions == second.executions);
  CHECK(first.steps == second.steps);
}

TEST_CASE("a search that is cut off says so") {
  const Result result = search_depth_first(kUpdates, kVariant, {.states = 3});
  CHECK(result.status == Result::Status::capped);
}

TEST_CASE("a goal that no schedule reaches is named, one that some schedule reaches is not") {
  const Result result = search_depth_first(kUpdates, kWithGoals, {});
  CHECK(result.status == Result::Status::passed);
  CHECK(result.unreached == std::vector<std::string>{"what nothing can reach"});
}

TEST_CASE("a schedule is the same after it was printed and read") {
  Schedule schedule;
  schedule.add(0, 12);
  schedule.add(2, 3);
  schedule.add(2, 1);
  schedule.add(1, 0);
  CHECK(schedule.text() == "0*12,2*4");
  CHECK(Schedule(schedule.text()).text() == schedule.text());
  CHECK(Schedule("").empty());
}

TEST_CASE("text that is no schedule is refused") {
  for (const char* text : {"x", "0", "0*", "0*1;1*1", "99*1", "0*1,,1*1", "-1*2"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Schedule(text), std::invalid_argument);
  }
}

TEST_CASE("a schedule that does not fit its model is a failure of its own") {
  for (const char* text : {"5*1", "0*99"}) {
    const Result result = replay(kUpdates, kVariant, Schedule(text), false);
    CHECK(result.broken == "the schedule fits the model");
  }
}

TEST_CASE("the table of seen states keeps every number while it grows") {
  constexpr std::uint32_t kMany = 20'000;
  const auto key = [](std::uint32_t i) {
    return Key{std::uint64_t{i} * 0x9e3779b97f4a7c15u, i & 0x7fffffffu};
  };
  Seen seen;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    std::uint32_t& number = seen[key(i)];
    REQUIRE(number == Seen::kNew);
    number = i;
  }
  CHECK(seen.size() == kMany);
  for (std::uint32_t i = 0; i < kMany; ++i) REQUIRE(seen[key(i)] == i);
  CHECK(seen.size() == kMany);
}
