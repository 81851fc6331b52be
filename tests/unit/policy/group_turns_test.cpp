// SPDX-License-Identifier: BSL-1.0
// Proves the turns of task groups as a core asks for them: shares, interactivity, fair groups, and
// that nobody waits for ever.
#include "policy/group_turns.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "policy/fair.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr unsigned kClass = 3;
constexpr Nanos kMs = kMillisecond;
const ClassTable kTable = class_table();
const Nanos kQuantum = kTable[kClass].quantum;

constexpr GroupMask mask(std::initializer_list<unsigned> groups) {
  GroupMask all = 0;
  for (const unsigned g : groups) all |= GroupMask{1} << g;
  return all;
}

/// A core on which time passes by polls of groups.
struct Core {
  explicit Core(ClassTable table = kTable) : turns(std::make_unique<GroupTurns>(table)) {}

  void rule(unsigned group, std::uint32_t shares, bool fair = false) {
    turns->renew(group, {shares, fair}, now);
  }
  /// Whoever's turn it is runs for `poll`.
  unsigned run(GroupMask ready, Nanos poll, unsigned q = kClass) {
    const unsigned group = turns->pick(q, ready, now);
    if (group == kNoGroup) return group;
    now += poll;
    used[group] += poll;
    turns->charge(group, q, poll);
    return group;
  }

  std::unique_ptr<GroupTurns> turns;
  Nanos now = 0;
  std::array<Nanos, kTurnGroups> used{};
};

}  // namespace

TEST_CASE("groups share a class by their shares from the first hundred turns on") {
  for (const bool fair : {false, true}) {
    for (const Nanos poll : {50 * kMicrosecond, kMs, 2 * kMs}) {
      Core core;
      core.rule(1, 1, fair);
      core.rule(2, 3, fair);
      while (core.now < 100 * kQuantum) core.run(mask({1, 2}), poll);
      const double part = static_cast<double>(core.used[2]) / static_cast<double>(core.now);
      INFO("fair " << fair << ", polls of " << poll << ", part " << part);
      CHECK(part >= 0.75 * 0.95);
      CHECK(part <= 0.75 * 1.05);
    }
  }
}

TEST_CASE("equal groups take turns of a quantum") {
  Core core;
  for (int i = 0; i < 200; ++i) core.run(mask({0, 1, 2, 63}), kMs);
  core.used = {};
  const Nanos from = core.now;
  unsigned last = kNoGroup;
  int changes = 0;
  while (core.now < from + 40 * kQuantum) {
    const unsigned group = core.run(mask({0, 1, 2, 63}), kMs);
    if (group != last) ++changes;
    last = group;
  }
  for (const unsigned g : {0u, 1u, 2u, 63u}) CHECK(core.used[g] == 10 * kQuantum);
  CHECK(changes <= 41);  // it may begin in the middle of a turn
}

TEST_CASE("a group that mostly waits goes before one that computes, at once") {
  Core core;
  // Group 1 computes all the time, group 2 for 0.1 ms in every 10.
  for (int i = 0; i < 1000; ++i) core.run(mask({1}), kMs);
  for (int i = 0; i < 200; ++i) {
    REQUIRE(core.run(mask({1, 2}), kMs / 10) == 2);
    for (int p = 0; p < 99; ++p) REQUIRE(core.run(mask({1}), kMs / 10) == 1);
  }
  CHECK(core.turns->score(1, kClass) == 0);
  CHECK(core.turns->score(2, kClass) >= 14);
}

TEST_CASE("a group that computes is served while an interactive one has more than it can do") {
  Core core;
  for (int i = 0; i < 100; ++i) {
    core.run(mask({2}), kMs);
    core.run(mask({1, 2}), kMs / 10);
    core.now += 10 * kMs;
    core.turns->pick(kClass, mask({1}), core.now);
  }
  // From here on group 2 computes, too: half for each before long.
  core.used = {};
  const Nanos from = core.now;
  while (core.now < from + 3000 * kMs) core.run(mask({1, 2}), kMs);
  CHECK(core.used[1] > 1000 * kMs);
  CHECK(core.used[2] > 1000 * kMs);
}

TEST_CASE("a fair group gets its share beside an interactive one and beside many that compute") {
  Core core;
  core.rule(1, 100, true);
  for (const unsigned g : {2u, 3u, 4u}) core.rule(g, 100);
  while (core.now < 400 * kQuantum) core.run(mask({1, 2, 3, 4}), kMs);
  const double part = static_cast<double>(core.used[1]) / static_cast<double>(core.now);
  INFO(part);
  CHECK(part >= 0.25 * 0.9);
  CHECK(part <= 0.25 * 1.1);
}

TEST_CASE("waiting in vain raises a score, so the least shares are served") {
  Core core;
  core.rule(1, kMostShares);
  core.rule(2, 1);
  while (core.now < 3000 * kMs) core.run(mask({1, 2}), kMs);  // both compute
  Nanos longest = 0;
  Nanos since = core.now;
  const Nanos until = core.now + 5000 * kMs;
  while (core.now < until) {
    if (core.run(mask({1, 2}), kMs) != 2) continue;
    longest = std::max(longest, core.now - since);
    since = core.now;
  }
  // An interval raises it by one. That is enough among scores of 0, but what uses less than its
  // shares has a better one.
  CHECK(longest <= (kMostScore + 1) * pending_interval(kClass, 2, kTable));
  CHECK(core.used[2] >= 5 * kQuantum);
}

TEST_CASE("a group cannot save up turns while it has nothing to do") {
  Core core;
  core.rule(1, 100, true);
  core.rule(2, 100, true);
  for (int i = 0; i < 100; ++i) core.run(mask({1, 2}), kMs);
  for (int i = 0; i < 10'000; ++i) core.run(mask({1}), kMs);
  while (core.run(mask({1, 2}), kMs) == 1) {
  }
  Nanos alone = kMs;
  while (core.run(mask({1, 2}), kMs) == 2) alone += kMs;
  CHECK(alone <= (kSleeperQuanta + 2) * kQuantum);
  CHECK(alone >= kQuantum - kMs);
}

TEST_CASE("who was alone for long has used nothing that others could want back") {
  for (const bool asked : {true, false}) {
    Core core;
    core.rule(1, 100, true);
    core.run(mask({1}), kMs);
    // A core asks once that one group is left, and only charges it from then on.
    core.run(asked ? mask({0}) : 0, kMs);
    for (int i = 0; i < 10'000; ++i) {
      core.now += kMs;
      core.turns->charge(0, kClass, kMs);
    }
    core.used = {};
    while (core.used[0] + core.used[1] < 1000 * kMs) core.run(mask({0, 1}), kMs);
    CHECK(core.used[0] >= 450 * kMs);
    CHECK(core.used[0] <= 550 * kMs);
  }
}

TEST_CASE("a new group with an old index is new") {
  Core core;
  core.rule(1, 100);
  while (core.now < 2000 * kMs) core.run(mask({0, 1}), kMs);
  CHECK(core.turns->score(1, kClass) == 0);
  core.rule(1, 100);
  CHECK(core.turns->score(1, kClass) == kMostScore);
  CHECK(core.run(mask({0, 1}), kMs) == 1);
}

TEST_CASE("classes do not mix, rest counts as waiting, and nonsense is refused") {
  Core core;
  for (int i = 0; i < 2000; ++i) core.run(mask({1, 2}), kMs);
  CHECK(core.turns->score(1, 4) == kMostScore);
  const int before = core.turns->score(1, kClass);
  core.turns->rest(core.now);
  core.now += 400 * kMs;
  core.run(mask({1}), kMs);
  core.turns->pick(kClass, mask({1, 2}), core.now);
  core.turns->pick(kClass, mask({1}), core.now + 20 * kMs);
  CHECK(core.turns->score(1, kClass) > before);

  CHECK(core.turns->pick(kClass, 0, core.now) == kNoGroup);
  CHECK(core.turns->turn(kClass) == kNoGroup);
  CHECK(core.turns->pick(77, mask({1}), core.now) == kNoGroup);
  core.turns->charge(64, kClass, kMs);
  core.turns->charge(1, 77, kMs);
  core.turns->renew(64, {}, core.now);
  CHECK(core.turns->score(64, kClass) == kNoPriority);
  // Shares out of range count as the nearest; time that goes back stands still.
  core.turns->renew(5, {0, false}, -kForever);
  core.turns->renew(6, {~0u, true}, core.now);
  CHECK(core.turns->pick(0, mask({5, 6}), -kForever) != kNoGroup);
  core.turns->charge(5, 0, kForever);
  core.turns->charge(5, 0, kForever);
  CHECK(core.turns->pick(0, mask({5, 6}), kForever) == 6);
}
