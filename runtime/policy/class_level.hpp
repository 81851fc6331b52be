// SPDX-License-Identifier: BSL-1.0
// Which class next: earliest deadline first, with a warp for important classes and a window for
// starved ones. Level one of the Clutch policy.
//
// Flow room: pick. One object per core (or, in models, per shared queue), owned and called by one
// thread at a time; who asks before each poll has policy/class_turns.hpp before it. It never looks
// at a clock, allocates or blocks. Time that goes back counts as standing still.
// Proof: tests/unit/policy/class_level_test.cpp, also against an oracle written from the rules.
//
// A bucket is a class, unbound or bound to this core. Classes hold deadlines; a bucket with the
// earliest deadline is due. A more important one may warp ahead of it, for its budget of wall time.
// When a less important bucket is due and the budgets are spent, it starves: the core is its own
// for one quantum, and then it gets a new deadline.
#pragma once

#include <array>
#include <cstdint>

#include "policy/class_table.hpp"

namespace paceline::core::policy {

/// A set of buckets: bit q is class q, bit q + kBoundAt the same class bound to this core.
using BucketMask = std::uint32_t;

inline constexpr unsigned kBoundAt = 8;
inline constexpr unsigned kBuckets = kBoundAt + kClasses;
inline constexpr unsigned kNoBucket = 255;

constexpr unsigned bucket_of(unsigned q, bool bound) noexcept { return bound ? q + kBoundAt : q; }
constexpr unsigned class_of(unsigned bucket) noexcept { return bucket % kBoundAt; }
constexpr bool is_bound(unsigned bucket) noexcept { return bucket >= kBoundAt; }
/// Of kNoBucket, a bit that means no bucket.
constexpr BucketMask bucket_bit(unsigned bucket) noexcept { return BucketMask{1} << (bucket % 32); }
/// Every bucket of a more important class than `bucket`'s.
constexpr BucketMask more_important(unsigned bucket) noexcept {
  const BucketMask side = bucket_bit(class_of(bucket)) - 1;
  return side | side << kBoundAt;
}

/// Bits that mean a bucket; all others are ignored.
inline constexpr BucketMask kEveryBucket = 0x3f3f;
inline constexpr BucketMask kFixedBuckets = 0x0101;

enum class PickReason : std::uint8_t {
  nothing,     ///< no bucket is queued and nobody runs
  keep,        ///< who runs goes on: its turn lasts, or no other bucket is queued
  fixed,       ///< above the deadlines
  deadline,    ///< its deadline is the earliest
  starved,     ///< its deadline is the earliest and more important ones have to wait
  warp_opens,  ///< jumps ahead, and its budget begins to run
  warp,        ///< jumps ahead within its budget
};

struct ClassVerdict {
  std::uint8_t bucket;
  PickReason reason;
};

/// What a question changes. `take`: the answer is taken from the queue. `take_or_keep`: so, or the
/// running task goes on. `peek`: nothing is taken yet; only expired windows are closed.
enum class PickMode : std::uint8_t { take, take_or_keep, peek };

/// The most important candidate of a bucket: priority of its best task, and of its best group
/// (which adds the group's score).
struct Head {
  int task;
  int group;
};

/// [C] What decides between the fixed class and the user interface. The default is for whoever
/// knows only classes: the fixed class wins.
struct Heads {
  Head fixed{kClassRows[kFixed].base, kClassRows[kFixed].base + 16};
  Head foreground{kClassRows[kForeground].base, kClassRows[kForeground].base + 16};
  int bound_fixed = kClassRows[kFixed].base;
  int bound_foreground = kClassRows[kForeground].base;
  int current = kClassRows[kForeground].base;  ///< read if the running task is of either class
};

class ClassLevel {
 public:
  explicit ClassLevel(const ClassTable& table) noexcept;

  /// Buckets out of range are ignored.
  void fill(unsigned bucket, Nanos now) noexcept;   ///< it had no work and now has
  void drain(unsigned bucket, Nanos now) noexcept;  ///< it had work and now has none
  /// Fills and drains, so that the buckets of `ready` are queued.
  void observe(BucketMask ready, Nanos now) noexcept;
  /// `current`: bucket of the running task if that may go on, else kNoBucket.
  ClassVerdict select(Nanos now, unsigned current, PickMode mode, const Heads& heads = {}) noexcept;

  // For dumps and tests.
  BucketMask queued() const noexcept { return queued_; }
  bool starving(unsigned bucket) const noexcept { return (starving_ & bucket_bit(bucket)) != 0; }
  Nanos deadline(unsigned bucket) const noexcept { return buckets_[bucket].deadline; }
  Nanos warp_left(unsigned bucket) const noexcept { return buckets_[bucket].warp_left; }
  Nanos warp_end(unsigned bucket) const noexcept { return buckets_[bucket].warp_end; }

  static constexpr Nanos kUnused = -kForever;  ///< of a warp's end: it is not running

 private:
  struct Bucket {
    Nanos deadline = 0;
    Nanos warp_left = 0;
    Nanos warp_end = kUnused;
    Nanos starving_since = 0;
  };

  void renew(unsigned bucket, Nanos now) noexcept;
  void refill(unsigned bucket) noexcept;
  unsigned due(unsigned current) const noexcept;
  unsigned above_deadlines(unsigned current, const Heads& heads) const noexcept;
  ClassVerdict by_deadline(unsigned due, BucketMask candidates, Nanos now, bool commit) noexcept;
  const ClassRow& row(unsigned bucket) const noexcept { return table_.rows[class_of(bucket)]; }

  BucketMask queued_ = 0;
  BucketMask starving_ = 0;
  BucketMask warp_ = 0;  // buckets with warp_left > 0
  Monotonic time_;
  std::array<Bucket, kBuckets> buckets_;
  ClassTable table_;
};

}  // namespace paceline::core::policy
