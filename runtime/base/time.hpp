// SPDX-License-Identifier: BSL-1.0
// Time inside the runtime: nanoseconds of the steady clock, as one signed 64-bit number.
#pragma once

#include <cstdint>
#include <limits>

namespace paceline::core {

using Nanos = std::int64_t;

inline constexpr Nanos kForever = std::numeric_limits<Nanos>::max();
inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

/// `a + b` for b >= 0, never wrapping.
constexpr Nanos saturating_add(Nanos a, Nanos b) noexcept {
  return a > kForever - b ? kForever : a + b;
}

}  // namespace paceline::core
