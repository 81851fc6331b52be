// SPDX-License-Identifier: BSL-1.0
// Walking, splitting and rotating the bits of a word. Pure functions.
// Proof: tests/unit/base/bits_test.cpp.
#pragma once

#include <bit>

#include "base/sizes.hpp"

namespace paceline::core {

constexpr Word bit(unsigned index) noexcept { return Word{1} << index; }

/// Index of the lowest set bit; `word` must not be 0, which std::countr_zero would test.
constexpr unsigned lowest(Word word) noexcept {
  return static_cast<unsigned>(__builtin_ctzll(word));
}

constexpr Word without_lowest(Word word) noexcept { return word & (word - 1); }

constexpr unsigned count(Word word) noexcept { return static_cast<unsigned>(std::popcount(word)); }

/// The bits of `word` at or above `index`; `index` may equal the width.
constexpr Word from(Word word, unsigned index) noexcept {
  return index >= 64 ? 0 : word & (~Word{0} << index);
}

/// A word with its `width` lowest bits set.
constexpr Word all_bits(unsigned width) noexcept { return width >= 64 ? ~Word{0} : bit(width) - 1; }

/// The `n` highest set bits of `word`; all of them if it has no more.
constexpr Word highest(Word word, unsigned n) noexcept {
  const unsigned have = count(word);
  for (unsigned drop = have > n ? have - n : 0; drop > 0; --drop) word = without_lowest(word);
  return word;
}

/// Asks for the line at so many bytes behind an address, as it will be written soon. Any address
/// will do, also null.
inline void prefetch(const void* address, std::uintptr_t offset = 0) noexcept {
  const auto* line =
      reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(address) + offset);
#if defined(__x86_64__)
  // The builtin asks for a copy to read, unless told of a processor that has this one. All have:
  // those that do not know it take it for a nop.
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1, 3);
#endif
}

/// Every store becomes visible to all other cores after the ones before it, so a plain store may
/// stand for a release that must not break another thread's release sequence.
#if defined(__x86_64__)
inline constexpr bool kTotalStoreOrder = true;
#else
inline constexpr bool kTotalStoreOrder = false;
#endif

/// Calls `visit(index)` for each set bit, lowest first.
template <class Visit>
constexpr void each_bit(Word word, Visit&& visit) {
  for (; word != 0; word = without_lowest(word)) visit(lowest(word));
}

}  // namespace paceline::core
