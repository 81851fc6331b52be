// SPDX-License-Identifier: BSL-1.0
// Equal shares by weight: who has had the least virtual time runs next.
//
// Flow room: pick and charge. One queue per (class, group) and core, for the executors that share
// it; owned and called by one thread at a time, in memory that the caller hands in. It never looks
// at a clock, allocates or blocks. Entries out of range are refused.
// Proof: tests/unit/policy/fair_test.cpp.
//
// Virtual time is real time, scaled down by weight and up by how slow the core is: v grows by
// ran * 1024 / weight * full capacity / capacity. The running entry stays in the queue. Equal
// entries take turns. min_v follows the least v in the queue and never goes back.
//
// Sources: [O] an article on big.LITTLE scheduling with CFS, its inverse formula and its
// approximation corrected; [L] Linux's weights; [P] a choice of Paceline.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "policy/class_table.hpp"
#include "policy/machine_view.hpp"

namespace paceline::core::policy {

inline constexpr int kLeastNice = -20;            // [L] policies.md 5.1, as is all that follows
inline constexpr int kMostNice = 19;              // [L]
inline constexpr std::uint32_t kNiceZero = 1024;  // [L] weight of nice 0
inline constexpr std::uint32_t kIdleWeight = 3;   // [L] of work that wants only what is left
inline constexpr Nanos kSleeperQuanta = 3;        // [P] credit of a sleeper, in quanta
inline constexpr Nanos kBehindSlices = 4;         // [P] from the article's example: 20 of 5
inline constexpr unsigned kNoEntry = ~0u;

/// [L] By nice + 20; neighbours differ by about 1.25, but the table holds, not the power.
inline constexpr std::array<std::uint32_t, 40> kNiceWeights{
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
    3906,  3121,  2501,  1991,  1586,  1277,  1024,  820,   655,   526,   423,  335,  272,  215,
    172,   137,   110,   87,    70,    56,    45,    36,    29,    23,    18,   15};

/// Nice values outside -20..19 count as the nearest one.
constexpr std::uint32_t weight_of(int nice) noexcept {
  const int clamped = nice < kLeastNice ? kLeastNice : (nice > kMostNice ? kMostNice : nice);
  return kNiceWeights[static_cast<unsigned>(clamped - kLeastNice)];
}

/// A capacity within 1..kFullCapacity.
constexpr std::uint32_t clamp_capacity(std::uint32_t capacity) noexcept {
  return capacity < 1 ? 1 : (capacity > kFullCapacity ? kFullCapacity : capacity);
}

/// [O] Virtual time of `ran` ns on a core of this capacity. Negative times count as 0. [P] Any run
/// costs 1 at least, or a heavy entry that runs in splinters would never be charged.
constexpr Nanos virtual_time(Nanos ran, std::uint32_t weight, std::uint32_t capacity) noexcept {
  if (ran <= 0) return 0;
  const Nanos slowness = Nanos{weight == 0 ? 1 : weight} * clamp_capacity(capacity);
  constexpr Nanos kUsual = Nanos{kNiceZero} * kFullCapacity;
  if (slowness == kUsual) return ran;
  const Nanos time = scaled(ran, kUsual, slowness);
  return time < 1 ? 1 : time;
}

/// How virtual time is translated when an entry moves between cores.
enum class Rescale : std::uint8_t {
  none,         ///< not at all; cores of one kind that began together
  approximate,  ///< [O] by capacity alone, as if both queues were at 0
  exact,        ///< [O] by capacity, from the lead over one queue to the lead over the other
};

/// What a queue is to an entry that comes or goes.
struct FairSide {
  Nanos min_v;
  std::uint32_t capacity;
};

/// The v of an entry that moves `from` one queue `to` another. [P] With `exact`, an entry that was
/// behind its queue by more than `credit` is that much behind the other one: a credit is not
/// multiplied by moving to a slower core.
Nanos moved_v(Rescale mode, Nanos v, FairSide from, FairSide to, Nanos credit) noexcept;

/// [P] Is an entry of a slow core so far behind in real work that it should move to a faster one?
constexpr bool falls_behind(Nanos v, Nanos least_there, Nanos slice) noexcept {
  return elapsed(least_there, v) >= scaled(within(slice, kForever), kBehindSlices, 1);
}

/// The queue's memory. To be left alone by whoever owns it.
struct FairEntry {
  Nanos v = 0;
  std::uint64_t stamp = 0;  ///< turn among equals
  std::uint32_t weight = kNiceZero;
  std::uint32_t place = 0;  ///< in the heap; 0: not queued, else position + 1
  std::uint32_t at = 0;     ///< heap: the entry at this position
};

class FairQueue {
 public:
  /// Takes `memory` for memory.size() entries, numbered from 0. `credit`: how far behind the others
  /// a sleeper may come back, in virtual ns.
  FairQueue(std::span<FairEntry> memory, std::uint32_t capacity, Nanos credit) noexcept;
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  /// A new entry comes with the least v of the queue; one that slept with its own, but at most the
  /// credit behind; one that moved with what moved_v gave. False: out of range, or there already.
  bool add_new(unsigned entry, std::uint32_t weight) noexcept;
  bool add_woken(unsigned entry) noexcept;
  bool add_moved(unsigned entry, std::uint32_t weight, Nanos v) noexcept;
  /// It sleeps, ends or moves away; v() still tells its time. False: it is not there.
  bool remove(unsigned entry) noexcept;

  /// Whose turn it is; kNoEntry if nobody is there.
  unsigned pick() const noexcept { return count_ == 0 ? kNoEntry : memory_[0].at; }
  /// It ran, and stands behind those with the same time.
  void charge(unsigned entry, Nanos ran) noexcept;
  /// Who has had the most: the first candidate for a move to a faster core; linear.
  unsigned last() const noexcept;

  FairSide side() const noexcept { return {min_v_, capacity_}; }
  Nanos min_v() const noexcept { return min_v_; }
  Nanos v(unsigned entry) const noexcept { return entry < size_ ? memory_[entry].v : 0; }
  bool queued(unsigned entry) const noexcept { return entry < size_ && memory_[entry].place != 0; }
  unsigned count() const noexcept { return count_; }
  /// Takes effect on what is charged from now on.
  void set_capacity(std::uint32_t capacity) noexcept { capacity_ = clamp_capacity(capacity); }

 private:
  bool add(unsigned entry, Nanos v) noexcept;
  bool before(unsigned a, unsigned b) const noexcept;
  void set(unsigned position, unsigned entry) noexcept;
  void rise(unsigned position) noexcept;
  void sink(unsigned position) noexcept;
  void follow() noexcept;

  FairEntry* memory_;
  unsigned size_;
  unsigned count_ = 0;
  std::uint32_t capacity_;
  std::uint64_t stamps_ = 0;
  Nanos credit_;
  Nanos min_v_ = 0;
};

}  // namespace paceline::core::policy
