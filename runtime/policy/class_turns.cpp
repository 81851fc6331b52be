// SPDX-License-Identifier: BSL-1.0
#include "policy/class_turns.hpp"

namespace paceline::core::policy {

void ClassTurns::begin(unsigned bucket, Nanos now) noexcept {
  turn_ = bucket;
  began_ = now;
}

/// The class whose turn it is has more work: does it go on?
ClassVerdict ClassTurns::go_on(BucketMask arrived, Nanos now, const Heads& heads) noexcept {
  const ClassVerdict stays{static_cast<std::uint8_t>(turn_), PickReason::keep};
  const Nanos length = quantum();
  const Nanos lasted = elapsed(began_, now);
  const bool over = lasted >= length;
  // A question that comes late ends no later quantum later (decision 0033), and whole quanta that
  // passed without one, because nobody else had work, decided nothing.
  if (over) began_ = clamped_sum(began_, lasted / length * length);
  const bool was_asked = over && turn_end_ != kForever;
  if (!was_asked && (arrived & more_important(turn_)) == 0) return stays;
  const ClassVerdict verdict = level_.select(now, turn_, PickMode::peek, heads);
  if (verdict.bucket == turn_) return verdict;
  const ClassVerdict next = level_.select(now, turn_, PickMode::take_or_keep, heads);
  level_.drain(next.bucket, now);
  level_.fill(turn_, now);
  begin(next.bucket, now);
  return next;
}

ClassVerdict ClassTurns::decide(BucketMask ready, Nanos now, const Heads& heads) noexcept {
  now = time_.advance(now);
  ready &= kEveryBucket;
  const bool more = turn_ != kNoBucket && (ready & bucket_bit(turn_)) != 0;
  const BucketMask others = more ? ready & ~bucket_bit(turn_) : ready;
  const BucketMask arrived = others & ~level_.queued();
  level_.observe(others, now);
  ClassVerdict verdict{};
  if (more) {
    verdict = go_on(arrived, now, heads);
  } else {
    verdict = level_.select(now, kNoBucket, PickMode::take, heads);
    level_.drain(verdict.bucket, now);
    begin(verdict.bucket, now);
  }
  known_ = ready;
  if (turn_ == kNoBucket) {
    turn_end_ = kNever;
  } else {
    turn_end_ = level_.queued() == 0 ? kForever : clamped_sum(began_, quantum());
  }
  return verdict;
}

}  // namespace paceline::core::policy
