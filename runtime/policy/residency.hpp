// SPDX-License-Identifier: BSL-1.0
// Residency: does a worker's thread run on the kind of core that it was bound to?
//
// To bind a thread is a wish on some systems, and on others somebody may have moved it since: a
// cgroup that shrank, a tool that sets affinities. So the thread looks now and then, and asks once
// more when it was elsewhere for more than a fifth of a second's looks; at once when so many looks
// failed that the rest of the second could not make up for it. Source: policies.md 6.4 (a look
// every 10 ms, 80 % over 1 s); here between polls only, so after a long one. Nothing is asked again
// while all is well: what the system has granted it keeps. Pure; used by one worker. Proof:
// tests/unit/policy/residency_test.cpp.
#pragma once

#include "base/time.hpp"

namespace paceline::core::policy {

class Residency {
 public:
  static constexpr Nanos kLookEvery = 10 * kMillisecond;  // policies.md 6.4, like the next two
  static constexpr Nanos kPeriod = kSecond;
  static constexpr unsigned kLeastPercent = 80;

  /// Cheap; asked between polls.
  constexpr bool is_due(Nanos now) const noexcept { return now >= next_; }

  /// A look, when it is due. True: where the thread is to run is to be asked for once more.
  constexpr bool look(Nanos now, bool where_expected) noexcept {
    if (looks_ == 0) since_ = now;
    next_ = now + kLookEvery;
    ++looks_;
    if (!where_expected) ++elsewhere_;
    const bool over = now - since_ >= kPeriod;
    const bool low = elsewhere_ * 100 > (100 - kLeastPercent) * (over ? looks_ : kLooks);
    if (over || low) looks_ = elsewhere_ = 0;
    return low;
  }

 private:
  static constexpr unsigned kLooks = kPeriod / kLookEvery;

  Nanos next_ = -kForever;
  Nanos since_ = 0;
  unsigned looks_ = 0;  // since then
  unsigned elsewhere_ = 0;
};

}  // namespace paceline::core::policy
