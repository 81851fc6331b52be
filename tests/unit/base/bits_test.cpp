// SPDX-License-Identifier: BSL-1.0
// Proves the word functions of base/bits.hpp against plain loops, at every width and index.
#include "base/bits.hpp"

#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace paceline::core;

namespace {

/// The edges, and a few hundred words of each density.
std::vector<Word> sample_words() {
  std::vector<Word> words{0,
                          1,
                          2,
                          3,
                          ~Word{0},
                          ~Word{1},
                          Word{1} << 63,
                          ~(Word{1} << 63),
                          0x5555555555555555ull,
                          0xaaaaaaaaaaaaaaaaull};
  for (unsigned i = 0; i < 64; ++i) words.push_back(Word{1} << i);
  Rng rng(7);
  for (int i = 0; i < 200; ++i) {
    const Word random = rng.next();
    words.push_back(random);
    words.push_back(random & rng.next() & rng.next());
    words.push_back(random | rng.next() | rng.next());
  }
  return words;
}

bool has(Word word, unsigned index) { return (word >> index & 1) != 0; }

}  // namespace

TEST_CASE("bit sets exactly one bit of the word") {
  for (unsigned i = 0; i < 64; ++i) {
    REQUIRE(count(bit(i)) == 1);
    REQUIRE(has(bit(i), i));
    REQUIRE(lowest(bit(i)) == i);
  }
}

TEST_CASE("lowest and without_lowest walk a word from below") {
  for (Word word : sample_words()) {
    for (unsigned i = 0; i < 64; ++i) {
      if (!has(word, i)) continue;
      REQUIRE(lowest(word) == i);
      word = without_lowest(word);
      REQUIRE_FALSE(has(word, i));
    }
    REQUIRE(word == 0);
  }
}

TEST_CASE("from keeps the bits at or above an index of 0 to 64") {
  for (const Word word : sample_words()) {
    for (unsigned index = 0; index <= 64; ++index) {
      Word expected = 0;
      for (unsigned i = index; i < 64; ++i) expected |= has(word, i) ? bit(i) : 0;
      REQUIRE(from(word, index) == expected);
    }
    REQUIRE(from(word, 1000) == 0);
  }
}

TEST_CASE("all_bits has as many low bits as its width says") {
  REQUIRE(all_bits(0) == 0);
  REQUIRE(all_bits(1) == 1);
  REQUIRE(all_bits(63) == ~bit(63));
  REQUIRE(all_bits(64) == ~Word{0});
  REQUIRE(all_bits(65) == ~Word{0});
  for (unsigned width = 0; width <= 64; ++width) {
    REQUIRE(count(all_bits(width)) == width);
    REQUIRE(from(all_bits(width), width) == 0);
  }
}

TEST_CASE("highest takes the n highest set bits and never others") {
  for (const Word word : sample_words()) {
    for (unsigned n = 0; n <= 65; ++n) {
      Word expected = 0;
      unsigned left = n;
      for (unsigned i = 64; i-- > 0 && left > 0;) {
        if (!has(word, i)) continue;
        expected |= bit(i);
        --left;
      }
      REQUIRE(highest(word, n) == expected);
    }
  }
}

TEST_CASE("count agrees with counting one by one") {
  for (const Word word : sample_words()) {
    unsigned expected = 0;
    for (unsigned i = 0; i < 64; ++i) expected += has(word, i) ? 1 : 0;
    REQUIRE(count(word) == expected);
  }
}

TEST_CASE("each_bit visits every set bit once, lowest first") {
  for (const Word word : sample_words()) {
    std::vector<unsigned> visited;
    each_bit(word, [&](unsigned index) { visited.push_back(index); });
    std::vector<unsigned> expected;
    for (unsigned i = 0; i < 64; ++i) {
      if (has(word, i)) expected.push_back(i);
    }
    REQUIRE(visited == expected);
  }
}

TEST_CASE("the word functions work in constant expressions") {
  STATIC_REQUIRE(from(0xff, 4) == 0xf0);
  STATIC_REQUIRE(highest(0b10110, 2) == 0b10100);
  STATIC_REQUIRE(all_bits(8) == 0xff);
  STATIC_REQUIRE(without_lowest(0b1100) == 0b1000);
}
