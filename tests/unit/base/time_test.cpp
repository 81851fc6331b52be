// SPDX-License-Identifier: BSL-1.0
// Proves that adding to a time saturates instead of wrapping into the past.
#include "base/time.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace paceline::core;

TEST_CASE("small sums of times are exact") {
  STATIC_REQUIRE(saturating_add(0, 0) == 0);
  STATIC_REQUIRE(saturating_add(5, 7) == 12);
  STATIC_REQUIRE(saturating_add(-5, 7) == 2);
  STATIC_REQUIRE(saturating_add(kSecond, kMillisecond) == 1'001 * kMillisecond);
}

TEST_CASE("a sum beyond the last nanosecond is forever") {
  STATIC_REQUIRE(saturating_add(kForever, 0) == kForever);
  STATIC_REQUIRE(saturating_add(kForever, 1) == kForever);
  STATIC_REQUIRE(saturating_add(kForever, kForever) == kForever);
  STATIC_REQUIRE(saturating_add(kForever - 5, 5) == kForever);
  STATIC_REQUIRE(saturating_add(kForever - 5, 6) == kForever);
  STATIC_REQUIRE(saturating_add(1, kForever) == kForever);
}

TEST_CASE("a sum one below the limit is not rounded to it") {
  STATIC_REQUIRE(saturating_add(kForever - 6, 5) == kForever - 1);
}

TEST_CASE("a time before the epoch adds without overflow") {
  constexpr Nanos kFirst = std::numeric_limits<Nanos>::min();
  STATIC_REQUIRE(saturating_add(kFirst, 0) == kFirst);
  STATIC_REQUIRE(saturating_add(kFirst, kForever) == -1);
  STATIC_REQUIRE(saturating_add(-1, kForever) == kForever - 1);
}

TEST_CASE("the units of time stand in the right ratio") {
  STATIC_REQUIRE(kMillisecond == 1000 * kMicrosecond);
  STATIC_REQUIRE(kSecond == 1000 * kMillisecond);
}
