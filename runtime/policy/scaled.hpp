// SPDX-License-Identifier: BSL-1.0
// Arithmetic of the policies: time that never runs backwards, and products that never overflow.
// Pure functions. Proof: tests/unit/policy/class_table_test.cpp.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace paceline::core::policy {

/// `later - earlier`, but 0 if time went back, and never more than kForever.
constexpr Nanos elapsed(Nanos earlier, Nanos later) noexcept {
  if (later <= earlier) return 0;
  Nanos difference = 0;
  return __builtin_sub_overflow(later, earlier, &difference) ? kForever : difference;
}

/// `a + b` for any signs, never wrapping.
constexpr Nanos clamped_sum(Nanos a, Nanos b) noexcept {
  Nanos sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? kForever : -kForever;
}

/// `value` within [0, most].
constexpr Nanos within(Nanos value, Nanos most) noexcept {
  return value < 0 ? 0 : (value > most ? most : value);
}

/// `a * b / c`, truncated, for c > 0 and b >= 0. Exact while a * b fits into 64 bits; beyond that b
/// and c lose low bits together, and what does not fit at all is kForever with the sign of a.
constexpr Nanos scaled(Nanos a, Nanos b, Nanos c) noexcept {
  Nanos product = 0;
  while (__builtin_mul_overflow(a, b, &product)) {
    if (c <= 1 || b <= 1) return a < 0 ? -kForever : kForever;
    b /= 2;
    c /= 2;
  }
  return product / c;
}

/// Time as a policy object sees it: it may stand still and never goes back.
class Monotonic {
 public:
  /// The latest time seen, `now` included.
  constexpr Nanos advance(Nanos now) noexcept { return last_ = now > last_ ? now : last_; }
  constexpr Nanos last() const noexcept { return last_; }

 private:
  Nanos last_ = -kForever;
};

}  // namespace paceline::core::policy
