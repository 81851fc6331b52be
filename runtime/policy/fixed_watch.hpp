// SPDX-License-Identifier: BSL-1.0
// FixedWatch: the fixed class stands above all deadlines, but not for ever.
//
// After a hundred quanta (a second, without time_scale) during which it always had work while
// others waited, the fixed class counts as the foreground class for twice as long. So the wait of
// every class stays bounded, whatever urgent tasks do. Source: XNU's fail-safe for realtime and
// fixed-priority threads. Pure; used by one worker. Proof: tests/unit/policy/fixed_watch_test.cpp.
#pragma once

#include "policy/class_level.hpp"

namespace paceline::core::policy {

class FixedWatch {
 public:
  explicit constexpr FixedWatch(const ClassTable& table) noexcept
      : most_(table[kFixed].quantum * kFixedQuanta) {}

  /// Classes with work, as the class level is to see them. At every question to it.
  constexpr BucketMask seen(BucketMask ready, Nanos now) noexcept {
    const bool waits = (ready & kFixedBit) != 0 && (ready & ~kFixedBit) != 0;
    if (now < limited_until_) return waits ? as_foreground(ready) : ready;
    if (!waits) {
      since_ = kNever;
    } else if (since_ == kNever) {
      since_ = now;
    } else if (now - since_ >= most_) {
      since_ = kNever;
      limited_until_ = now + 2 * most_;
      return as_foreground(ready);
    }
    return ready;
  }
  /// The same for one class.
  constexpr unsigned seen_class(unsigned own, Nanos now) const noexcept {
    return own == kFixed && now < limited_until_ ? kForeground : own;
  }
  /// Which class was meant by the level's answer. While the fixed class is limited both take turns.
  constexpr unsigned meant(unsigned answer, BucketMask ready, Nanos now) noexcept {
    if (answer != kForeground || (ready & kFixedBit) == 0 || now >= limited_until_) return answer;
    if ((ready & kForegroundBit) == 0) return kFixed;
    fixed_next_ = !fixed_next_;
    return fixed_next_ ? kFixed : kForeground;
  }

 private:
  static constexpr BucketMask kFixedBit = bucket_bit(kFixed);
  static constexpr BucketMask kForegroundBit = bucket_bit(kForeground);
  static constexpr Nanos kNever = kForever;

  static constexpr BucketMask as_foreground(BucketMask ready) noexcept {
    return (ready & ~kFixedBit) | kForegroundBit;
  }

  Nanos most_;
  Nanos since_ = kNever;
  Nanos limited_until_ = -kForever;
  bool fixed_next_ = false;
};

}  // namespace paceline::core::policy
