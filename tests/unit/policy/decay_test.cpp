// SPDX-License-Identifier: BSL-1.0
// Proves the decay of priorities with use, quanta and what is left of them, ties with the running
// task, and the guard of the fixed class.
#include "policy/decay.hpp"

#include <array>
#include <vector>

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr Nanos kMs = kMillisecond;
constexpr Nanos kUs = kMicrosecond;
constexpr ClassTable kTable = class_table();
constexpr unsigned kDf = 3;

/// Drops in priority after each tick of a task that never stops.
std::vector<int> drops(unsigned load, std::uint32_t ticks, const ClassTable& table = kTable) {
  constexpr int kBase = 95;
  Usage task;
  std::vector<int> all;
  for (std::uint32_t tick = 1; tick <= ticks; ++tick) {
    charge(task, table.tick, decay_shift(load), table);
    age(task, tick);
    all.push_back(kBase - effective_priority(task, kBase, decay_shift(load)));
  }
  return all;
}

}  // namespace

TEST_CASE("the load of a group is how often its tasks outnumber the workers") {
  CHECK(width_load(0, 4) == 0);
  CHECK(width_load(4, 4) == 0);
  CHECK(width_load(5, 4) == 1);
  CHECK(width_load(8, 4) == 1);
  CHECK(width_load(9, 4) == 2);
  CHECK(width_load(1'000'000, 4) == 95);
  CHECK(width_load(~0ull, 0) == 95);
  CHECK(decay_shift(0) == kNoDecay);
  CHECK(decay_shift(1) == 23);
  CHECK(decay_shift(2) == 22);
  CHECK(decay_shift(3) == 22);
  CHECK(decay_shift(4) == 21);
  CHECK(decay_shift(95) == 17);
  CHECK(decay_shift(~0u) == 17);
}

TEST_CASE("statement 30: a task that always runs loses priority as published") {
  using Drops = std::vector<int>;
  CHECK(drops(1, 8) == Drops{9, 15, 18, 21, 22, 23, 23, 24});
  CHECK(drops(2, 8) == Drops{18, 30, 37, 42, 44, 46, 47, 48});
  CHECK(drops(3, 8) == drops(2, 8));
  CHECK(drops(0, 8) == Drops(8, 0));
  CHECK(drops(1, 100).back() == 24);
}

TEST_CASE("priorities fall with ticks alike at every scale of time") {
  CHECK(drops(1, 20, class_table(0.1)) == drops(1, 20));
  CHECK(drops(1, 20, class_table(10)) == drops(1, 20));
}

TEST_CASE("use fades by five eighths for each tick that was missed, and is gone after 32") {
  Usage task{800 * kMs, 10};
  age(task, 10);
  CHECK(task.usage == 800 * kMs);
  age(task, 12);
  CHECK(task.usage == 312'500'000);
  CHECK(task.tick == 12);
  age(task, 11);  // a tick that went back
  CHECK(task.usage == 312'500'000);
  CHECK(task.tick == 12);
  Usage old{kForever, 0};
  age(old, 32);
  CHECK(old.usage == 0);
  Usage wraps{1000, ~0u};
  age(wraps, 0);
  CHECK(wraps.usage == 625);
}

TEST_CASE("use is counted only while the group decays, and never below zero") {
  Usage task;
  charge(task, 100 * kMs, kNoDecay, kTable);
  CHECK(task.usage == 0);
  charge(task, -100 * kMs, 23, kTable);
  CHECK(task.usage == 0);
  charge(task, 100 * kMs, 23, kTable);
  CHECK(task.usage == 100 * kMs);
  charge(task, kForever, 23, kTable);
  CHECK(task.usage == 600 * kMs);
}

TEST_CASE("effective priorities stay between 0 and 95, and fixed ones do not fall") {
  Usage much{kForever, 0};
  CHECK(effective_priority(much, 31, 17) == 0);
  CHECK(effective_priority(much, 31, kNoDecay) == 31);
  CHECK(effective_priority(much, -5, kNoDecay) == 0);
  CHECK(effective_priority(much, 96, 17) == 96);
  CHECK(effective_priority(much, 1000, 17) == 127);
  CHECK(effective_priority({0, 0}, 95, 17) == 95);
}

TEST_CASE(
    "statement 32: a task that is preempted in its first slice keeps the rest of its quantum") {
  Quantum quantum = begin_quantum(kDf, kNothingLeft, kTable);
  CHECK(quantum.left == 6 * kMs);
  CHECK_FALSE(spend(quantum, 2 * kMs));
  const Leftover kept = switch_out(quantum, 31, 31);
  CHECK(kept.left == 4 * kMs);
  CHECK_FALSE(kept.expired);
  CHECK(begin_quantum(kDf, kept, kTable).left == 4 * kMs);
  CHECK(begin_quantum(kDf, kept, kTable).first);
}

TEST_CASE("statement 32: less than 250 us counts as expired and is added to the next quantum") {
  Quantum quantum = begin_quantum(kDf, kNothingLeft, kTable);
  spend(quantum, 6 * kMs - 249 * kUs);
  const Leftover small = switch_out(quantum, 31, 31);
  CHECK(small.expired);
  CHECK(begin_quantum(kDf, small, kTable).left == 6 * kMs + 249 * kUs);
  quantum = begin_quantum(kDf, kNothingLeft, kTable);
  spend(quantum, 6 * kMs - 250 * kUs);
  CHECK_FALSE(switch_out(quantum, 31, 31).expired);
}

TEST_CASE("a fall in priority forfeits the rest, a rise does not, and a second quantum has none") {
  Quantum quantum = begin_quantum(kDf, kNothingLeft, kTable);
  spend(quantum, kMs);
  CHECK(switch_out(quantum, 31, 30).left == 0);
  CHECK(switch_out(quantum, 31, 30).expired);
  CHECK(switch_out(quantum, 31, 32).left == 5 * kMs);
  quantum = next_quantum(kDf, kTable);
  spend(quantum, kMs);
  CHECK(switch_out(quantum, 31, 31).left == 0);
}

TEST_CASE("statement 33: between equals the running task goes on in its first quantum only") {
  const Quantum first = begin_quantum(kDf, kNothingLeft, kTable);
  const Quantum second = next_quantum(kDf, kTable);
  CHECK(goes_on(first, 31, 31));
  CHECK_FALSE(goes_on(second, 31, 31));
  CHECK(goes_on(second, 32, 31));
  CHECK_FALSE(goes_on(first, 31, 32));
}

TEST_CASE("statement 34: an overrun ends the quantum however long it was") {
  for (const Nanos ran : {6 * kMs, 60 * kMs, kForever}) {
    Quantum quantum = begin_quantum(kDf, kNothingLeft, kTable);
    CHECK(spend(quantum, ran));
    CHECK(quantum.left == 0);
    CHECK(switch_out(quantum, 31, 31).expired);
  }
  Quantum quantum = begin_quantum(kDf, kNothingLeft, kTable);
  CHECK_FALSE(spend(quantum, -kForever));
  CHECK(quantum.left == 6 * kMs);
}

TEST_CASE("what is left over is never more than a quantum") {
  CHECK(begin_quantum(kDf, {kForever, false}, kTable).left == 6 * kMs);
  CHECK(begin_quantum(kDf, {kForever, true}, kTable).left == 12 * kMs);
  CHECK(begin_quantum(kDf, {-kForever, true}, kTable).left == 6 * kMs);
  CHECK(begin_quantum(99, kNothingLeft, kTable).left == kTable[kBackground].quantum);
}

TEST_CASE("a fixed task that ran for a second without blocking steps down for two") {
  FixedGuard guard;
  Nanos now = 0;
  for (int i = 1; i < 100; ++i) CHECK_FALSE(guard.charge(10 * kMs, now += 10 * kMs, kTable));
  CHECK_FALSE(guard.stepped_down(now));
  CHECK(guard.charge(10 * kMs, now += 10 * kMs, kTable));
  CHECK(guard.stepped_down(now));
  CHECK(guard.stepped_down(now + 2 * kSecond - 1));
  CHECK_FALSE(guard.stepped_down(now + 2 * kSecond));
  CHECK_FALSE(guard.charge(kSecond, now + kSecond, kTable));  // uncounted meanwhile
  CHECK_FALSE(guard.charge(10 * kMs, now + 2 * kSecond, kTable));
}

TEST_CASE("a fixed task that blocks now and then never steps down") {
  FixedGuard guard;
  Nanos now = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(guard.charge(900 * kMs, now += 900 * kMs, kTable));
    guard.block();
  }
  CHECK_FALSE(guard.charge(-kForever, -kForever, kTable));
  CHECK(guard.charge(kForever, now, kTable));
}
