// SPDX-License-Identifier: BSL-1.0
// Proves the choice among groups: order by priority and score, turns between equals, the score over
// time, decay by width, and misuse.
#include "policy/group_level.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr unsigned kFg = 1, kDf = 3, kBg = 5;
constexpr Nanos kMs = kMillisecond;
constexpr ClassTable kTable = class_table();

/// A table with its memory.
struct House {
  std::vector<GroupEntry> memory;
  GroupTable table;

  explicit House(unsigned groups, unsigned workers = 1)
      : memory(groups * kClasses), table(kTable, memory, workers) {}

  /// Makes the group have this score: what it did before is forgotten.
  void set_score(unsigned group, unsigned q, int score) {
    Interactivity& history = memory[group * kClasses + q].history;
    const Nanos blocked = score > 8 ? 80 * kMs : 10 * kMs * score;
    const Nanos used = score > 8 ? 10 * kMs * (16 - score) : 80 * kMs;
    history = {used, blocked, static_cast<std::uint8_t>(score), false};
  }
  /// Takes all of the next group, once for each task it was put with.
  unsigned take(unsigned q, int best_of_rest, Nanos now = 0) {
    const unsigned group = table.pick(q);
    table.take(group, q, best_of_rest, now);
    return group;
  }
};

}  // namespace

TEST_CASE("groups of equal priority are served by descending score") {
  House house(17);
  for (unsigned g = 0; g < 17; ++g) {
    house.set_score(g, kDf, static_cast<int>((g * 5) % 17));
    CHECK(house.table.put(g, kDf, 31, Place::tail, 0));
  }
  for (int score = 16; score >= 0; --score) {
    CHECK(house.table.priority(kDf) == 31 + score);
    const unsigned group = house.take(kDf, kNoPriority);
    CHECK(static_cast<int>((group * 5) % 17) == score);
  }
  CHECK(house.table.pick(kDf) == kNoGroup);
  CHECK(house.table.priority(kDf) == kNoPriority);
}

TEST_CASE("one priority less is beaten by a score of two more") {
  House house(2);
  house.set_score(0, kDf, 6);
  house.set_score(1, kDf, 8);
  house.table.put(0, kDf, 31, Place::tail, 0);
  house.table.put(1, kDf, 30, Place::tail, 0);
  CHECK(house.table.pick(kDf) == 1);
}

TEST_CASE("statement 27: a new group precedes an equal one with score 15") {
  House house(2);
  house.set_score(0, kDf, 15);
  house.table.wake(0, kDf, 0);
  house.table.put(0, kDf, 31, Place::tail, 0);
  house.table.wake(1, kDf, 0);
  house.table.put(1, kDf, 31, Place::tail, 0);
  CHECK(house.table.pick(kDf) == 1);
  CHECK(house.table.score(1, kDf) == 16);
}

TEST_CASE("statement 29: groups that tie take turns and a preempted one returns to the head") {
  House house(3);
  for (unsigned g = 0; g < 3; ++g) house.table.put(g, kDf, 31, Place::tail, 0);
  for (unsigned i = 0; i < 30; ++i) CHECK(house.take(kDf, 31) == i % 3);
  CHECK(house.take(kDf, 31) == 0);
  house.table.put(0, kDf, 31, Place::head, 0);  // preempted: still queued
  CHECK(house.take(kDf, kNoPriority) == 0);
  house.table.put(0, kDf, 31, Place::head, 0);  // preempted: it was the last of its group
  CHECK(house.take(kDf, 31) == 0);
  CHECK(house.take(kDf, 31) == 1);
}

TEST_CASE("a group whose best task changes moves to the tail of its new level") {
  House house(3);
  for (unsigned g = 0; g < 3; ++g) house.table.put(g, kDf, 31, Place::tail, 0);
  house.table.put(2, kDf, 40, Place::tail, 0);  // something was lent to it
  CHECK(house.take(kDf, 31) == 2);
  CHECK(house.take(kDf, 31) == 0);
  house.table.put(1, kDf, 31, Place::tail, 0);  // more of the same changes no turn
  CHECK(house.take(kDf, 30) == 1);
  CHECK(house.take(kDf, 31) == 2);
  CHECK(house.take(kDf, 31) == 0);
}

TEST_CASE("classes have queues of their own and the fixed class has the greatest score") {
  House house(2);
  house.table.put(0, kFg, 46, Place::tail, 0);
  house.table.put(0, kBg, 4, Place::tail, 0);
  house.table.put(1, kBg, 4, Place::tail, 0);
  CHECK(house.take(kBg, kNoPriority) == 0);
  CHECK(house.table.queued(0, kFg));
  CHECK_FALSE(house.table.queued(0, kBg));
  for (int i = 0; i < 100; ++i) house.table.charge(1, kFixed, 100 * kMs);
  house.table.put(1, kFixed, 63, Place::tail, 0);
  CHECK(house.table.score(1, kFixed) == 16);
  CHECK(house.table.priority(kFixed) == 79);
}

TEST_CASE("running lowers a group's score and having nothing to run raises it") {
  House house(1);
  Nanos now = 0;
  for (int i = 0; i < 100; ++i) {
    house.table.wake(0, kDf, now);
    house.table.put(0, kDf, 31, Place::tail, now);
    house.table.take(0, kDf, kNoPriority, now);
    now += 10 * kMs;
    house.table.charge(0, kDf, 10 * kMs);
    house.table.block(0, kDf, now);
  }
  CHECK(house.table.score(0, kDf) == 0);
  for (int i = 0; i < 10; ++i) {
    now += 400 * kMs;
    house.table.wake(0, kDf, now);
    house.table.put(0, kDf, 31, Place::tail, now);
    house.table.take(0, kDf, kNoPriority, now);
    house.table.block(0, kDf, now);
  }
  CHECK(house.table.score(0, kDf) >= 15);
}

TEST_CASE("a group with another ready task does not block when one of them does") {
  House house(1);
  house.set_score(0, kDf, 8);
  house.table.wake(0, kDf, 0);
  house.table.wake(0, kDf, 0);
  house.table.block(0, kDf, 0);
  house.table.wake(0, kDf, 400 * kMs);
  CHECK(house.memory[kDf].history.blocked == 80 * kMs);
  house.table.block(0, kDf, 400 * kMs);
  house.table.block(0, kDf, 400 * kMs);
  CHECK_FALSE(house.table.block(0, kDf, 400 * kMs));
  house.table.wake(0, kDf, 700 * kMs);
  CHECK(house.memory[kDf].history.blocked == 380 * kMs);
}

TEST_CASE("statement 28: a group that is queued for n intervals has a score n higher") {
  for (int n = 0; n <= 14; ++n) {
    House house(1);
    house.set_score(0, kDf, 2);
    house.table.put(0, kDf, 31, Place::tail, 0);
    const Nanos interval = pending_interval(kDf, 1, kTable);
    house.table.tick(n * interval + interval / 2);
    CHECK(house.table.score(0, kDf) == 2 + n);
    CHECK(house.table.priority(kDf) == 33 + n);
  }
  House house(1);
  house.set_score(0, kDf, 2);
  house.table.put(0, kDf, 31, Place::tail, 0);
  house.table.tick(100 * kSecond);
  CHECK(house.table.score(0, kDf) == 16);
}

TEST_CASE("groups queued elsewhere lengthen the wait, and a taken task restarts it") {
  House house(1);
  house.set_score(0, kDf, 2);
  house.table.set_elsewhere(kDf, 100);
  house.table.put(0, kDf, 31, Place::tail, 0);
  const Nanos interval = pending_interval(kDf, 101, kTable);
  house.table.tick(interval - 1);
  CHECK(house.table.score(0, kDf) == 2);
  house.table.take(0, kDf, 31, interval - 1);
  house.table.tick(interval + 1);
  CHECK(house.table.score(0, kDf) == 2);
  house.table.tick(2 * interval - 1);
  CHECK(house.table.score(0, kDf) == 3);
}

TEST_CASE("statement 30: a group of a task for each worker does not decay, a wider one does") {
  for (const unsigned workers : {1u, 2u, 4u, 7u}) {
    House house(1, workers);
    for (unsigned active = 1; active <= 3 * workers; ++active) {
      house.table.wake(0, kDf, 0);
      house.table.tick(0);
      const int shift = house.table.shift(0, kDf);
      if (active <= workers) CHECK(shift == kNoDecay);
      if (active > workers && active <= 2 * workers) CHECK(shift == 23);
      if (active > 2 * workers) CHECK(shift == 22);
    }
  }
}

TEST_CASE("statement 31: a wide group does not make the tasks of a narrow one decay") {
  House house(2, 2);
  for (int i = 0; i < 10; ++i) house.table.wake(0, kDf, 0);
  house.table.wake(1, kDf, 0);
  house.table.tick(0);
  CHECK(house.table.shift(0, kDf) == 21);
  CHECK(house.table.shift(1, kDf) == kNoDecay);
  CHECK(house.table.shift(0, kFg) == kNoDecay);  // nor its own in another class
}

TEST_CASE("decay looks at a group's width once for each tick") {
  House house(1);
  CHECK(house.table.shift(0, kDf) == kNoDecay);
  for (int i = 0; i < 10; ++i) house.table.wake(0, kDf, 0);
  CHECK(house.table.shift(0, kDf) == kNoDecay);
  house.table.tick(0);
  CHECK(house.table.shift(0, kDf) == 20);
  house.table.set_workers(0);  // counts as one
  house.table.tick(0);
  CHECK(house.table.shift(0, kDf) == 20);
}

TEST_CASE("a group table refuses what is out of range and changes nothing") {
  House house(2);
  CHECK_FALSE(house.table.put(2, kDf, 31, Place::tail, 0));
  CHECK_FALSE(house.table.put(0, 6, 31, Place::tail, 0));
  CHECK_FALSE(house.table.take(0, kDf, 31, 0));
  CHECK_FALSE(house.table.wake(2, kDf, 0));
  CHECK_FALSE(house.table.block(0, kDf, 0));
  CHECK_FALSE(house.table.charge(~0u, kDf, 0));
  CHECK_FALSE(house.table.renew(2, 0));
  CHECK(house.table.pick(6) == kNoGroup);
  CHECK(house.table.priority(~0u) == kNoPriority);
  CHECK(house.table.shift(2, kDf) == kNoDecay);
  CHECK(house.table.score(2, kDf) == kNoPriority);
  CHECK(house.table.active(0, 77) == 0);
  house.table.set_elsewhere(77, 1);
  CHECK(house.table.put(0, kDf, 1000, Place::tail, 0));
  CHECK(house.table.priority(kDf) == 127);
  CHECK(house.table.put(1, kBg, -1000, Place::tail, 0));
  CHECK(house.table.priority(kBg) == 16);
  std::vector<GroupEntry> few(kClasses - 1);
  CHECK(GroupTable(kTable, few, 0).groups() == 0);
}

TEST_CASE("a renewed group remembers nothing and is queued nowhere") {
  House house(2);
  house.set_score(0, kDf, 3);
  house.table.wake(0, kDf, 0);
  house.table.put(0, kDf, 31, Place::tail, 0);
  house.table.put(0, kBg, 4, Place::tail, 0);
  CHECK(house.table.renew(0, 10));
  CHECK(house.table.pick(kDf) == kNoGroup);
  CHECK(house.table.pick(kBg) == kNoGroup);
  CHECK(house.table.active(0, kDf) == 0);
  CHECK(house.table.score(0, kDf) == 16);
}

TEST_CASE("a clock that stands still or goes back ages no group and overflows nothing") {
  House house(2);
  house.set_score(0, kDf, 4);
  house.table.put(0, kDf, 31, Place::tail, kSecond);
  for (const Nanos now : {kSecond, Nanos{0}, -kForever, kSecond}) {
    house.table.tick(now);
    house.table.wake(1, kDf, now);
    house.table.block(1, kDf, now);
    CHECK(house.table.score(0, kDf) == 4);
    CHECK(house.memory[kClasses + kDf].history.blocked == kHistory);
  }
  house.table.tick(kForever);
  CHECK(house.table.score(0, kDf) == 16);
  house.table.charge(0, kDf, kForever);
  house.table.tick(-kForever);
  CHECK(house.table.score(0, kDf) <= 16);
}

TEST_CASE("the levels agree with a sorted list over random puts, takes and ticks") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    House house(12);
    std::map<unsigned, std::pair<int, std::int64_t>> queued;  // group -> level, turn
    std::int64_t turn = 0;
    for (unsigned g = 0; g < 12; ++g) house.set_score(g, kDf, static_cast<int>(rng.below(17)));
    for (int step = 0; step < 200; ++step) {
      const auto group = static_cast<unsigned>(rng.below(12));
      const int best = 21 + static_cast<int>(rng.below(4));
      const int level = best + house.table.score(group, kDf);
      const auto place = rng.below(4) == 0 ? Place::head : Place::tail;
      if (rng.below(2) == 0) {
        house.table.put(group, kDf, best, place, 0);
        const auto at = queued.find(group);
        const bool stays = at != queued.end() && at->second.first == level && place == Place::tail;
        if (!stays) queued[group] = {level, place == Place::head ? -++turn : ++turn};
      } else if (house.table.pick(kDf) != kNoGroup) {
        const unsigned picked = house.table.pick(kDf);
        const bool rest = rng.below(2) == 0;
        house.table.take(picked, kDf, rest ? best : kNoPriority, 0);
        queued.erase(picked);
        if (rest) queued[picked] = {best + house.table.score(picked, kDf), ++turn};
      }
      unsigned want = kNoGroup;
      for (const auto& [g, key] : queued) {
        if (want == kNoGroup || key.first > queued[want].first ||
            (key.first == queued[want].first && key.second < queued[want].second)) {
          want = g;
        }
      }
      REQUIRE(house.table.pick(kDf) == want);
    }
  }
}
