// SPDX-License-Identifier: BSL-1.0
// Proves the three levels together: the published orders, ties and remainders, lending, and what is
// refused. Shares and times are in root_shares_test.cpp.
#include "policy/root.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "support/catch.hpp"
#include "unit/policy/root_house.hpp"

using namespace paceline_test;

namespace {

constexpr unsigned kFg = 1, kIn = 2, kDf = 3, kUt = 4, kBg = 5;
constexpr Nanos kMs = kMillisecond;
constexpr Nanos kUs = kMicrosecond;
using Order = std::vector<unsigned>;

/// Queues one task of each class after another, so late that their deadlines are inverted.
Nanos queue_inverted(RootHouse& house, Nanos now, unsigned copies) {
  for (unsigned q = kBg; q >= kFg; --q) {
    for (unsigned copy = 0; copy < copies; ++copy) house.root.wake(copy * kClasses + q, now);
    if (q > kFg) now += kClassRows[q].distance - kClassRows[q - 1].distance + kUs;
  }
  return now;
}

void define_all(RootHouse& house) {
  for (unsigned t = 0; t < house.tasks.size(); ++t) house.define(t, t % kClasses);
}

}  // namespace

TEST_CASE("order (a): one task per class queued in any order runs by importance") {
  Order order{kFg, kIn, kDf, kUt, kBg};
  do {
    RootHouse house(kClasses, 1);
    define_all(house);
    for (const unsigned q : order) CHECK(house.root.wake(q, 0));
    for (const unsigned q : {kFg, kIn, kDf, kUt, kBg}) CHECK(house.take(0) == q);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("orders (b) and (c), statements 16 and 17: inverted deadlines are warped past, once") {
  RootHouse house(2 * kClasses, 1);
  define_all(house);
  Nanos now = queue_inverted(house, kSecond, 2);
  for (unsigned q = kFg; q <= kBg; ++q) {
    CHECK(house.take(now) % kClasses == q);
    now += kClassRows[q].warp / 2;
    CHECK(house.take(now) % kClasses == q);
    now += kClassRows[q].warp / 2 + kUs;
  }
  CHECK(house.take(now) == kNoTask);
  // The budgets are spent: deadlines decide, and each class that precedes others starves.
  now = queue_inverted(house, now, 1);
  for (unsigned q = kBg; q >= kFg; --q) {
    CHECK(house.take(now) == q);
    CHECK(house.root.classes().starving(q) == (q != kFg));
  }
}

TEST_CASE("order (d): warp, starvation window and refill follow each other") {
  RootHouse house(kClasses, 1);
  define_all(house);
  Nanos now = 0;
  const auto wake = [&](unsigned q) { CHECK(house.root.wake(q, now)); };
  const auto next = [&](unsigned q, PickReason reason) {
    const RootVerdict verdict = house.root.take(now);
    CHECK(verdict == RootVerdict{q, reason});
    house.root.stop(verdict.task, StopReason::blocked, now);
  };
  wake(kDf);
  now += 75'001 * kUs;
  wake(kIn);
  next(kIn, PickReason::warp_opens);
  wake(kIn);
  now += 4'001 * kUs;
  next(kDf, PickReason::starved);
  wake(kDf);
  now += 75'001 * kUs;
  CHECK(house.root.classes().warp_left(kIn) == 0);
  next(kIn, PickReason::deadline);
  CHECK(house.root.classes().warp_left(kIn) == 4 * kMs);
  now += 75'001 * kUs;
  wake(kFg);
  next(kFg, PickReason::warp_opens);
  wake(kFg);
  now += 8'001 * kUs;
  next(kDf, PickReason::starved);
  now += 75'001 * kUs;
  wake(kDf);
  next(kFg, PickReason::deadline);
  now += 75'001 * kUs;
  wake(kIn);
  next(kIn, PickReason::warp_opens);
  wake(kIn);
  now += 3'999 * kUs;
  next(kIn, PickReason::warp);
}

TEST_CASE("order (e): groups of equal priority run by descending score") {
  RootHouse house(17, 17);
  for (unsigned t = 0; t < 17; ++t) {
    house.define(t, kDf, t);
    house.set_score(t, kDf, static_cast<int>((t * 7) % 17));
    house.root.wake(t, 0);
  }
  for (unsigned score = 17; score-- > 0;) CHECK((house.take(0) * 7) % 17 == score);
}

TEST_CASE("order (f): a score of two more beats one priority less") {
  RootHouse house(2, 2);
  house.define(0, kDf, 0, 31);
  house.define(1, kDf, 1, 30);
  house.set_score(0, kDf, 5);
  house.set_score(1, kDf, 7);
  house.root.wake(0, 0);
  house.root.wake(1, 0);
  CHECK(house.take(0) == 1);
}

TEST_CASE("order (g): the fixed class at 63 beats the user interface at 47 and not at 64") {
  for (const int priority : {47, 63, 64}) {
    RootHouse house(2, 2);
    house.define(0, kFixed, 0, 63);
    house.define(1, kFg, 1, priority);
    house.root.wake(0, 0);
    house.root.wake(1, 0);
    CHECK(house.take(0) == (priority == 64 ? 1u : 0u));
  }
}

TEST_CASE("order (h): a pinned task is compared with the best task of the best group") {
  RootHouse house(4, 3);
  house.define(0, kDf, 0, 31);
  house.define(1, kDf, 0, 29);
  house.define(2, kDf, 1, 31);
  house.define(3, kDf, 2, 30, Reach::pinned);
  house.set_score(0, kDf, 16);
  house.set_score(1, kDf, 0);
  for (const unsigned t : {3u, 2u, 1u, 0u}) house.root.wake(t, 0);
  CHECK(house.root.priority() == 31);
  for (const unsigned t : {0u, 3u, 1u, 2u}) CHECK(house.take(0) == t);
}

TEST_CASE("order (h): a pinned task wins ties with the queue and not with a fresh running task") {
  RootHouse house(3, 1);
  house.define(0, kDf);
  house.define(1, kDf, 0, 31, Reach::pinned);
  house.define(2, kBg, 0, 4, Reach::pinned);
  house.root.wake(0, 0);
  house.root.wake(1, 0);
  CHECK(house.take(0) == 1);
  CHECK(house.root.take(0).task == 0);
  house.root.wake(1, 0);
  house.root.wake(2, 0);
  CHECK(house.root.peek(0, 0).task == 0);
  CHECK(house.root.charge(0, 6 * kMs));
  CHECK(house.root.peek(6 * kMs, 0).task == 1);
  CHECK(house.root.take(6 * kMs, 0).task == 1);
  house.root.stop(0, StopReason::blocked, 6 * kMs);
  CHECK(house.root.peek(6 * kMs, 1).task == 1);  // better than the other pinned one
}

TEST_CASE("order (i): tasks bound to the cluster run first in, first out, whatever their score") {
  RootHouse house(6, 6);
  for (unsigned t = 0; t < 6; ++t) {
    house.define(t, kDf, t, 31, Reach::bound);
    house.set_score(t, kDf, static_cast<int>(t) * 3);
    house.root.wake(t, 0);
  }
  for (unsigned t = 0; t < 6; ++t) CHECK(house.take(0) == t);
}

TEST_CASE("statement 29: a preempted task's group returns to the head of its equals") {
  RootHouse house(4, 2);
  for (unsigned t = 0; t < 4; ++t) {
    house.define(t, kDf, t % 2);
    house.root.wake(t, 0);
  }
  CHECK(house.root.take(0).task == 0);
  house.root.stop(0, StopReason::preempted, 0);
  for (const unsigned t : {0u, 1u, 2u, 3u}) CHECK(house.take(0) == t);
}

TEST_CASE("statement 29: tasks of groups that tie alternate") {
  RootHouse house(6, 2);
  for (unsigned t = 0; t < 6; ++t) {
    house.define(t, kDf, t / 3);
    house.root.wake(t, 0);
  }
  for (const unsigned t : {0u, 3u, 1u, 4u, 2u, 5u}) CHECK(house.take(0) == t);
}

TEST_CASE("statement 32: a task preempted in its first slice resumes before its equals") {
  RootHouse house(4, 1, 4);
  for (unsigned t = 0; t < 4; ++t) {
    house.define(t, kDf);
    house.root.wake(t, 0);
  }
  CHECK(house.root.take(0).task == 0);
  CHECK_FALSE(house.root.charge(0, 2 * kMs));
  house.root.stop(0, StopReason::preempted, 2 * kMs);
  CHECK(house.root.take(2 * kMs).task == 0);
  CHECK(house.tasks[0].quantum.left == 4 * kMs);
  // With too little left it stands behind them, and gets that on top.
  CHECK_FALSE(house.root.charge(0, 4 * kMs - 100 * kUs));
  house.root.stop(0, StopReason::preempted, 6 * kMs);
  for (const unsigned t : {1u, 2u, 3u, 0u}) {
    CHECK(house.root.take(6 * kMs).task == t);
    if (t == 0) CHECK(house.tasks[0].quantum.left == 6 * kMs + 100 * kUs);
    if (t != 0) house.root.stop(t, StopReason::blocked, 6 * kMs);
  }
}

TEST_CASE("a task that yields stands behind its equals") {
  RootHouse house(3, 1);
  for (unsigned t = 0; t < 3; ++t) {
    house.define(t, kDf);
    house.root.wake(t, 0);
  }
  for (unsigned i = 0; i < 12; ++i) {
    const unsigned task = house.root.take(0).task;
    CHECK(task == i % 3);
    house.root.stop(task, StopReason::yielded, 0);
  }
}

TEST_CASE("statement 33: the running task wins ties in its first quantum only") {
  RootHouse house(4, 2);
  house.define(0, kDf, 0);
  house.define(1, kDf, 0);
  house.define(2, kDf, 1);
  house.root.wake(0, 0);
  CHECK(house.root.take(0).task == 0);
  house.root.wake(1, 0);
  house.root.wake(2, 0);
  CHECK(house.root.peek(kMs, 0).task == 0);
  CHECK(house.root.charge(0, 6 * kMs));
  CHECK(house.root.peek(6 * kMs, 0).task != 0);
}

TEST_CASE("statement 34: an overrun is billed whole to task and group and ends the quantum") {
  RootHouse house(2, 1);
  house.define(0, kDf);
  house.define(1, kDf);
  house.root.wake(0, 0);
  house.root.wake(1, 0);
  house.root.tick(0);  // two tasks on one worker: they decay
  CHECK(house.root.take(0).task == 0);
  CHECK(house.root.charge(0, 200 * kMs));
  CHECK(house.tasks[0].usage.usage == 200 * kMs);
  CHECK(house.groups[kDf].history.used >= 200 * kMs);
  CHECK(house.root.effective(0) == 31 - static_cast<int>((200 * kMs) >> 23));
  CHECK(house.root.peek(200 * kMs, 0).task == 1);
}

TEST_CASE(
    "statement 35: a task that a more important one waits for runs in its class until it ends") {
  RootHouse house(4, 2);
  house.define(0, kBg, 0);
  house.define(1, kFg, 0);
  house.define(2, kIn, 1);
  for (unsigned t = 0; t < 3; ++t) house.root.wake(t, 0);
  CHECK(house.root.take(0).task == 1);
  house.root.lend(0, kFg, 46, 0);  // and now it waits for task 0
  house.root.stop(1, StopReason::blocked, 0);
  CHECK(house.root.groups().active(0, kFg) == 1);
  CHECK(house.root.groups().active(0, kBg) == 0);
  CHECK(house.root.take(0).task == 0);
  CHECK(house.root.effective(0) == 46);
  house.root.give_back(0, 0);  // it ended what was waited for
  CHECK(house.root.effective(0) == 4);
  house.root.stop(0, StopReason::yielded, 0);
  CHECK(house.root.take(0).task == 2);
  house.root.stop(2, StopReason::blocked, 0);
  CHECK(house.take(0) == 0);
}

TEST_CASE("a loan that would make a task less important changes nothing") {
  RootHouse house(1, 1);
  house.define(0, kDf);
  house.root.wake(0, 0);
  house.root.lend(0, kBg, 120, 0);
  house.root.lend(0, kDf, 31, 0);
  house.root.lend(0, 99, 127, 0);
  house.root.lend(7, kFg, 46, 0);
  house.root.give_back(0, 0);
  house.root.give_back(7, 0);
  CHECK_FALSE(house.tasks[0].lent);
  CHECK(house.root.priority() == 31);
  house.root.lend(0, kDf, 35, 0);
  CHECK(house.root.priority() == 35);
}

TEST_CASE("statement 30: hogs of a group that is wider than the machine decay and take turns") {
  RootHouse house(3, 2);
  for (unsigned t = 0; t < 3; ++t) house.define(t, kDf, t == 2 ? 1 : 0);
  house.root.wake(0, 0);
  house.root.wake(2, 0);
  house.root.tick(0);
  CHECK(house.root.take(0).task == 0);
  house.root.charge(0, 125 * kMs);
  CHECK(house.root.effective(0) == 31);  // alone in its group
  house.root.wake(1, 0);
  house.root.tick(125 * kMs);
  house.root.charge(0, 125 * kMs);
  CHECK(house.root.effective(0) == 31 - 14);  // before the tick's ageing
  house.root.tick(250 * kMs);
  CHECK(house.root.effective(0) == 31 - 9);
  CHECK(house.root.effective(2) == 31);
}

TEST_CASE("a root refuses what is out of range") {
  RootHouse house(3, 1);
  house.define(0, kDf, 1);  // no such group
  house.define(1, kDf);
  house.tasks[1].q = 9;
  house.define(2, kDf);
  CHECK_FALSE(house.root.wake(0, 0));
  CHECK_FALSE(house.root.wake(1, 0));
  CHECK_FALSE(house.root.wake(3, 0));
  CHECK(house.root.take(0).task == kNoTask);
  CHECK(house.root.wake(2, 0));
  CHECK_FALSE(house.root.wake(2, 0));
  house.root.stop(2, StopReason::blocked, 0);  // it does not run
  CHECK(house.root.peek(0, 77).task == 2);
  CHECK(house.root.take(0, 2).task == 2);
}
