// SPDX-License-Identifier: BSL-1.0
// Proves that the fixed class goes before all others for a second and then shares for two.
#include "policy/fixed_watch.hpp"

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {
constexpr BucketMask kFixedOnly = 1;
constexpr BucketMask kBoth = 1 | 1 << 3;
}  // namespace

TEST_CASE("the fixed class is itself for a second of others' waiting, then foreground for two") {
  FixedWatch watch(class_table());
  Nanos now = 5 * kSecond;
  REQUIRE(watch.seen(kBoth, now) == kBoth);
  now += kSecond - 1;
  REQUIRE(watch.seen(kBoth, now) == kBoth);
  REQUIRE(watch.seen_class(0, now) == 0);
  now += 1;
  REQUIRE(watch.seen(kBoth, now) == ((1 << 1) | (1 << 3)));
  REQUIRE(watch.seen_class(0, now) == 1);
  REQUIRE(watch.seen_class(3, now) == 3);
  REQUIRE(watch.meant(1, kBoth, now) == 0);
  REQUIRE(watch.meant(3, kBoth, now) == 3);
  now += 2 * kSecond;
  REQUIRE(watch.seen(kBoth, now) == kBoth);
  REQUIRE(watch.seen_class(0, now) == 0);
}

TEST_CASE("a pause, or nobody who waits, ends the fixed class's second") {
  FixedWatch watch(class_table());
  Nanos now = 0;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(watch.seen(kBoth, now) == kBoth);
    now += kSecond / 2;
    REQUIRE(watch.seen(i % 2 == 0 ? kFixedOnly : BucketMask{8}, now) ==
            (i % 2 == 0 ? kFixedOnly : BucketMask{8}));
    now += kSecond;
  }
}

TEST_CASE("while it is limited the fixed class takes turns with the foreground class") {
  FixedWatch watch(class_table());
  constexpr BucketMask kThree = kBoth | 1 << 1;
  watch.seen(kThree, 0);
  REQUIRE(watch.seen(kThree, kSecond) == ((1 << 1) | (1 << 3)));
  int fixed = 0;
  for (int i = 0; i < 100; ++i) fixed += watch.meant(1, kThree, kSecond) == 0;
  REQUIRE(fixed == 50);
}

TEST_CASE("time_scale shortens the fixed class's second") {
  FixedWatch watch(class_table(0.1));
  watch.seen(kBoth, 0);
  REQUIRE(watch.seen(kBoth, kSecond / 10) != kBoth);
}

TEST_CASE("a clock that goes back leaves the fixed class as it is") {
  FixedWatch watch(class_table());
  watch.seen(kBoth, 10 * kSecond);
  for (int i = 0; i < 10; ++i) REQUIRE(watch.seen(kBoth, 5 * kSecond) == kBoth);
}
