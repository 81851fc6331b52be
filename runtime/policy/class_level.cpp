// SPDX-License-Identifier: BSL-1.0
#include "policy/class_level.hpp"

#include <bit>

namespace paceline::core::policy {

namespace {

constexpr unsigned first_of(BucketMask mask) noexcept {
  return static_cast<unsigned>(std::countr_zero(mask));
}

/// The buckets of the same boundness as `bucket`.
constexpr BucketMask side_of(unsigned bucket) noexcept { return is_bound(bucket) ? 0x3f00 : 0x3f; }

}  // namespace

ClassLevel::ClassLevel(const ClassTable& table) noexcept : table_(table) {
  for (unsigned q = 0; q < kClasses; ++q) {
    refill(bucket_of(q, false));
    refill(bucket_of(q, true));
  }
}

void ClassLevel::refill(unsigned bucket) noexcept {
  buckets_[bucket].warp_left = row(bucket).warp;
  buckets_[bucket].warp_end = kUnused;
  if (row(bucket).warp > 0) warp_ |= bucket_bit(bucket);
}

void ClassLevel::renew(unsigned bucket, Nanos now) noexcept {
  buckets_[bucket].deadline = clamped_sum(now, row(bucket).distance);
}

void ClassLevel::fill(unsigned bucket, Nanos now) noexcept {
  const BucketMask bit = bucket < kBuckets ? bucket_bit(bucket) & kEveryBucket & ~queued_ : 0;
  now = time_.advance(now);
  if (bit == 0) return;
  queued_ |= bit;
  if ((starving_ & bit) == 0) renew(bucket, now);
}

void ClassLevel::drain(unsigned bucket, Nanos now) noexcept {
  const BucketMask bit = bucket < kBuckets ? bucket_bit(bucket) & queued_ : 0;
  now = time_.advance(now);
  if (bit == 0) return;
  queued_ &= ~bit;
  Bucket& it = buckets_[bucket];
  if (it.warp_end == kUnused) return;
  it.warp_left = elapsed(now, it.warp_end);
  if (it.warp_left == 0) warp_ &= ~bit;
}

void ClassLevel::observe(BucketMask ready, Nanos now) noexcept {
  ready &= kEveryBucket;
  for (BucketMask gone = queued_ & ~ready; gone != 0; gone &= gone - 1) drain(first_of(gone), now);
  for (BucketMask come = ready & ~queued_; come != 0; come &= come - 1) fill(first_of(come), now);
}

/// The bucket with the earliest deadline. Bound ones come first, then more important ones; the
/// running task's bucket must be strictly earlier to be it.
unsigned ClassLevel::due(unsigned current) const noexcept {
  unsigned best = kNoBucket;
  const auto look = [&](BucketMask side) {
    for (; side != 0; side &= side - 1) {
      const unsigned bucket = first_of(side);
      if (best == kNoBucket || buckets_[bucket].deadline < buckets_[best].deadline) best = bucket;
    }
  };
  const BucketMask timeshare = queued_ & ~kFixedBuckets;
  look(timeshare & side_of(kBoundAt));
  look(timeshare & side_of(0));
  if (current == kNoBucket || class_of(current) == kFixed) return best;
  if (best == kNoBucket || buckets_[current].deadline < buckets_[best].deadline) return current;
  return best;
}

/// The winner among the fixed class and the user interface. A higher priority wins; between equals
/// the fixed class, then the bound bucket. Groups are compared where both have groups.
unsigned ClassLevel::above_deadlines(unsigned current, const Heads& heads) const noexcept {
  unsigned winner = kNoBucket;
  int priority = 0;
  const auto challenge = [&](unsigned bucket, int with) {
    const bool fixed_wins = class_of(bucket) == kFixed && class_of(winner) != kFixed;
    const bool fixed_loses = class_of(bucket) != kFixed && class_of(winner) == kFixed;
    const bool bound_wins = is_bound(bucket) && !is_bound(winner);
    const bool wins_tie = fixed_wins || (bound_wins && !fixed_loses);
    if (winner == kNoBucket || with > priority || (with == priority && wins_tie)) {
      winner = bucket;
      priority = with;
    }
  };
  const auto has = [&](unsigned q, bool bound) {
    return (queued_ & bucket_bit(bucket_of(q, bound))) != 0;
  };
  if (has(kFixed, true)) challenge(bucket_of(kFixed, true), heads.bound_fixed);
  if (has(kForeground, true)) challenge(bucket_of(kForeground, true), heads.bound_foreground);
  const bool fixed = has(kFixed, false);
  const bool foreground = has(kForeground, false);
  if (foreground && (!fixed || heads.foreground.group > heads.fixed.group)) {
    challenge(kForeground, heads.foreground.task);
  } else if (fixed) {
    challenge(kFixed, heads.fixed.task);
  }
  if (current != kNoBucket && class_of(current) <= kForeground) challenge(current, heads.current);
  return winner;
}

/// `due` runs because of its deadline. `commit`: it does so now.
ClassVerdict ClassLevel::by_deadline(unsigned due, BucketMask candidates, Nanos now,
                                     bool commit) noexcept {
  // The fixed class is above deadlines: if it lost there, nobody starves because of it [P].
  const bool others_wait = (candidates & more_important(due) & ~kFixedBuckets) != 0;
  if (starving(due)) return {static_cast<std::uint8_t>(due), PickReason::starved};
  if (commit && others_wait) {
    starving_ |= bucket_bit(due);
    buckets_[due].starving_since = now;
  } else if (commit) {
    renew(due, now);
    refill(due);
  }
  return {static_cast<std::uint8_t>(due), others_wait ? PickReason::starved : PickReason::deadline};
}

ClassVerdict ClassLevel::select(Nanos now, unsigned current, PickMode mode,
                                const Heads& heads) noexcept {
  now = time_.advance(now);
  if (current >= kBuckets || (bucket_bit(current) & kEveryBucket) == 0) current = kNoBucket;
  if (queued_ == 0) {
    return {static_cast<std::uint8_t>(current),
            current == kNoBucket ? PickReason::nothing : PickReason::keep};
  }
  const BucketMask running = current == kNoBucket ? 0 : bucket_bit(current);
  const BucketMask candidates = queued_ | running;
  if ((candidates & kFixedBuckets) != 0) {
    const unsigned top = above_deadlines(current, heads);
    if (class_of(top) == kFixed) return {static_cast<std::uint8_t>(top), PickReason::fixed};
  }
  // Each round but the last ends one window, so there are at most as many as buckets.
  while (true) {
    const unsigned first = due(current);
    const auto commits = [&](unsigned b) { return b == current || mode != PickMode::peek; };
    if (starving(first) && now >= clamped_sum(buckets_[first].starving_since, row(first).quantum)) {
      starving_ &= ~bucket_bit(first);
      renew(first, now);
      continue;
    }
    const BucketMask warping = warp_ & candidates & ~kFixedBuckets & side_of(first);
    const unsigned ahead = warping == 0 ? kNoBucket : first_of(warping);
    if (ahead >= first) return by_deadline(first, candidates, now, commits(first));
    Bucket& it = buckets_[ahead];
    const bool opens = it.warp_end == kUnused;
    if (opens || it.warp_end > now) {
      if (commits(ahead)) {
        if (opens) it.warp_end = clamped_sum(now, it.warp_left);
        renew(ahead, now);
      }
      return {static_cast<std::uint8_t>(ahead), opens ? PickReason::warp_opens : PickReason::warp};
    }
    it.warp_left = 0;
    warp_ &= ~bucket_bit(ahead);
  }
}

}  // namespace paceline::core::policy
