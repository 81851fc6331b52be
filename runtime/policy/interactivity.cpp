// SPDX-License-Identifier: BSL-1.0
#include "policy/interactivity.hpp"

namespace paceline::core::policy {

namespace {

/// `kHalfScore * part / whole`, truncated, for 0 <= part <= whole and 0 < whole. The result has
/// four bits, which four comparisons find sooner than a division.
int eighths(Nanos part, Nanos whole) noexcept {
  if (whole > kForever / kMostScore) return static_cast<int>(scaled(part, kHalfScore, whole));
  const Nanos wanted = part * kHalfScore;
  Nanos found = 0;
  for (Nanos step = kHalfScore; step > 0; step /= 2) {
    if ((found + step) * whole <= wanted) found += step;
  }
  return static_cast<int>(found);
}

}  // namespace

int score_of(Nanos used, Nanos blocked, int last) noexcept {
  used = within(used, kForever);
  blocked = within(blocked, kForever);
  if (used == 0 && blocked == 0) return last;
  if (blocked > used) return kHalfScore + eighths(blocked - used, blocked);
  return eighths(blocked, used);
}

void note_run(Interactivity& group, Nanos ran, const ClassTable& table) noexcept {
  group.used = clamped_sum(group.used, within(ran, table.history));
}

void note_blocked(Interactivity& group, Nanos blocked, const ClassTable& table) noexcept {
  group.blocked = clamped_sum(group.blocked, within(blocked, table.history));
}

Nanos pending_interval(unsigned q, unsigned load, const ClassTable& table) noexcept {
  const ClassRow& row = table[q];
  const Nanos interval = clamped_sum(row.pending, scaled(row.quantum, load, 1));
  return interval < 1 ? 1 : interval;
}

void forget_use(Interactivity& group, Nanos steps) noexcept {
  if (steps <= 0 || group.used <= 0) return;
  Nanos left = within(steps, kMostScore);
  const Nanos blocked = group.blocked < 1 ? 1 : group.blocked;
  if (blocked < group.used) {
    // Steps until the middle: of eight, the part that the score lacks, rounded up.
    const Nanos to_middle = 1 + scaled(group.used - blocked - 1, kHalfScore, group.used);
    const Nanos taken = left < to_middle ? left : to_middle;
    const Nanos eight = scaled(blocked, kHalfScore, 1);
    group.used = scaled(eight, group.used, clamped_sum(eight, scaled(group.used, taken, 1)));
    left -= taken;
  }
  if (left > 0) {
    const Nanos forgotten = scaled(blocked, left, kHalfScore);
    group.used = group.used > forgotten ? group.used - forgotten : 0;
  }
}

void age_out(Interactivity& group, Nanos& since, Nanos interval, Nanos now) noexcept {
  const Nanos waited = elapsed(since, now);
  if (waited < interval) return;
  const Nanos steps = waited / interval;
  since = clamped_sum(since, steps * interval);
  forget_use(group, steps);
}

int evaluate(Interactivity& group, const ClassTable& table) noexcept {
  if (clamped_sum(group.used, group.blocked) >= table.history) {
    group.used /= kHistoryDivisor;
    group.blocked /= kHistoryDivisor;
  }
  if (group.used > 0 && group.blocked < 1) group.blocked = 1;
  const int score = score_of(group.used, group.blocked, group.score);
  if (!group.fresh || score > group.score) group.score = static_cast<std::uint8_t>(score);
  group.fresh = false;
  return group.score;
}

}  // namespace paceline::core::policy
