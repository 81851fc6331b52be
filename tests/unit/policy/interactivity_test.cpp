// SPDX-License-Identifier: BSL-1.0
// Proves the score of groups: the published values, the history that is kept short, and the score
// that rises while a group waits.
#include "policy/interactivity.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr Nanos kMs = kMillisecond;
constexpr ClassTable kTable = class_table();

Interactivity group_of(Nanos blocked_ms, Nanos used_ms) {
  return {used_ms * kMs, blocked_ms * kMs, 0, false};
}

int score(const Interactivity& group) { return score_of(group.used, group.blocked, group.score); }

}  // namespace

TEST_CASE("statement 25: blocked and used times give the published scores") {
  struct Row {
    Nanos blocked, used;
    int score;
  };
  const std::vector<Row> rows{{500, 0, 16},   {450, 50, 15}, {400, 100, 14},
                              {300, 200, 10}, {250, 250, 8}, {200, 300, 5},
                              {100, 400, 2},  {50, 450, 0},  {0, 500, 0}};
  for (const Row& row : rows) {
    INFO(row.blocked << "/" << row.used);
    CHECK(score_of(row.used * kMs, row.blocked * kMs, 99) == row.score);
    Interactivity group = group_of(row.blocked, row.used);
    CHECK(evaluate(group, kTable) == row.score);
  }
}

TEST_CASE("without any history the last score stays, and negative times count as none") {
  CHECK(score_of(0, 0, 7) == 7);
  CHECK(score_of(-5, -5, 7) == 7);
  CHECK(score_of(-5, 5, 7) == 16);
  CHECK(score_of(kForever, kForever, 7) == 8);
  CHECK(score_of(kForever / 2, kForever, 7) == 12);
}

TEST_CASE(
    "statement 26: a history of 500 ms is divided by ten and the score stays but for rounding") {
  Rng rng(26);
  for (int i = 0; i < 10'000; ++i) {
    const auto used = static_cast<Nanos>(rng.below(500 * 1'000'000));
    Interactivity group{used, kHistory - used, 0, false};
    const int before = score(group);
    const int after = evaluate(group, kTable);
    CHECK(std::abs(after - before) <= 1);
    CHECK(group.used == used / 10);
    CHECK(group.blocked <= (kHistory - used) / 10 + 1);
  }
  Interactivity shorter{100 * kMs, 399 * kMs, 0, false};
  evaluate(shorter, kTable);
  CHECK(shorter.used == 100 * kMs);
}

TEST_CASE("a group that only computes keeps a history and its score moves again") {
  Interactivity hog = new_group(kTable);
  for (int i = 0; i < 1000; ++i) {
    note_run(hog, 10 * kMs, kTable);
    evaluate(hog, kTable);
    CHECK(hog.blocked >= 1);
  }
  CHECK(hog.score == 0);
  note_blocked(hog, 400 * kMs, kTable);
  CHECK(evaluate(hog, kTable) > 8);
}

TEST_CASE("a new group has the greatest score and its first evaluation does not lower it") {
  Interactivity group = new_group(kTable);
  CHECK(group.score == 16);
  note_run(group, 100 * kMs, kTable);
  CHECK(evaluate(group, kTable) == 16);
  CHECK(evaluate(group, kTable) == 14);
}

TEST_CASE("one stretch counts for a history at most, and a negative one for nothing") {
  Interactivity group = group_of(0, 0);
  note_run(group, kForever, kTable);
  CHECK(group.used == kHistory);
  note_blocked(group, kForever, kTable);
  CHECK(group.blocked == kHistory);
  note_run(group, -kForever, kTable);
  note_blocked(group, -1, kTable);
  CHECK(group.used == kHistory);
  CHECK(group.blocked == kHistory);
}

TEST_CASE("statement 28: waiting forgets as much use as the published examples say") {
  struct Row {
    Nanos blocked, used, steps;
    double left_ms;
    int before, after;
  };
  const std::vector<Row> rows{{100, 400, 1, 266.67, 2, 3},
                              {100, 400, 4, 133.33, 2, 6},
                              {250, 250, 1, 218.75, 8, 9},
                              {400, 100, 1, 50, 14, 15},
                              {400, 100, 2, 0, 14, 16}};
  for (const Row& row : rows) {
    Interactivity group = group_of(row.blocked, row.used);
    CHECK(score(group) == row.before);
    forget_use(group, row.steps);
    CHECK(std::abs(static_cast<double>(group.used) / 1e6 - row.left_ms) < 0.01);
    CHECK(score(group) == row.after);
  }
}

TEST_CASE("statement 28: n steps of waiting raise the score by n, up to the greatest") {
  Rng rng(28);
  for (int i = 0; i < 20'000; ++i) {
    Interactivity group{static_cast<Nanos>(rng.below(500'000'000) + 1),
                        static_cast<Nanos>(rng.below(500'000'000) + 1), 0, false};
    const int before = score(group);
    const auto steps = static_cast<Nanos>(rng.below(20));
    forget_use(group, steps);
    const int wanted = std::min(before + static_cast<int>(steps), kMostScore);
    INFO("from " << before << " by " << steps << " to " << score(group));
    CHECK(std::abs(score(group) - wanted) <= 1);  // scores are truncated
  }
  Interactivity group = group_of(100, 400);
  forget_use(group, kForever);
  CHECK(group.used == 0);
  group = group_of(100, 400);
  forget_use(group, -3);
  CHECK(group.used == 400 * kMs);
}

TEST_CASE("the wait for a better score grows with the groups that are queued") {
  CHECK(pending_interval(kForeground, 0, kTable) == 10 * kMs);
  CHECK(pending_interval(kForeground, 3, kTable) == 40 * kMs);
  CHECK(pending_interval(kBackground, 2, kTable) == 254 * kMs);
  CHECK(pending_interval(kFixed, 0, kTable) == 1);
  CHECK(pending_interval(kFixed, ~0u, class_table(kMostTimeScale)) > 0);
}
