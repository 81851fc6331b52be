// SPDX-License-Identifier: BSL-1.0
// Proves the choice among classes, rule by rule: natural order, warp, starvation, peeks, the fixed
// class, and a clock that misbehaves. Orders with tasks are in root_test.cpp; the comparison with
// an oracle is in class_oracle_test.cpp.
#include "policy/class_level.hpp"

#include <algorithm>
#include <array>

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr unsigned kFg = 1, kIn = 2, kDf = 3, kUt = 4, kBg = 5;
constexpr Nanos kMs = kMillisecond;
constexpr Nanos kUs = kMicrosecond;

BucketMask mask(std::initializer_list<unsigned> buckets) {
  BucketMask all = 0;
  for (const unsigned b : buckets) all |= bucket_bit(b);
  return all;
}

/// Takes the next bucket out of the queue.
ClassVerdict take(ClassLevel& level, Nanos now) {
  const ClassVerdict verdict = level.select(now, kNoBucket, PickMode::take);
  level.drain(verdict.bucket, now);
  return verdict;
}

}  // namespace

TEST_CASE(
    "statement 15: one task per class, queued in any order at once, is picked by importance") {
  std::array<unsigned, 5> order{kFg, kIn, kDf, kUt, kBg};
  do {
    ClassLevel level(class_table());
    for (const unsigned q : order) level.fill(q, 1000);
    for (const unsigned q : {kFg, kIn, kDf, kUt, kBg}) CHECK(take(level, 1000).bucket == q);
    CHECK(take(level, 1000).reason == PickReason::nothing);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("statement 16: a class warps ahead of an earlier deadline for its budget and no longer") {
  for (const unsigned q : {kFg, kIn, kDf, kUt}) {
    ClassLevel level(class_table());
    const Nanos warp = kClassRows[q].warp;
    level.fill(kBg, 0);
    const Nanos now = 300 * kMs;  // background is long due
    level.fill(q, now);
    CHECK(level.select(now, kNoBucket, PickMode::take).reason == PickReason::warp_opens);
    CHECK(level.warp_end(q) == now + warp);
    const ClassVerdict last = level.select(now + warp - 1, kNoBucket, PickMode::take);
    CHECK(last.bucket == q);
    CHECK(last.reason == PickReason::warp);
    const ClassVerdict after = level.select(now + warp, kNoBucket, PickMode::take);
    CHECK(after.bucket == kBg);
    CHECK(after.reason == PickReason::starved);
    CHECK(level.warp_left(q) == 0);
  }
}

TEST_CASE("a warp is wall time: what is left lapses when its end has passed") {
  ClassLevel level(class_table());
  level.fill(kBg, 0);
  level.fill(kFg, 300 * kMs);
  CHECK(take(level, 300 * kMs).reason == PickReason::warp_opens);  // drained with 8 ms left
  CHECK(level.warp_left(kFg) == 8 * kMs);
  level.fill(kFg, 305 * kMs);
  CHECK(take(level, 305 * kMs).reason == PickReason::warp);
  CHECK(level.warp_left(kFg) == 3 * kMs);
  level.fill(kFg, 309 * kMs);
  CHECK(take(level, 309 * kMs).bucket == kBg);
}

TEST_CASE("statement 18: in a starvation window every pick is the starved class's") {
  const auto starved = [] {
    ClassLevel level(class_table());
    level.fill(kBg, 0);
    level.fill(kFg, 300 * kMs);
    level.select(300 * kMs, kNoBucket, PickMode::take);
    CHECK(level.select(308 * kMs, kNoBucket, PickMode::take).bucket == kBg);
    REQUIRE(level.starving(kBg));
    return level;
  };
  SECTION("until its quantum has passed") {
    ClassLevel level = starved();
    for (Nanos t = 308 * kMs; t < 310 * kMs; t += 100 * kUs) {
      CHECK(level.select(t, kNoBucket, PickMode::take).bucket == kBg);
      CHECK(level.select(t, kNoBucket, PickMode::take).bucket == kBg);  // another worker
    }
    CHECK(level.select(310 * kMs, kNoBucket, PickMode::take).bucket == kFg);
  }
  SECTION("until it is empty") {
    ClassLevel level = starved();
    level.drain(kBg, 309 * kMs);
    CHECK(level.select(309 * kMs, kNoBucket, PickMode::take).bucket == kFg);
  }
  SECTION("until a more important class with unspent warp is ready") {
    ClassLevel level = starved();
    level.fill(kIn, 309 * kMs);
    const ClassVerdict verdict = level.select(309 * kMs, kNoBucket, PickMode::take);
    CHECK(verdict.bucket == kIn);
    CHECK(verdict.reason == PickReason::warp_opens);
    CHECK(level.starving(kBg));  // the window goes on behind it
  }
}

TEST_CASE("statement 19: when a starvation window is over the class gets a new deadline") {
  ClassLevel level(class_table());
  level.fill(kDf, 0);
  level.fill(kFg, 100 * kMs);
  level.select(100 * kMs, kNoBucket, PickMode::take);
  CHECK(level.select(108 * kMs, kNoBucket, PickMode::take).bucket == kDf);
  CHECK(level.deadline(kDf) == 75 * kMs);  // untouched by the window
  CHECK(level.select(115 * kMs, kNoBucket, PickMode::take).bucket == kFg);
  CHECK_FALSE(level.starving(kDf));
  CHECK(level.deadline(kDf) == 115 * kMs + 75 * kMs);
}

TEST_CASE("statement 20: a pick in natural order refills the warp budget") {
  ClassLevel level(class_table());
  level.fill(kBg, 0);
  level.fill(kFg, 300 * kMs);
  level.select(300 * kMs, kNoBucket, PickMode::take);
  level.select(308 * kMs, kNoBucket, PickMode::take);
  CHECK(level.warp_left(kFg) == 0);
  const ClassVerdict natural = level.select(310 * kMs, kNoBucket, PickMode::take);
  CHECK(natural.reason == PickReason::deadline);
  CHECK(level.warp_left(kFg) == 8 * kMs);
  CHECK(level.warp_end(kFg) == ClassLevel::kUnused);
}

TEST_CASE("statement 23: the user interface beats the fixed class with higher priority only") {
  const unsigned bound_fg = bucket_of(kFg, true);
  const unsigned bound_fixed = bucket_of(kFixed, true);
  const auto winner = [](std::initializer_list<unsigned> queued, const Heads& heads) {
    ClassLevel level(class_table());
    for (const unsigned b : queued) level.fill(b, 0);
    return unsigned{level.select(0, kNoBucket, PickMode::take, heads).bucket};
  };
  Heads heads;
  heads.fixed = {47, 63};
  heads.foreground = {46, 63};
  CHECK(winner({kFixed, kFg}, heads) == kFixed);
  heads.foreground = {46, 64};
  CHECK(winner({kFixed, kFg}, heads) == kFg);
  heads.bound_foreground = 47;  // against the unbound winner by task priority
  CHECK(winner({kFixed, bound_fg}, heads) == kFixed);
  heads.bound_foreground = 48;
  CHECK(winner({kFixed, bound_fg}, heads) == bound_fg);
  heads.bound_fixed = 47;
  CHECK(winner({kFixed, bound_fixed}, heads) == bound_fixed);  // bound wins between equals
  heads.bound_fixed = 46;
  CHECK(winner({kFixed, bound_fixed}, heads) == kFixed);
  CHECK(winner({kFixed, bound_fixed, kUt}, {}) == bound_fixed);
}

TEST_CASE("statement 23: the bound bucket wins between equal deadlines") {
  ClassLevel level(class_table());
  level.fill(kUt, 0);
  level.fill(bucket_of(kUt, true), 0);
  CHECK(take(level, 0).bucket == bucket_of(kUt, true));
  CHECK(take(level, 0).bucket == kUt);
}

TEST_CASE("a bucket warps ahead of buckets of the same boundness only") {
  ClassLevel level(class_table());
  level.fill(bucket_of(kBg, true), 0);
  level.fill(kFg, 300 * kMs);
  CHECK(level.select(300 * kMs, kNoBucket, PickMode::take).bucket == bucket_of(kBg, true));
  level.fill(bucket_of(kFg, true), 300 * kMs);
  CHECK(level.select(300 * kMs, kNoBucket, PickMode::take).bucket == bucket_of(kFg, true));
}

TEST_CASE("a fixed task that lost to the user interface starves nobody") {
  ClassLevel level(class_table());
  Heads heads;
  heads.foreground.group = 100;
  level.fill(kFixed, 0);
  level.fill(kFg, 0);
  const ClassVerdict verdict = level.select(5, kNoBucket, PickMode::take, heads);
  CHECK(verdict.bucket == kFg);
  CHECK(verdict.reason == PickReason::deadline);
  CHECK_FALSE(level.starving(kFg));
}

TEST_CASE("statement 24: a peek closes expired windows and opens none") {
  ClassLevel level(class_table());
  level.fill(kBg, 0);
  level.fill(kFg, 300 * kMs);
  // It would open a warp; it does not.
  CHECK(level.select(300 * kMs, kNoBucket, PickMode::peek).bucket == kFg);
  CHECK(level.warp_end(kFg) == ClassLevel::kUnused);
  level.select(300 * kMs, kNoBucket, PickMode::take);
  const Nanos deadline = level.deadline(kFg);
  CHECK(level.select(301 * kMs, kNoBucket, PickMode::peek).bucket == kFg);
  CHECK(level.deadline(kFg) == deadline);
  // It closes the expired warp, and would open a starvation window; it does not.
  CHECK(level.select(309 * kMs, kNoBucket, PickMode::peek).bucket == kBg);
  CHECK(level.warp_left(kFg) == 0);
  CHECK_FALSE(level.starving(kBg));
  CHECK(level.deadline(kBg) == 250 * kMs);
  // It closes the expired starvation window.
  level.select(309 * kMs, kNoBucket, PickMode::take);
  CHECK(level.select(311 * kMs, kNoBucket, PickMode::peek).bucket == kFg);
  CHECK_FALSE(level.starving(kBg));
}

TEST_CASE("statement 24: a peek moves the deadline of the running bucket if that is the answer") {
  ClassLevel level(class_table());
  level.fill(kFg, 0);
  level.fill(kBg, 0);
  CHECK(take(level, 0).bucket == kFg);  // runs now
  CHECK(level.select(10 * kMs, kFg, PickMode::peek).bucket == kFg);
  CHECK(level.deadline(kFg) == 10 * kMs);
  CHECK(level.deadline(kBg) == 250 * kMs);
  CHECK(level.select(255 * kMs, kFg, PickMode::peek).reason == PickReason::deadline);
  const ClassVerdict warps = level.select(260 * kMs, kFg, PickMode::peek);
  CHECK(warps.reason == PickReason::warp_opens);
  CHECK(level.warp_end(kFg) == 268 * kMs);
  CHECK(level.select(270 * kMs, kFg, PickMode::peek).bucket == kBg);
}

TEST_CASE("without queued work the running task goes on and nothing changes") {
  ClassLevel level(class_table());
  CHECK(level.select(5, kNoBucket, PickMode::take).reason == PickReason::nothing);
  const ClassVerdict verdict = level.select(5, kDf, PickMode::take_or_keep);
  CHECK(verdict.bucket == kDf);
  CHECK(verdict.reason == PickReason::keep);
  CHECK(level.deadline(kDf) == 0);
}

TEST_CASE(
    "a clock that stands still keeps the natural order, and one that goes back stands still") {
  ClassLevel level(class_table());
  level.observe(mask({kFg, kBg}), 0);
  const auto pick = [&](Nanos t) { return level.select(t, kNoBucket, PickMode::take); };
  for (int i = 0; i < 1000; ++i) CHECK(pick(0).bucket == kFg);
  CHECK(pick(100 * kMs).bucket == kFg);
  const Nanos deadline = level.deadline(kFg);
  for (Nanos t = 100 * kMs; t > -kSecond; t -= kMs) CHECK(pick(t).bucket == kFg);
  CHECK(level.deadline(kFg) == deadline);
  // The window of a starved class ends by time that passes, not by time that jumps back.
  CHECK(pick(300 * kMs).reason == PickReason::deadline);
  CHECK(pick(301 * kMs).reason == PickReason::warp_opens);
  CHECK(pick(310 * kMs).bucket == kBg);
  CHECK(pick(0).bucket == kBg);
  CHECK(pick(312 * kMs).bucket == kFg);
}

TEST_CASE("the ends of time overflow nothing") {
  ClassLevel level(class_table(kMostTimeScale));
  const BucketMask all = kEveryBucket & ~kFixedBuckets;
  for (const Nanos t : {-kForever, Nanos{0}, kForever - 1, kForever, -kForever, kForever}) {
    level.observe(all, t);
    CHECK(level.select(t, kNoBucket, PickMode::take).bucket < kBuckets);
    CHECK(level.select(t, kBg, PickMode::peek).bucket < kBuckets);
    level.observe(mask({kBg}), t);
    CHECK(level.select(t, kNoBucket, PickMode::take).bucket == kBg);
  }
}

TEST_CASE("buckets that do not exist are ignored") {
  ClassLevel level(class_table());
  for (const unsigned b : {6u, 7u, 14u, 15u, 31u, 32u, 255u, ~0u}) {
    level.fill(b, 0);
    level.drain(b, 0);
    CHECK(level.queued() == 0);
    CHECK(level.select(0, b, PickMode::take).reason == PickReason::nothing);
  }
  level.observe(~BucketMask{0}, 0);
  CHECK(level.queued() == kEveryBucket);
  CHECK(level.select(0, kNoBucket, PickMode::take).bucket == bucket_of(kFixed, true));
}
