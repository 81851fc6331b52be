// SPDX-License-Identifier: BSL-1.0
// Proves the published first runs, cycles and shares of classes that are always ready, and the
// longest wait of the least important one.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/sanitized.hpp"
#include "unit/policy/root_house.hpp"

using namespace paceline_test;

namespace {

constexpr unsigned kFg = 1, kIn = 2, kDf = 3, kUt = 4, kBg = 5;
constexpr Nanos kMs = kMillisecond;

struct Mix {
  unsigned upper, lower;
  Nanos first, cycle;
  double percent;
};

constexpr std::uint64_t kWaitSeeds = paceline_test::kSanitized ? 4 : 30;

/// How long background waits at most behind three tasks of the user interface that block now and
/// then, but never all. Decisions fall after random stretches up to `most`.
Nanos longest_wait(std::uint64_t seed, Nanos most) {
  Rng rng(seed);
  RootHouse house(4, 4);
  house.define(3, kBg, 3);
  for (unsigned t = 0; t < 3; ++t) house.define(t, kFg, t);
  for (unsigned t = 0; t < 4; ++t) house.root.wake(t, 0);
  Nanos now = 0;
  Nanos waits_since = 0;
  Nanos longest = 0;
  unsigned current = house.root.take(0).task;
  while (now < 5 * kSecond) {
    const Nanos left = house.tasks[current].quantum.left;
    const Nanos ran = std::min(left, 1 + Nanos(rng.below(std::uint64_t(most))));
    now += ran;
    house.root.charge(current, ran);
    if (current == 3) waits_since = now;
    if (current != 3 && rng.below(8) == 0) house.root.wake(current == 0 ? 1 : 0, now);
    if (house.root.peek(now, current).task == current) continue;
    const unsigned next = house.root.take(now, current).task;
    const bool blocks = current != 3 && next != 3 && rng.below(3) == 0;
    house.root.stop(current, blocks ? StopReason::blocked : StopReason::preempted, now);
    if (next == 3) longest = std::max(longest, now - waits_since);
    current = next;
  }
  return longest;
}

}  // namespace

TEST_CASE("statement 21: first runs, cycles and shares of every pair are as published") {
  const std::vector<Mix> mixes{{kFg, kBg, 270, 272, 0.73},
                               {kFg, kDf, 100, 106, 5.66},
                               {kIn, kDf, 56, 62, 9.67},
                               {kDf, kBg, 192, 194, 1.03},
                               {kUt, kBg, 108, 110, 1.82}};
  for (const Mix& mix : mixes) {
    INFO(mix.upper << " with " << mix.lower);
    Saturated worker({mix.upper, mix.lower});
    worker.run(mix.cycle * kMs * 200 + mix.first * kMs);
    const std::vector<Nanos> starts = worker.starts(mix.lower);
    REQUIRE(starts.size() >= 200);
    CHECK(starts[0] == mix.first * kMs);
    for (std::size_t i = 1; i < starts.size(); ++i) {
      REQUIRE(starts[i] - starts[i - 1] == mix.cycle * kMs);
    }
    // Over whole cycles, the share is one quantum of each, to the digits that are published.
    const double share = 100.0 * double(kClassRows[mix.lower].quantum) / double(mix.cycle * kMs);
    CHECK(std::abs(share - mix.percent) <= 0.0101);
    const double used = 100.0 * double(worker.used(mix.lower)) / double(worker.now());
    CHECK(std::abs(used - share) <= 0.01 * share);
  }
}

TEST_CASE("statement 21: five classes share a core as published over a minute") {
  Saturated worker({kFg, kIn, kDf, kUt, kBg});
  worker.run(60 * kSecond);
  CHECK(worker.starts(kIn)[0] == 60 * kMs);
  CHECK(worker.starts(kDf)[0] == 106 * kMs);
  CHECK(worker.starts(kUt)[0] == 186 * kMs);
  CHECK(worker.starts(kBg)[0] == 282 * kMs);
  const std::array<double, kClasses> percent{0, 79.8, 11.5, 5.7, 2.2, 0.7};
  for (unsigned q = kFg; q <= kBg; ++q) {
    const double used = 100.0 * double(worker.used(q)) / double(worker.now());
    INFO("class " << q << ": " << used);
    CHECK(std::abs(used - percent[q]) <= 0.05);
  }
}

TEST_CASE("statement 21: five classes switch at the published times") {
  Saturated worker({kBg, kDf, kFg, kUt, kIn});
  worker.run(300 * kMs);
  const std::vector<std::pair<Nanos, unsigned>> wanted{
      {0, kFg},   {60, kIn},  {68, kFg},  {98, kIn},  {106, kDf}, {112, kFg},
      {172, kIn}, {180, kDf}, {186, kUt}, {190, kFg}, {240, kIn}, {248, kFg},
      {278, kUt}, {282, kBg}, {284, kDf}, {290, kFg}};
  REQUIRE(worker.switches().size() >= wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    INFO("switch " << i);
    CHECK(worker.switches()[i].at == wanted[i].first * kMs);
    CHECK(worker.switches()[i].q == wanted[i].second);
  }
}

TEST_CASE("the windows of user interface and background open and close at the published times") {
  Saturated worker({kFg, kBg});
  const ClassLevel& classes = worker.house().root.classes();
  const auto at = [&](Nanos ms) { worker.run(ms * kMs); };
  at(250);
  CHECK(classes.warp_end(kFg) == ClassLevel::kUnused);
  at(260);
  CHECK(classes.warp_end(kFg) == 268 * kMs);
  at(270);
  CHECK(classes.warp_left(kFg) == 0);
  CHECK(classes.starving(kBg));
  at(272);
  CHECK_FALSE(classes.starving(kBg));
  at(522);
  CHECK(classes.warp_end(kFg) == ClassLevel::kUnused);
  at(532);
  CHECK(classes.warp_end(kFg) == 540 * kMs);
  at(542);
  CHECK(classes.starving(kBg));
  at(544);
  CHECK_FALSE(classes.starving(kBg));
}

TEST_CASE(
    "statement 22: background waits at most 258 ms and two quanta behind the user interface") {
  const Nanos limit = 258 * kMs + 2 * kClassRows[kFg].quantum;
  Saturated worker({kFg, kBg});
  worker.run(100 * kSecond);
  const std::vector<Nanos> starts = worker.starts(kBg);
  REQUIRE(starts.size() > 300);
  CHECK(starts[0] <= limit);
  for (std::size_t i = 1; i < starts.size(); ++i) {
    CHECK(starts[i] - starts[i - 1] - kClassRows[kBg].quantum <= limit);
  }
  // Also behind several tasks that block, where decisions are at most 6 ms apart.
  for (std::uint64_t seed = 0; seed < kWaitSeeds; ++seed) {
    CHECK(longest_wait(seed, 6 * kMs) <= limit);
  }
}

// Where stretches end at any time, three of them may pass in vain: one may begin just before the
// deadline, the next sees the user interface's own deadline before it, and one may begin just
// before the end of the warp.
TEST_CASE("background waits at most 258 ms and three stretches, wherever stretches end") {
  for (const Nanos most : {10 * kMs, 5 * kMs, kMs, kMs / 10}) {
    Nanos longest = 0;
    for (std::uint64_t seed = 0; seed < kWaitSeeds; ++seed) {
      longest = std::max(longest, longest_wait(seed, most));
    }
    INFO("the longest wait is " << longest / 1000 << " us with stretches of " << most / 1000);
    CHECK(longest <= 258 * kMs + 3 * most);
    CHECK(longest >= 250 * kMs);
  }
}

TEST_CASE("no class waits for ever whatever is ready beside it") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    std::vector<unsigned> classes;
    for (unsigned q = kFg; q <= kBg; ++q) {
      if (q == kBg || rng.below(2) == 0) classes.push_back(q);
    }
    Saturated worker(classes);
    worker.run(10 * kSecond);
    for (const unsigned q : classes) {
      const std::vector<Nanos> starts = worker.starts(q);
      REQUIRE(!starts.empty());
      for (std::size_t i = 1; i < starts.size(); ++i) {
        CHECK(starts[i] - starts[i - 1] < 500 * kMs);
      }
    }
  }
}
