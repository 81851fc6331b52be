// SPDX-License-Identifier: BSL-1.0
// Proves when a worker's thread that runs elsewhere is asked back (statement 69).
#include "policy/residency.hpp"

#include "support/catch.hpp"

using namespace paceline::core;
using paceline::core::policy::Residency;

namespace {

/// Looks every 10 ms until it asks, at most `most` times, of which every `n`th is elsewhere (0:
/// none). Gives after how many looks it asked; 0: never.
unsigned looks_until_asked(Residency& residency, Nanos& now, unsigned most, unsigned n) {
  for (unsigned i = 1; i <= most; ++i) {
    now += Residency::kLookEvery;
    REQUIRE(residency.is_due(now));
    if (residency.look(now, n == 0 || i % n != 0)) return i;
  }
  return 0;
}

}  // namespace

TEST_CASE("statement 69: a thread that left its kind of core is asked back within a period") {
  Residency residency;
  Nanos now = 7 * kSecond;
  CHECK(looks_until_asked(residency, now, 500, 0) == 0);
  const Nanos left = now;
  // A fifth of a period's hundred looks and one, and at most as many that an old period forgives.
  CHECK(looks_until_asked(residency, now, 500, 1) >= 21);
  CHECK(now - left < Residency::kPeriod / 2);
  // If it stays away it is asked again and again, and not for every look.
  CHECK(looks_until_asked(residency, now, 500, 1) == 21);
}

TEST_CASE("statement 69: a sixth elsewhere is borne, a quarter is not") {
  Residency residency;
  Nanos now = 0;
  CHECK(looks_until_asked(residency, now, 10'000, 6) == 0);
  const unsigned looks = looks_until_asked(residency, now, 10'000, 4);
  CHECK(looks != 0);
  CHECK(looks <= 2 * Residency::kPeriod / Residency::kLookEvery);
}

TEST_CASE("a worker that works seldom is judged by the looks that there were") {
  Residency residency;
  Nanos now = 0;
  const auto look = [&](bool expected) {
    now += 400 * kMillisecond;
    return residency.look(now, expected);
  };
  CHECK_FALSE(look(false));
  CHECK_FALSE(look(true));
  CHECK_FALSE(look(true));
  CHECK(look(true));  // 1.2 s: one of four was elsewhere
  for (int i = 0; i < 3; ++i) CHECK_FALSE(look(true));
  CHECK_FALSE(look(true));  // none was
}

TEST_CASE(
    "looks are due every 10 ms, and a clock that stands still or goes back asks for nothing") {
  Residency residency;
  CHECK(residency.is_due(0));
  CHECK_FALSE(residency.look(0, true));
  CHECK_FALSE(residency.is_due(Residency::kLookEvery - 1));
  CHECK(residency.is_due(Residency::kLookEvery));
  for (int i = 0; i < 1000; ++i) REQUIRE_FALSE(residency.look(kSecond, true));
  CHECK_FALSE(residency.is_due(0));
  CHECK_FALSE(residency.look(0, true));
}
