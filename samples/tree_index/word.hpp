// SPDX-License-Identifier: BSL-1.0
// Word: one word in lower case, in a form that is quick to hash, compare and copy.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tree_index {

/// For each byte its lower-case form if it can be part of a word, else 0.
inline constexpr std::array<unsigned char, 256> kLower = [] {
  std::array<unsigned char, 256> lower{};
  for (unsigned char c = '0'; c <= '9'; ++c) lower[c] = c;
  for (unsigned char c = 'a'; c <= 'z'; ++c) lower[c] = c;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) lower[c] = static_cast<unsigned char>(c - 'A' + 'a');
  lower['_'] = '_';
  return lower;
}();

inline unsigned char lower(char c) noexcept { return kLower[static_cast<unsigned char>(c)]; }

/// Eight characters at a time; the last unit of a word is filled up with zero bytes.
using Unit = std::uint64_t;

constexpr std::size_t units_for(std::size_t characters) noexcept {
  return (characters + sizeof(Unit) - 1) / sizeof(Unit);
}

class Word {
 public:
  static constexpr std::size_t kShortest = 3;
  static constexpr std::size_t kLongest = 255;

  /// Takes over `run`, which has at most kLongest characters, in lower case.
  explicit Word(std::string_view run) noexcept : length_(run.size()) {
    for (std::size_t i = 0; i < units_for(length_); ++i) {
      units_[i] = lower_unit(run.substr(i * sizeof(Unit), sizeof(Unit)));
    }
  }

  std::size_t length() const noexcept { return length_; }
  const Unit* units() const noexcept { return units_.data(); }

  std::uint32_t hash() const noexcept {
    std::uint64_t hash = length_;
    for (std::size_t i = 0; i < units_for(length_); ++i) {
      hash = (hash ^ units_[i]) * 0x9e3779b97f4a7c15ull;
      hash ^= hash >> 32;
    }
    return static_cast<std::uint32_t>(hash);
  }

 private:
  /// Put together in a register: storing bytes and loading them as a unit would stall the core.
  static Unit lower_unit(std::string_view characters) noexcept {
    constexpr bool kLittle = std::endian::native == std::endian::little;
    Unit unit = 0;
    for (std::size_t i = 0; i < characters.size(); ++i) {
      unit |= Unit{lower(characters[i])} << 8 * (kLittle ? i : sizeof(Unit) - 1 - i);
    }
    return unit;
  }

  std::array<Unit, units_for(kLongest)> units_;  // only those in use are initialised
  std::size_t length_;
};

}  // namespace tree_index
