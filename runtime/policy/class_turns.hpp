// SPDX-License-Identifier: BSL-1.0
// Which class a core serves, poll by poll: a class that was chosen has the core for a quantum.
//
// Flow room: pick. Whoever drives a core asks before each poll, and at safepoints, with the classes
// that have work; one object per core, owned and called by one thread at a time. It never looks at
// a clock, allocates or blocks. Time that goes back behind the last decision counts as standing
// still.
// Proof: tests/unit/policy/class_turns_test.cpp.
//
// The class level (policy/class_level.hpp) decides when a turn is over, when the class has nothing
// more to do, and when a more important class gets work. In its eyes the class whose turn it is
// runs, and is queued again when it gives way: the sweep over its tasks stands for one task.
#pragma once

#include "policy/class_level.hpp"

namespace paceline::core::policy {

/// [P] Where nobody compares priorities, the fixed class beats the user interface.
inline constexpr Heads kUsualHeads{};

class ClassTurns {
 public:
  explicit ClassTurns(const ClassTable& table) noexcept : level_(table), table_(table) {}

  /// The bucket to serve; `ready` holds those with work. Arrivals and departures since the last
  /// question are noticed here; what came and went in between is not.
  ClassVerdict pick(BucketMask ready, Nanos now, const Heads& heads = kUsualHeads) noexcept {
    if (ready == known_ && now < turn_end_) [[likely]] {
      return {static_cast<std::uint8_t>(turn_), PickReason::keep};
    }
    return decide(ready, now, heads);
  }
  /// Is `ready` the one bucket that is served already? Then `pick` would give it at any time, and
  /// no clock need be read.
  bool only(BucketMask ready) const noexcept { return ready == known_ && turn_end_ == kForever; }

  /// Whose turn it is; kNoBucket if nobody's.
  unsigned turn() const noexcept { return turn_; }
  /// When it is asked again, if nothing comes in between; kForever if it is alone, or nobody's.
  Nanos turn_end() const noexcept { return turn_ == kNoBucket ? kForever : turn_end_; }
  const ClassLevel& level() const noexcept { return level_; }

 private:
  static constexpr Nanos kNever = -kForever;  // a turn's end that is always over

  [[gnu::noinline]] ClassVerdict decide(BucketMask ready, Nanos now, const Heads& heads) noexcept;
  ClassVerdict go_on(BucketMask arrived, Nanos now, const Heads& heads) noexcept;
  void begin(unsigned bucket, Nanos now) noexcept;
  Nanos quantum() const noexcept { return table_.rows[class_of(turn_)].quantum; }

  BucketMask known_ = 0;
  unsigned turn_ = kNoBucket;
  Nanos turn_end_ = kNever;
  Nanos began_ = 0;  // the quantum that lasts
  Monotonic time_;
  ClassLevel level_;
  ClassTable table_;
};

}  // namespace paceline::core::policy
