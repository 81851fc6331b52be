// SPDX-License-Identifier: BSL-1.0
// Which task group a core serves within a class, turn by turn: the most interactive one first, and
// equal ones by what their shares are worth.
//
// Flow room: pick and charge. Whoever drives a core asks it, while several groups of a class have
// work, with the groups that do; one object per core, owned and called by one thread at a time. It
// never looks at a clock, allocates or blocks. Time that goes back counts as standing still.
// Classes and groups out of range are refused: nothing changes.
// Proof: tests/unit/policy/group_turns_test.cpp.
//
// This is the group level of policy/group_level.hpp for a core that finds its tasks by their bits.
// All tasks of a class have its base priority there, so only the score decides, and the sweep over
// a group's tasks stands for one of them.
#pragma once

#include <array>
#include <cstdint>

#include "policy/group_level.hpp"
#include "policy/interactivity.hpp"

namespace paceline::core::policy {

/// Bit g: group g has work in the class that is asked about.
using GroupMask = std::uint64_t;

/// [P] The bits of a word: as many as a port has lanes (kTaskGroups, decision 0030).
inline constexpr unsigned kTurnGroups = 64;

/// [P] Only ratios of shares matter; this many is what a group has that asks for none.
inline constexpr std::uint32_t kUsualShares = 100;
inline constexpr std::uint32_t kMostShares = 10'000;

/// How a group is to be treated.
struct GroupRule {
  std::uint32_t shares = kUsualShares;  ///< 1..kMostShares; others count as the nearest
  bool fair = false;                    ///< by use alone: its score does not count
};

/// I1: what a group uses counts by its shares, for its turns and for its score: with three times
/// the shares it may run for three times as long and is as interactive.
/// I2: a group that is ready is served after finitely many turns: a fair one because its use stays
/// behind, another one because waiting raises its score.
class GroupTurns {
 public:
  explicit GroupTurns(const ClassTable& table) noexcept;

  /// Another activity has the index from now on: nothing of the last one is remembered.
  void renew(unsigned group, GroupRule rule, Nanos now) noexcept;

  /// The group to serve in class `q`, of those in `ready`, which include the one that runs. Changes
  /// since the last question are noticed here. kNoGroup if there is none.
  unsigned pick(unsigned q, GroupMask ready, Nanos now) noexcept;
  /// A group ran in class `q`. Negative times count as 0.
  void charge(unsigned group, unsigned q, Nanos ran) noexcept;
  /// At the last question about class `q`, was any group but 0 ready?
  bool knows_groups(unsigned q) const noexcept {
    return q < kClasses && (classes_[q].known & ~GroupMask{1}) != 0;
  }
  /// Nothing is ready in any class.
  void rest(Nanos now) noexcept;

  // For dumps and tests.
  unsigned turn(unsigned q) const noexcept { return q < kClasses ? classes_[q].turn : kNoGroup; }
  int score(unsigned group, unsigned q) const noexcept;

 private:
  struct Entry {
    Interactivity history;
    Nanos had = 0;  // use by shares
    Nanos idle_since = 0;
    Nanos pending_since = 0;
  };
  struct Class {
    GroupMask known = 0;
    unsigned turn = kNoGroup;
    Nanos turn_end = 0;
    Nanos floor = 0;  // of those that are ready; never falls
    std::array<Entry, kTurnGroups> entries{};
  };

  Nanos by_shares(Nanos time, unsigned group) const noexcept;
  void arrive(unsigned q, unsigned group, Nanos now) noexcept;
  int level(unsigned q, unsigned group, Nanos interval, Nanos now) noexcept;
  unsigned choose(unsigned q, GroupMask ready, bool lasts, Nanos now) noexcept;

  ClassTable table_;
  Monotonic time_;
  std::array<GroupRule, kTurnGroups> rules_{};
  std::array<Class, kClasses> classes_{};
};

}  // namespace paceline::core::policy
