// SPDX-License-Identifier: BSL-1.0
// Proves the turns of classes as a core asks for them, poll by poll: quanta, arrivals, classes that
// are alone, and the published shares at any length of polls.
#include "policy/class_turns.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.hpp"
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

}  // namespace

TEST_CASE("a class keeps the core for its quantum and is asked again at its end") {
  ClassTurns turns(class_table());
  const BucketMask two = mask({kIn, kDf});
  CHECK(turns.pick(two, 0).reason == PickReason::deadline);
  CHECK(turns.turn_end() == 8 * kMs);
  for (Nanos t = 0; t < 8 * kMs; t += 100 * kUs) {
    CHECK(turns.pick(two, t).reason == PickReason::keep);
  }
  CHECK(turns.pick(two, 8 * kMs).reason == PickReason::deadline);
  CHECK(turns.turn_end() == 16 * kMs);
  CHECK(turns.turn() == kIn);
}

TEST_CASE("statement 21: polls of any length give the published first runs and shares") {
  struct Mix {
    unsigned upper, lower;
    Nanos first, cycle;
  };
  for (const Mix mix : {Mix{kFg, kBg, 270, 272}, Mix{kFg, kDf, 100, 106}, Mix{kIn, kDf, 56, 62},
                        Mix{kDf, kBg, 192, 194}, Mix{kUt, kBg, 108, 110}}) {
    for (const Nanos poll : {10 * kUs, 50 * kUs, 500 * kUs, 2 * kMs}) {
      ClassTurns turns(class_table());
      const Nanos end = (mix.first + 20 * mix.cycle) * kMs;
      Nanos first = -1;
      Nanos used = 0;
      for (Nanos now = 0; now < end; now += poll) {
        if (turns.pick(mask({mix.upper, mix.lower}), now).bucket != mix.lower) continue;
        if (first < 0) first = now;
        used += poll;
      }
      INFO(mix.upper << " with " << mix.lower << ", polls of " << poll / kUs << " us");
      CHECK(first == mix.first * kMs);
      CHECK(used == 20 * kClassRows[mix.lower].quantum);
    }
  }
}

TEST_CASE("a question that comes late leaves the ends of later quanta where they were") {
  ClassTurns turns(class_table());
  const BucketMask two = mask({kFg, kBg});
  turns.pick(two, 0);
  for (int quantum = 1; quantum <= 20; ++quantum) {
    CHECK(turns.turn_end() == quantum * 10 * kMs);
    CHECK(turns.pick(two, quantum * 10 * kMs + 3 * kMs).bucket == kFg);
  }
  // Whole quanta late: the next end is one of the same row.
  turns.pick(two, 235 * kMs);
  CHECK(turns.turn_end() == 240 * kMs);
}

TEST_CASE(
    "statement 22: polls of any length lengthen the longest wait by their own, not by their sum") {
  for (const Nanos most : {10 * kUs, 500 * kUs, 2 * kMs, 5 * kMs}) {
    Nanos longest = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Rng rng(seed);
      ClassTurns turns(class_table());
      Nanos waits_since = 0;
      for (Nanos now = 0; now < 2 * kSecond;) {
        const bool lower = turns.pick(mask({kFg, kBg}), now).bucket == kBg;
        if (lower) longest = std::max(longest, now - waits_since);
        now += 1 + static_cast<Nanos>(rng.below(static_cast<std::uint64_t>(most)));
        if (lower) waits_since = now;
      }
    }
    INFO("the longest wait is " << longest / kUs << " us with polls of up to " << most / kUs);
    // The end of a quantum that falls within the head start is 2 ms before that of the head start.
    CHECK(longest <= (most <= 2 * kMs ? 270 : 280) * kMs + most);
  }
}

TEST_CASE("a more important class that gets work is asked for at once, a lesser one waits") {
  ClassTurns turns(class_table());
  CHECK(turns.pick(mask({kDf}), 0).bucket == kDf);
  CHECK(turns.pick(mask({kDf, kUt}), kMs).bucket == kDf);
  CHECK(turns.pick(mask({kDf, kUt, kFg}), 2 * kMs).bucket == kFg);
  CHECK(turns.pick(mask({kDf, kUt, kFg, kFixed}), 3 * kMs).reason == PickReason::fixed);
  CHECK(turns.pick(mask({kDf, kUt, kFg}), 4 * kMs).bucket == kFg);
  CHECK(turns.pick(mask({kDf, kUt}), 5 * kMs).bucket == kDf);
}

TEST_CASE("a class without more work ends its turn") {
  ClassTurns turns(class_table());
  CHECK(turns.pick(mask({kFg, kBg}), 0).bucket == kFg);
  CHECK(turns.pick(mask({kBg}), 10).bucket == kBg);
  CHECK(turns.pick(0, 20).reason == PickReason::nothing);
  CHECK(turns.turn() == kNoBucket);
  CHECK(turns.pick(0, 20).bucket == kNoBucket);
  CHECK(turns.pick(mask({kBg}), 30).bucket == kBg);
}

TEST_CASE("a class that is alone needs no clock, and its quanta count from its first poll") {
  ClassTurns turns(class_table());
  const BucketMask one = mask({kDf});
  CHECK_FALSE(turns.only(one));
  CHECK_FALSE(turns.only(0));
  turns.pick(one, 0);
  CHECK(turns.only(one));
  CHECK_FALSE(turns.only(mask({kDf, kBg})));
  CHECK(turns.pick(one, 10 * kSecond).reason == PickReason::keep);
  // A lesser class comes in the middle of a quantum.
  CHECK(turns.pick(mask({kDf, kUt}), 10 * kSecond + kMs).bucket == kDf);
  const Nanos into = (10 * kSecond + kMs) % (6 * kMs);
  CHECK(turns.turn_end() == 10 * kSecond + kMs - into + 6 * kMs);
  CHECK_FALSE(turns.only(mask({kDf, kUt})));
  turns.pick(one, 11 * kSecond);
  CHECK(turns.only(one));
}

TEST_CASE("turns do not end by a clock that stands still or goes back") {
  ClassTurns turns(class_table());
  const BucketMask two = mask({kFg, kBg});
  for (int i = 0; i < 100; ++i) CHECK(turns.pick(two, kSecond).bucket == kFg);
  for (Nanos t = kSecond; t > -kSecond; t -= 10 * kMs) CHECK(turns.pick(two, t).bucket == kFg);
  CHECK(turns.turn_end() == kSecond + 10 * kMs);
  CHECK(turns.pick(mask({kBg}), 0).bucket == kBg);
  CHECK(turns.pick(two, -kForever).bucket < kBuckets);
  CHECK(turns.pick(two, kForever).bucket < kBuckets);
  CHECK(turns.pick(two, kForever).bucket < kBuckets);
}

TEST_CASE("priorities decide between the fixed class and the user interface if they are given") {
  ClassTurns turns(class_table());
  Heads heads;
  CHECK(turns.pick(mask({kFixed, kFg}), 0, heads).bucket == kFixed);
  ClassTurns others(class_table());
  heads.foreground = {64, 80};
  CHECK(others.pick(mask({kFixed, kFg}), 0, heads).bucket == kFg);
}

TEST_CASE("bits that mean no bucket are ignored in a turn") {
  ClassTurns turns(class_table());
  CHECK(turns.pick(~BucketMask{0} & ~kEveryBucket, 0).reason == PickReason::nothing);
  CHECK(turns.pick(~BucketMask{0}, 1).bucket == bucket_of(kFixed, true));
}
