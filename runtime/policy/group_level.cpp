// SPDX-License-Identifier: BSL-1.0
#include "policy/group_level.hpp"

#include <algorithm>
#include <bit>

namespace paceline::core::policy {

GroupTable::GroupTable(const ClassTable& table, std::span<GroupEntry> memory,
                       unsigned workers) noexcept
    : memory_(memory.data()),
      groups_(static_cast<unsigned>(std::min<std::size_t>(memory.size() / kClasses, kMostGroups))),
      workers_(workers == 0 ? 1 : workers),
      table_(table) {
  for (unsigned i = 0; i < groups_ * kClasses; ++i) {
    memory_[i] = GroupEntry{};
    memory_[i].history = new_group(table_);
  }
}

bool GroupTable::renew(unsigned group, Nanos now) noexcept {
  if (group >= groups_) return false;
  now = time_.advance(now);
  for (unsigned q = 0; q < kClasses; ++q) {
    const auto index = static_cast<std::uint16_t>(group * kClasses + q);
    if (memory_[index].queued) unlink(index, q);
    memory_[index] = GroupEntry{};
    memory_[index].history = new_group(table_);
    memory_[index].idle_since = now;
  }
  return true;
}

bool GroupTable::wake(unsigned group, unsigned q, Nanos now) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr) return false;
  now = time_.advance(now);
  // A group that never ran has its full history of blocking already.
  if (e->active++ == 0 && !e->history.fresh) {
    note_blocked(e->history, elapsed(e->idle_since, now), table_);
  }
  return true;
}

bool GroupTable::block(unsigned group, unsigned q, Nanos now) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr || e->active == 0) return false;
  now = time_.advance(now);
  if (--e->active == 0) e->idle_since = now;
  return true;
}

bool GroupTable::charge(unsigned group, unsigned q, Nanos ran) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr) return false;
  note_run(e->history, ran, table_);
  return true;
}

/// The level at which the entry belongs now. A queued entry's score rises while it waits.
unsigned GroupTable::refresh_level(GroupEntry& e, unsigned q, Nanos now) noexcept {
  int score = kMostScore;  // [C] of the fixed class, always
  if (q != kFixed) {
    if (e.queued) {
      const Nanos interval = pending_interval(q, queued_[q] + elsewhere_[q], table_);
      age_out(e.history, e.pending_since, interval, now);
    }
    score = evaluate(e.history, table_);
  }
  return static_cast<unsigned>(std::clamp(e.best + score, 0, kPriorities - 1));
}

void GroupTable::link(std::uint16_t index, unsigned q, unsigned level, Place place) noexcept {
  Queue& queue = queues_[q];
  GroupEntry& e = memory_[index];
  e.level = static_cast<std::uint8_t>(level);
  std::uint64_t& word = queue.filled[level / 64];
  const std::uint64_t bit = std::uint64_t{1} << (level % 64);
  if ((word & bit) == 0) {
    word |= bit;
    queue.head[level] = e.next = e.prev = index;
    return;
  }
  GroupEntry& head = memory_[queue.head[level]];
  e.next = queue.head[level];
  e.prev = head.prev;
  memory_[head.prev].next = index;
  head.prev = index;
  if (place == Place::head) queue.head[level] = index;
}

void GroupTable::unlink(std::uint16_t index, unsigned q) noexcept {
  Queue& queue = queues_[q];
  GroupEntry& e = memory_[index];
  if (e.next == index) {
    queue.filled[e.level / 64] &= ~(std::uint64_t{1} << (e.level % 64));
    return;
  }
  memory_[e.prev].next = e.next;
  memory_[e.next].prev = e.prev;
  if (queue.head[e.level] == index) queue.head[e.level] = e.next;
}

void GroupTable::move(std::uint16_t index, unsigned q, unsigned level, Place place) noexcept {
  unlink(index, q);
  link(index, q, level, place);
}

bool GroupTable::put(unsigned group, unsigned q, int best, Place place, Nanos now) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr) return false;
  now = time_.advance(now);
  const auto index = static_cast<std::uint16_t>(e - memory_);
  e->best = static_cast<std::int8_t>(std::clamp(best, 0, kPriorities - 1));
  if (!e->queued) {
    ++queued_[q];
    e->queued = true;
    e->pending_since = now;
    link(index, q, refresh_level(*e, q, now), place);
    return true;
  }
  const unsigned level = refresh_level(*e, q, now);
  if (level != e->level || place == Place::head) move(index, q, level, place);
  return true;
}

bool GroupTable::take(unsigned group, unsigned q, int best, Nanos now) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr || !e->queued) return false;
  now = time_.advance(now);
  const auto index = static_cast<std::uint16_t>(e - memory_);
  if (best < 0) {
    unlink(index, q);
    e->queued = false;
    --queued_[q];
    refresh_level(*e, q, now);
    return true;
  }
  e->best = static_cast<std::int8_t>(std::min(best, kPriorities - 1));
  e->pending_since = now;
  move(index, q, refresh_level(*e, q, now), Place::tail);
  return true;
}

int GroupTable::top_level(unsigned q) const noexcept {
  const auto& filled = queues_[q].filled;
  if (filled[1] != 0) return 127 - std::countl_zero(filled[1]);
  return filled[0] != 0 ? 63 - std::countl_zero(filled[0]) : kNoPriority;
}

unsigned GroupTable::pick(unsigned q) const noexcept {
  const int level = q < kClasses ? top_level(q) : kNoPriority;
  if (level < 0) return kNoGroup;
  return queues_[q].head[static_cast<unsigned>(level)] / kClasses;
}

int GroupTable::priority(unsigned q) const noexcept {
  return q < kClasses ? top_level(q) : kNoPriority;
}

void GroupTable::tick(Nanos now) noexcept {
  now = time_.advance(now);
  if (++ticks_ == 0) ticks_ = 1;
  for (unsigned q = 0; q < kClasses; ++q) {
    for (unsigned level = kPriorities; level-- > 0;) {
      const Queue& queue = queues_[q];
      if ((queue.filled[level / 64] >> (level % 64) & 1) == 0) continue;
      // The ring as it is now. Who falls to a lower level is seen there again, to no effect.
      const std::uint16_t last = memory_[queue.head[level]].prev;
      for (std::uint16_t index = queue.head[level], next = 0;; index = next) {
        next = memory_[index].next;
        const unsigned fresh = refresh_level(memory_[index], q, now);
        if (fresh != level) move(index, q, fresh, Place::tail);
        if (index == last) break;
      }
    }
  }
}

int GroupTable::shift(unsigned group, unsigned q) noexcept {
  GroupEntry* const e = entry(group, q);
  if (e == nullptr) return kNoDecay;
  if (e->shift_tick != ticks_) {
    e->shift_tick = ticks_;
    e->shift = static_cast<std::int8_t>(decay_shift(width_load(e->active, workers_)));
  }
  return e->shift;
}

void GroupTable::set_elsewhere(unsigned q, unsigned load) noexcept {
  if (q < kClasses) elsewhere_[q] = load;
}

int GroupTable::score(unsigned group, unsigned q) const noexcept {
  const GroupEntry* const e = entry(group, q);
  if (e == nullptr) return kNoPriority;
  return q == kFixed ? kMostScore : e->history.score;
}

unsigned GroupTable::active(unsigned group, unsigned q) const noexcept {
  const GroupEntry* const e = entry(group, q);
  return e == nullptr ? 0 : e->active;
}

bool GroupTable::queued(unsigned group, unsigned q) const noexcept {
  const GroupEntry* const e = entry(group, q);
  return e != nullptr && e->queued;
}

}  // namespace paceline::core::policy
