// SPDX-License-Identifier: BSL-1.0
// How interactive a group is: 16 if it mostly waits for events, 0 if it only computes.
//
// Part of the group level (policy/group_level.hpp). Pure functions on plain data; the caller owns
// the data. Proof: tests/unit/policy/interactivity_test.cpp.
#pragma once

#include <cstdint>

#include "policy/class_table.hpp"

namespace paceline::core::policy {

inline constexpr int kHalfScore = 8;  // [C] half of the range of scores
inline constexpr int kMostScore = 2 * kHalfScore;

/// What one group did in one class. `used`: time its tasks ran. `blocked`: time in which it had
/// nothing to run; waiting in a queue is neither.
struct Interactivity {
  Nanos used = 0;
  Nanos blocked = 0;
  std::uint8_t score = kMostScore;
  bool fresh = true;  ///< never evaluated
};

/// [C] A new group: as if it had blocked for the whole history, so that it starts on top.
constexpr Interactivity new_group(const ClassTable& table) noexcept {
  return {0, table.history, kMostScore, true};
}

/// [C] The score of two times; `last` if both are 0. Negative times count as 0.
int score_of(Nanos used, Nanos blocked, int last) noexcept;

/// One stretch of running, or of having nothing to run. Both count for a history's length at most.
void note_run(Interactivity& group, Nanos ran, const ClassTable& table) noexcept;
void note_blocked(Interactivity& group, Nanos blocked, const ClassTable& table) noexcept;

/// [C] How long a queued group waits for one step of its score: the class's delta and a quantum
/// for each of the `load` groups that are queued in this class.
Nanos pending_interval(unsigned q, unsigned load, const ClassTable& table) noexcept;

/// [C] Forgets as much of `used` as raises the score by `steps`, but not above the greatest.
/// The rule differs on both sides of the middle; [P] steps that cross it follow each rule on its
/// side, so that they raise the score by as much.
void forget_use(Interactivity& group, Nanos steps) noexcept;

/// [C] A queued group's score rises by one for each `interval` since `since`, which moves on.
void age_out(Interactivity& group, Nanos& since, Nanos interval, Nanos now) noexcept;

/// Brings the score up to date, and the history below its length. [C] The first evaluation never
/// lowers a score. [P] Whoever has run has blocked for 1 ns at least: a pure hog would end without
/// any history, and its score would freeze.
int evaluate(Interactivity& group, const ClassTable& table) noexcept;

}  // namespace paceline::core::policy
