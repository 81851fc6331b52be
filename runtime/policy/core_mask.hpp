// SPDX-License-Identifier: BSL-1.0
// Sets of cores as policies see them: words of bits over the dense core numbers, owned by the
// caller. A core beyond the last word is not in the set. Pure functions.
// Proof: tests/unit/policy/affinity_rules_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bits.hpp"

namespace paceline::core::policy {

using CoreMask = std::span<const Word>;

/// "No core", wherever a policy names one.
inline constexpr std::uint32_t kNoCore = ~std::uint32_t{0};

constexpr bool has_core(CoreMask mask, std::uint32_t core) noexcept {
  return core / 64 < mask.size() && (mask[core / 64] & bit(core % 64)) != 0;
}

constexpr Word word_of(CoreMask mask, std::size_t index) noexcept {
  return index < mask.size() ? mask[index] : 0;
}

constexpr bool same_cores(CoreMask a, CoreMask b) noexcept {
  const std::size_t words = a.size() > b.size() ? a.size() : b.size();
  for (std::size_t i = 0; i < words; ++i) {
    if (word_of(a, i) != word_of(b, i)) return false;
  }
  return true;
}

constexpr std::uint32_t count_cores(CoreMask mask) noexcept {
  std::uint32_t cores = 0;
  for (const Word word : mask) cores += count(word);
  return cores;
}

/// The first core of both sets at or above `from`, wrapping around; kNoCore if they are disjoint.
constexpr std::uint32_t first_common(CoreMask a, CoreMask b, std::uint32_t from = 0) noexcept {
  const std::size_t words = a.size() < b.size() ? a.size() : b.size();
  const std::size_t start = from / 64;
  for (std::size_t round = 0; round < 2; ++round) {
    const std::size_t first = round == 0 ? start : 0;
    for (std::size_t i = first; i < words; ++i) {
      Word both = a[i] & b[i];
      if (round == 0 && i == start) both = core::from(both, from % 64);
      if (both != 0) return static_cast<std::uint32_t>(i * 64 + lowest(both));
    }
  }
  return kNoCore;
}

}  // namespace paceline::core::policy
