// SPDX-License-Identifier: BSL-1.0
// Proves that the seeded generator is SplitMix64, repeats itself, and stays below its bound.
#include "base/rng.hpp"

#include <array>
#include <cstdint>

#include "support/catch.hpp"

using paceline::core::Rng;

TEST_CASE("the generator gives the published values of SplitMix64") {
  // Reference output of the authors' splitmix64.c for the seed 1234567.
  Rng rng(1234567);
  const std::array<std::uint64_t, 5> expected{6457827717110365317ull, 3203168211198807973ull,
                                              9817491932198370423ull, 4593380528125082431ull,
                                              16408922859458223821ull};
  for (const std::uint64_t value : expected) REQUIRE(rng.next() == value);
}

TEST_CASE("equal seeds give equal sequences and different seeds do not") {
  Rng a(42);
  Rng b(42);
  Rng c(43);
  unsigned equal_to_c = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = a.next();
    REQUIRE(value == b.next());
    if (value == c.next()) ++equal_to_c;
  }
  REQUIRE(equal_to_c == 0);
}

TEST_CASE("below stays below its bound and reaches every value") {
  Rng rng(1);
  for (const std::uint64_t bound : {1ull, 2ull, 3ull, 7ull, 64ull}) {
    std::array<unsigned, 64> seen{};
    for (int i = 0; i < 6400; ++i) {
      const std::uint64_t value = rng.below(bound);
      REQUIRE(value < bound);
      ++seen[value];
    }
    for (std::uint64_t v = 0; v < bound; ++v) REQUIRE(seen[v] > 0);
  }
}

TEST_CASE("below takes the largest bound there is") {
  Rng rng(5);
  const std::uint64_t bound = ~std::uint64_t{0};
  bool upper_half = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = rng.below(bound);
    REQUIRE(value < bound);
    upper_half = upper_half || value > bound / 2;
  }
  REQUIRE(upper_half);
}

TEST_CASE("a seed of zero is as good as any") {
  Rng rng(0);
  REQUIRE(rng.next() == 0xe220a8397b1dcdafull);
  REQUIRE(rng.next() == 0x6e789e6aa1b965f4ull);
}
