// SPDX-License-Identifier: BSL-1.0
// Which group next, within a class: the one whose best task and interactivity are highest together,
// and equal ones in turn. Level two of the Clutch policy.
//
// Flow room: pick. One table per core, owned and called by one thread at a time. It works in memory
// that the caller hands in and keeps; it never looks at a clock, allocates or blocks. Time that
// goes back counts as standing still. Groups and classes out of range are refused: the call changes
// nothing and says false, or gives the answer of an empty table.
// Proof: tests/unit/policy/group_level_test.cpp.
//
// A group's entry in a class is queued while it has ready tasks there. Levels are priorities of the
// best task plus score, 0..127, each a ring of entries; a word per 64 levels says which have any.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "policy/decay.hpp"
#include "policy/interactivity.hpp"

namespace paceline::core::policy {

inline constexpr unsigned kNoGroup = ~0u;
inline constexpr int kNoPriority = -1;
/// Entries are linked by 16-bit indices.
inline constexpr unsigned kMostGroups = 0xffff / kClasses;

/// One group in one class: the table's memory. To be left alone by whoever owns it.
struct GroupEntry {
  Interactivity history;
  Nanos pending_since = 0;
  Nanos idle_since = 0;
  std::uint32_t active = 0;      ///< tasks that are ready or running
  std::uint32_t shift_tick = 0;  ///< when `shift` was computed
  std::uint16_t next = 0;
  std::uint16_t prev = 0;
  std::uint8_t level = 0;
  std::int8_t best = 0;
  std::int8_t shift = kNoDecay;
  bool queued = false;
};

/// Where a task comes back to. `head`: it was preempted, and its group goes on before its equals.
enum class Place : std::uint8_t { tail, head };

class GroupTable {
 public:
  /// Takes `memory` for memory.size() / kClasses groups, kMostGroups at most; all are new.
  /// `workers`: cores that share the groups, at least 1; a group no wider does not decay.
  GroupTable(const ClassTable& table, std::span<GroupEntry> memory, unsigned workers) noexcept;
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;

  unsigned groups() const noexcept { return groups_; }
  /// A new activity takes over the index: nothing of the last one is remembered.
  bool renew(unsigned group, Nanos now) noexcept;

  /// A task of the group becomes ready after being blocked (or born); blocks (or ends).
  bool wake(unsigned group, unsigned q, Nanos now) noexcept;
  bool block(unsigned group, unsigned q, Nanos now) noexcept;
  /// A task of the group ran. Negative times count as 0, long ones as one history.
  bool charge(unsigned group, unsigned q, Nanos ran) noexcept;

  /// The group has ready tasks in `q`, the best of them of priority `best` (clamped to 0..127;
  /// the base, or what was lent to it, never the decayed one).
  bool put(unsigned group, unsigned q, int best, Place place, Nanos now) noexcept;
  /// One of its ready tasks was taken; `best` of the rest, kNoPriority if there is none. Among its
  /// equals the group is the last now.
  bool take(unsigned group, unsigned q, int best, Nanos now) noexcept;

  /// The group to serve next in `q`; kNoGroup if none is queued.
  unsigned pick(unsigned q) const noexcept;
  /// Its priority: that of its best task and its score; kNoPriority if there is none.
  int priority(unsigned q) const noexcept;
  /// Scores of all queued groups age; decay looks again how wide the groups are.
  void tick(Nanos now) noexcept;

  /// How much the use of its tasks weighs until the next tick; kNoDecay if it is narrow.
  int shift(unsigned group, unsigned q) noexcept;
  /// Groups queued in `q` elsewhere: they lengthen the wait for a better score. 0 at first.
  void set_elsewhere(unsigned q, unsigned load) noexcept;
  /// [P] At least 1; taken into account from the next tick.
  void set_workers(unsigned workers) noexcept { workers_ = workers == 0 ? 1 : workers; }

  // For dumps and tests.
  int score(unsigned group, unsigned q) const noexcept;
  unsigned active(unsigned group, unsigned q) const noexcept;
  bool queued(unsigned group, unsigned q) const noexcept;
  std::uint32_t ticks() const noexcept { return ticks_; }

 private:
  static constexpr unsigned kWords = kPriorities / 64;
  static constexpr std::uint16_t kNone = 0xffff;
  struct Queue {
    std::array<std::uint64_t, kWords> filled{};
    std::array<std::uint16_t, kPriorities> head{};
  };

  GroupEntry* entry(unsigned group, unsigned q) const noexcept {
    return group < groups_ && q < kClasses ? &memory_[group * kClasses + q] : nullptr;
  }
  unsigned refresh_level(GroupEntry& entry, unsigned q, Nanos now) noexcept;
  void link(std::uint16_t index, unsigned q, unsigned level, Place place) noexcept;
  void unlink(std::uint16_t index, unsigned q) noexcept;
  void move(std::uint16_t index, unsigned q, unsigned level, Place place) noexcept;
  int top_level(unsigned q) const noexcept;

  GroupEntry* memory_;
  unsigned groups_;
  unsigned workers_;
  std::uint32_t ticks_ = 1;
  std::array<unsigned, kClasses> queued_{};
  std::array<unsigned, kClasses> elsewhere_{};
  Monotonic time_;
  ClassTable table_;
  std::array<Queue, kClasses> queues_{};
};

}  // namespace paceline::core::policy
