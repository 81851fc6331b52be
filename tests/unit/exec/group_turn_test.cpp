// SPDX-License-Identifier: BSL-1.0
// Proves how task groups share a core, in virtual time: by shares, whatever number of tasks they
// have and whether these are short or long, with interactive groups first.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <vector>

#include "exec/completion.hpp"
#include "sched/steal.hpp"
#include "support/catch.hpp"
#include "unit/exec/stage.hpp"

using namespace paceline::core;
using namespace paceline_test;

namespace {

constexpr unsigned kClass = Home::kClass;
constexpr Nanos kQuantum = policy::kClassRows[kClass].quantum;

/// Tasks that work until it ends, and what each party of them had. A party is no group.
struct Contest : Stage {
  bool stop = false;
  std::array<Nanos, 3> had{};

  void found(std::initializer_list<std::uint32_t> shares, bool fair = false) {
    unsigned group = 0;
    for (const std::uint32_t each : shares) desk.found_group(++group, each, fair);
  }
  void run_for(Nanos duration, unsigned budget = 16) {
    const Nanos until = desk.now() + duration;
    while (desk.now() < until) desk.step(budget);
  }
  /// The part of `mine` in what two parties had is within `low` and `high`.
  void expect_part(unsigned mine, unsigned other, double low, double high) const {
    INFO(had[0] << ", " << had[1] << " and " << had[2]);
    CHECK(part_of(mine, other) >= low);
    CHECK(part_of(mine, other) <= high);
  }
  double part_of(unsigned mine, unsigned other) const {
    return static_cast<double>(had[mine]) / static_cast<double>(had[mine] + had[other]);
  }
  void end() {
    stop = true;
    desk.run_dry();
  }
};

/// Short polls until the end, for a party.
paceline::task<> works(Contest& contest, Nanos poll, unsigned party) {
  while (!contest.stop) {
    contest.desk.pass(poll);
    contest.had[party] += poll;
    co_await paceline::yield();
  }
}

/// Takes one slice after the other until the end.
paceline::task<> hogs(Contest& contest, unsigned party) {
  while (!contest.stop) {
    contest.had[party] += Desk::kSlice;
    contest.desk.ask(Ask::slice);
    paceline::preempt_point();
  }
  co_return;
}

paceline::task<> tells(Stage& stage, Nanos& when) {
  when = stage.desk.now();
  co_return;
}

/// Takes so many slices.
paceline::task<> hogs_once(Stage& stage, int slices, bool& over) {
  for (int i = 0; i < slices; ++i) {
    stage.desk.ask(Ask::slice);
    paceline::preempt_point();
  }
  over = true;
  co_return;
}

/// Is asked to give way after a slice, between two short polls.
paceline::task<> is_asked(Stage& stage, int times, bool& over) {
  for (int i = 0; i < times; ++i) {
    co_await paceline::yield();
    stage.desk.ask(Ask::slice);
    paceline::preempt_point();
    co_await paceline::yield();
  }
  over = true;
}

/// The desk has a task as loot that is at home elsewhere, in a group.
void as_loot(Stage& stage, Home& elsewhere, unsigned group, paceline::task<> task) {
  stage.desk.spawn(std::move(task), kClass, &elsewhere, group);
  RaidCursors cursors{};
  const Haul haul = steal_from(elsewhere.port, cursors, true);
  REQUIRE(count(haul.bits) == 1);
  stage.desk.runtime().add_loot(haul.group->page_slots(haul.page)[lowest(haul.bits)]);
}

void in_group(Stage& stage, unsigned group, paceline::task<> task) {
  stage.desk.spawn(std::move(task), kClass, nullptr, group);
}

/// How long one more task of a group waits for its first poll.
Nanos wait_of_one(Stage& stage, unsigned group) {
  Nanos ran_at = 0;
  const Nanos from = stage.desk.now();
  in_group(stage, group, tells(stage, ran_at));
  while (ran_at == 0) stage.desk.step(1);
  return ran_at - from;
}

}  // namespace

TEST_CASE("groups with shares of 1 to 3 share a class within 5 percent over 100 turns") {
  for (const int tasks : {1, 7}) {
    Contest contest;
    contest.found({1, 3});
    // The number of tasks must not matter: the poor group has more of them.
    for (int i = 0; i < 5 * tasks; ++i) in_group(contest, 1, works(contest, 100 * kMicrosecond, 0));
    for (int i = 0; i < tasks; ++i) in_group(contest, 2, works(contest, 100 * kMicrosecond, 1));
    contest.run_for(100 * kQuantum);
    INFO(tasks << " tasks");
    contest.expect_part(1, 0, 0.75 * 0.95, 0.75 * 1.05);
    contest.end();
  }
}

TEST_CASE("hogs of groups with shares of 1 to 3 share their core like that") {
  Contest contest;
  contest.found({100, 300});
  for (int i = 0; i < 4; ++i) in_group(contest, 1, hogs(contest, 0));
  in_group(contest, 2, hogs(contest, 1));
  contest.run_for(200 * kQuantum, 1);
  contest.expect_part(1, 0, 0.75 * 0.95, 0.75 * 1.05);
  contest.end();
}

TEST_CASE("a group of hogs and one of short tasks share their core by halves") {
  Contest contest;
  for (int i = 0; i < 3; ++i) contest.desk.spawn(hogs(contest, 0));
  contest.desk.found_group(2, 100);
  for (int i = 0; i < 5; ++i) in_group(contest, 2, works(contest, 50 * kMicrosecond, 1));
  contest.run_for(400 * kQuantum);
  contest.expect_part(0, 1, 0.42, 0.58);
  contest.end();
}

TEST_CASE("a thousand tasks of one group do not delay another group's task by more than a turn") {
  Contest contest;
  contest.found({100, 100});
  for (int i = 0; i < 1000; ++i) in_group(contest, 1, works(contest, kMillisecond, 0));
  contest.run_for(3 * kSecond);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(wait_of_one(contest, 2) <= kQuantum);
    contest.run_for(50 * kMillisecond);
  }
  contest.end();
}

TEST_CASE("tasks of an interactive group go before those of one that computes") {
  Contest contest;
  contest.found({100, 100});
  for (int i = 0; i < 10; ++i) in_group(contest, 1, works(contest, kMillisecond, 0));
  contest.run_for(2 * kSecond);
  for (int i = 0; i < 100; ++i) {
    // It need not even wait for the end of the turn, only for the poll that runs.
    REQUIRE(wait_of_one(contest, 2) <= kMillisecond);
    contest.run_for(5 * kMillisecond);
  }
  contest.end();
}

TEST_CASE("tasks without a group are one group") {
  Contest contest;
  contest.found({100});
  for (int i = 0; i < 10; ++i) contest.desk.spawn(works(contest, 100 * kMicrosecond, 0));
  in_group(contest, 1, works(contest, 100 * kMicrosecond, 1));
  contest.run_for(200 * kQuantum);
  contest.expect_part(1, 0, 0.47, 0.53);
  contest.end();
}

TEST_CASE("groups are served within their class and do not change the order of classes") {
  Contest contest;
  contest.desk.found_group(1, 10'000);
  for (int i = 0; i < 3; ++i) {
    contest.desk.spawn(works(contest, 100 * kMicrosecond, 0), 5, nullptr, 1);
    contest.desk.spawn(works(contest, 100 * kMicrosecond, 1), 3, nullptr, 2);
  }
  contest.run_for(4 * kSecond);
  contest.expect_part(0, 1, 0.005, 0.02);  // 1.03 % by deadline
  contest.end();
}

TEST_CASE("of one group alone every task runs in every pass, and nothing is left") {
  Stage stage;
  for (int i = 0; i < 300; ++i) in_group(stage, 63, say_once(stage, std::to_string(i)));
  stage.desk.run_dry();
  REQUIRE(stage.story.size() == 300);
  REQUIRE(stage.desk.home().port.classes == 0);
  REQUIRE(stage.desk.home().port.task_groups[kClass] == 0);
}

TEST_CASE("thieves take tasks of every group and leave the rest to their home") {
  Stage stage;
  Stage other;
  Home& victim = stage.desk.home();
  for (const unsigned group : {0u, 1u, 2u}) {
    for (int i = 0; i < 8; ++i) {
      stage.desk.spawn(say_once(stage, std::to_string(group)), kClass, nullptr, group);
    }
  }
  RaidCursors cursors{};
  REQUIRE(worth_stealing(victim.port, cursors));
  unsigned stolen = 0;
  for (int raid = 0; raid < 20; ++raid) {
    const Haul haul = steal_from(victim.port, cursors, true);
    each_bit(haul.bits, [&](unsigned i) {
      other.desk.runtime().add_loot(haul.group->page_slots(haul.page)[i]);
    });
    stolen += count(haul.bits);
  }
  REQUIRE(stolen == 24);
  REQUIRE(!worth_stealing(victim.port, cursors));
  other.desk.run_dry();
  REQUIRE(stage.story.size() == 24);
  for (const char* group : {"0", "1", "2"}) {
    REQUIRE(std::count(stage.story.begin(), stage.story.end(), group) == 8);
  }
  stage.desk.run_dry();
  REQUIRE(victim.port.classes == 0);
  REQUIRE(victim.port.task_groups[kClass] == 0);
}

TEST_CASE("without memory for a book groups still take turns, by polls") {
  Contest contest;
  for (unsigned g = 0; g < 3; ++g) {
    contest.desk.spawn(works(contest, 10 * kMicrosecond, g), kClass, nullptr, g);
  }
  contest.desk.runtime().do_without_group_book();
  for (int i = 0; i < 100; ++i) contest.desk.step(16);
  for (const Nanos each : contest.had) CHECK(each > 0);
  contest.end();
}

TEST_CASE("a worker that runs a task of a group it has no lane for goes on with what it has") {
  for (const bool with_book : {true, false}) {
    Home elsewhere;
    Contest contest;
    if (!with_book) contest.desk.runtime().do_without_group_book();
    bool over = false;
    for (const unsigned party : {0u, 1u}) {
      in_group(contest, 1, works(contest, 10 * kMicrosecond, party));
    }
    as_loot(contest, elsewhere, 2, is_asked(contest, 20, over));
    for (int i = 0; i < 2'000 && !over; ++i) contest.desk.step(16);
    CHECK(over);
    for (const unsigned party : {0u, 1u}) CHECK(contest.had[party] >= 20 * 10 * kMicrosecond);
    contest.end();
  }
}

TEST_CASE("tasks without a group that were alone for long have their share of the next second") {
  Contest contest;
  bool over = false;
  contest.found({100}, true);
  in_group(contest, 1, is_asked(contest, 1, over));  // from here on there is a book
  for (int i = 0; i < 3; ++i) contest.desk.spawn(works(contest, 100 * kMicrosecond, 0));
  contest.run_for(10 * kSecond);
  REQUIRE(over);
  in_group(contest, 1, works(contest, 100 * kMicrosecond, 1));
  contest.had = {};
  contest.run_for(kSecond);
  contest.expect_part(0, 1, 0.45, 0.55);
  contest.end();
}

TEST_CASE("what runs after the last parked or borrowed task of a group is not billed to it") {
  for (const bool parked : {true, false}) {
    Home elsewhere;
    Contest contest;
    bool over = false;
    contest.found({100, 100}, true);
    for (int i = 0; i < 3; ++i) contest.desk.spawn(works(contest, 100 * kMicrosecond, 0));
    if (parked) {
      in_group(contest, 1, hogs_once(contest, 5, over));
    } else {
      as_loot(contest, elsewhere, 1, is_asked(contest, 5, over));
    }
    while (!over) contest.desk.step(16);
    contest.run_for(10 * kSecond);
    in_group(contest, 1, works(contest, 100 * kMicrosecond, 1));
    contest.had = {};
    contest.run_for(kSecond);
    INFO((parked ? "parked" : "loot"));
    contest.expect_part(1, 0, 0.45, 0.55);
    contest.end();
  }
}

TEST_CASE("a slice that ends with its group's turn is not charged to the group that follows") {
  // Group 2 has a hog and a short task. Whatever is parked in group 1, the two share alike.
  std::array<double, 2> parts{};
  for (const bool others : {false, true}) {
    Contest contest;
    contest.found({100, 100}, true);
    in_group(contest, 2, hogs(contest, 0));
    in_group(contest, 2, works(contest, 50 * kMicrosecond, 1));
    if (!others) in_group(contest, 1, hogs(contest, 2));
    const Nanos until = contest.desk.now() + 4 * kSecond;
    bool over = true;
    while (contest.desk.now() < until) {
      // Each is strong in its first slice, and is parked after it.
      if (others && std::exchange(over, false)) in_group(contest, 1, hogs_once(contest, 3, over));
      contest.desk.step(16);
    }
    parts[others ? 1 : 0] = contest.part_of(1, 0);
    contest.end();
  }
  INFO(parts[0] << " and " << parts[1]);
  CHECK(parts[1] >= 0.95 * parts[0]);
  CHECK(parts[1] <= 1.05 * parts[0]);
}

TEST_CASE("without memory for a book parked executors of a group have turns beside short tasks") {
  for (const unsigned short_ones : {0u, 1u, 3u}) {
    Contest contest;
    contest.desk.runtime().do_without_group_book();
    for (int i = 0; i < 2; ++i) in_group(contest, 2, hogs(contest, 0));
    for (int i = 0; i < 10; ++i) contest.desk.step(64);
    // They come between two steps, so that the next turn is theirs.
    for (int i = 0; i < 3; ++i) {
      in_group(contest, short_ones, works(contest, 10 * kMicrosecond, 1));
    }
    contest.had = {};
    for (int i = 0; i < 400; ++i) contest.desk.step(64);
    INFO("group " << short_ones << ": " << contest.had[0] << " and " << contest.had[1]);
    CHECK(contest.had[0] >= 100 * Desk::kSlice);
    CHECK(contest.had[1] >= 100 * 10 * kMicrosecond);
    contest.end();
  }
}

TEST_CASE("a worker that has no lane of a group keeps to the group's shares all the same") {
  Home elsewhere;
  Contest contest;
  contest.found({100, 300});
  for (int i = 0; i < 2; ++i) as_loot(contest, elsewhere, 1, hogs(contest, 0));
  as_loot(contest, elsewhere, 2, hogs(contest, 1));
  contest.run_for(200 * kQuantum, 1);
  contest.expect_part(1, 0, 0.75 * 0.95, 0.75 * 1.05);
  contest.end();
}
