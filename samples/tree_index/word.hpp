// SPDX-License-Identifier: BSL-1.0
// Word: one word in lower case, in a form that is quick to hash, compare and copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tree_index {

/// For each byte its lower-case form if it can be part of a word, else 0.
inline constexpr std::array<char, 256> kLower = [] {
  std::array<char, 256> lower{};
  for (unsigned c = '0'; c <= '9'; ++c) lower[c] = static_cast<char>(c);
  for (unsigned c = 'a'; c <= 'z'; ++c) lower[c] = static_cast<char>(c);
  for (unsigned c = 'A'; c <= 'Z'; ++c) lower[c] = static_cast<char>(c - 'A' + 'a');
  lower['_'] = '_';
  return lower;
}();

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
    if (length_ != 0) units_[units_for(length_) - 1] = 0;
    char* to = reinterpret_cast<char*>(units_.data());
    for (const char c : run) *to++ = kLower[static_cast<unsigned char>(c)];
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
  std::array<Unit, units_for(kLongest)> units_;  // only those in use are initialised
  std::size_t length_;
};

}  // namespace tree_index
