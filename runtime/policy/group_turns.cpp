// SPDX-License-Identifier: BSL-1.0
#include "policy/group_turns.hpp"

#include <algorithm>
#include <bit>

#include "policy/fair.hpp"

namespace paceline::core::policy {

namespace {

template <class Visit>
void each_group(GroupMask groups, Visit&& visit) noexcept {
  for (; groups != 0; groups &= groups - 1) visit(static_cast<unsigned>(std::countr_zero(groups)));
}

}  // namespace

GroupTurns::GroupTurns(const ClassTable& table) noexcept : table_(table) {
  for (Class& each : classes_) {
    for (Entry& entry : each.entries) entry.history = new_group(table_);
  }
}

void GroupTurns::renew(unsigned group, GroupRule rule, Nanos now) noexcept {
  if (group >= kTurnGroups) return;
  now = time_.advance(now);
  rules_[group] = {std::clamp(rule.shares, 1u, kMostShares), rule.fair};
  for (Class& here : classes_) {
    here.entries[group] = {new_group(table_), here.floor, now, now};
    here.known &= ~(GroupMask{1} << group);
    if (here.turn == group) here.turn = kNoGroup;
  }
}

/// Any stretch costs 1 at least, or a group that runs in splinters would never be charged.
Nanos GroupTurns::by_shares(Nanos time, unsigned group) const noexcept {
  if (time <= 0) return 0;
  return std::max<Nanos>(1, scaled(time, kUsualShares, rules_[group].shares));
}

void GroupTurns::charge(unsigned group, unsigned q, Nanos ran) noexcept {
  if (group >= kTurnGroups || q >= kClasses || ran <= 0) return;
  Class& here = classes_[q];
  Entry& entry = here.entries[group];
  const Nanos counts = by_shares(ran, group);
  note_run(entry.history, counts, table_);
  entry.had = clamped_sum(entry.had, counts);
  // Alone it takes nothing from anybody: who comes later has nothing to make up for.
  if ((here.known & ~(GroupMask{1} << group)) == 0) here.floor = std::max(here.floor, entry.had);
}

/// It had nothing to do for a while: that is what makes it interactive. It cannot save up turns
/// meanwhile, beyond a few.
void GroupTurns::arrive(unsigned q, unsigned group, Nanos now) noexcept {
  Class& here = classes_[q];
  Entry& entry = here.entries[group];
  // A group that never ran has its full history of blocking already.
  if (!entry.history.fresh) note_blocked(entry.history, elapsed(entry.idle_since, now), table_);
  entry.pending_since = now;
  const Nanos credit = by_shares(scaled(table_[q].quantum, kSleeperQuanta, 1), group);
  entry.had = std::max(entry.had, clamped_sum(here.floor, -credit));
}

/// The score that counts; it rises while the group waits.
int GroupTurns::level(unsigned q, unsigned group, Nanos interval, Nanos now) noexcept {
  if (q == kFixed) return kMostScore;  // [C] of the fixed class, always
  Entry& entry = classes_[q].entries[group];
  if (classes_[q].turn != group) age_out(entry.history, entry.pending_since, interval, now);
  return evaluate(entry.history, table_);
}

unsigned GroupTurns::pick(unsigned q, GroupMask ready, Nanos now) noexcept {
  if (q >= kClasses) return kNoGroup;
  now = time_.advance(now);
  Class& here = classes_[q];
  const GroupMask arrived = ready & ~here.known;
  each_group(here.known & ~ready, [&](unsigned gone) { here.entries[gone].idle_since = now; });
  each_group(arrived, [&](unsigned come) { arrive(q, come, now); });
  here.known = ready;
  if (ready == 0) return here.turn = kNoGroup;
  const bool lasts = here.turn != kNoGroup && (ready >> here.turn & 1) != 0 && now < here.turn_end;
  return lasts && arrived == 0 ? here.turn : choose(q, ready, lasts, now);
}

unsigned GroupTurns::choose(unsigned q, GroupMask ready, bool lasts, Nanos now) noexcept {
  Class& here = classes_[q];
  const auto load = static_cast<unsigned>(std::popcount(ready));
  const Nanos interval = pending_interval(q, load, table_);
  std::array<int, kTurnGroups> levels;
  int top = -1;
  Nanos least = kForever;
  each_group(ready, [&](unsigned group) {
    least = std::min(least, here.entries[group].had);
    if (rules_[group].fair) return;
    levels[group] = level(q, group, interval, now);
    top = std::max(top, levels[group]);
  });
  here.floor = std::max(here.floor, least);
  // A fair group stands beside the best of the others, whoever that is.
  unsigned best = kNoGroup;
  each_group(ready, [&](unsigned group) {
    if (!rules_[group].fair && levels[group] < top) return;
    const Nanos had = here.entries[group].had;
    if (best == kNoGroup || had < here.entries[best].had ||
        (had == here.entries[best].had && best == here.turn)) {
      best = group;
    }
  });
  // Among its equals the one whose turn it is keeps it to its end.
  const bool stays = lasts && (rules_[here.turn].fair || levels[here.turn] == top);
  if (stays) return here.turn;
  if (here.turn != kNoGroup) here.entries[here.turn].pending_since = now;
  here.entries[best].pending_since = now;
  here.turn = best;
  here.turn_end = clamped_sum(now, table_[q].quantum);
  return best;
}

void GroupTurns::rest(Nanos now) noexcept {
  now = time_.advance(now);
  for (Class& here : classes_) {
    each_group(here.known, [&](unsigned gone) { here.entries[gone].idle_since = now; });
    here.known = 0;
    here.turn = kNoGroup;
  }
}

int GroupTurns::score(unsigned group, unsigned q) const noexcept {
  if (group >= kTurnGroups || q >= kClasses) return kNoPriority;
  return q == kFixed ? kMostScore : classes_[q].entries[group].history.score;
}

}  // namespace paceline::core::policy
