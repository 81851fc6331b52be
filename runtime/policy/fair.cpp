// SPDX-License-Identifier: BSL-1.0
#include "policy/fair.hpp"

#include <algorithm>

namespace paceline::core::policy {

Nanos moved_v(Rescale mode, Nanos v, FairSide from, FairSide to, Nanos credit) noexcept {
  if (mode == Rescale::none) return v;
  const Nanos source = clamp_capacity(from.capacity);
  const Nanos target = clamp_capacity(to.capacity);
  if (mode == Rescale::approximate) return scaled(v, source, target);
  const Nanos lead = scaled(clamped_sum(v, -from.min_v), source, target);
  return clamped_sum(to.min_v, std::max(lead, -within(credit, kForever)));
}

FairQueue::FairQueue(std::span<FairEntry> memory, std::uint32_t capacity, Nanos credit) noexcept
    : memory_(memory.data()),
      size_(static_cast<unsigned>(std::min<std::size_t>(memory.size(), kNoEntry))),
      capacity_(clamp_capacity(capacity)),
      credit_(within(credit, kForever)) {
  for (unsigned i = 0; i < size_; ++i) memory_[i] = FairEntry{};
}

bool FairQueue::before(unsigned a, unsigned b) const noexcept {
  const FairEntry& x = memory_[a];
  const FairEntry& y = memory_[b];
  return x.v != y.v ? x.v < y.v : x.stamp < y.stamp;
}

void FairQueue::set(unsigned position, unsigned entry) noexcept {
  memory_[position].at = entry;
  memory_[entry].place = position + 1;
}

void FairQueue::rise(unsigned position) noexcept {
  const unsigned entry = memory_[position].at;
  while (position > 0) {
    const unsigned above = (position - 1) / 2;
    if (!before(entry, memory_[above].at)) break;
    set(position, memory_[above].at);
    position = above;
  }
  set(position, entry);
}

void FairQueue::sink(unsigned position) noexcept {
  const unsigned entry = memory_[position].at;
  while (true) {
    unsigned below = 2 * position + 1;
    if (below >= count_) break;
    if (below + 1 < count_ && before(memory_[below + 1].at, memory_[below].at)) ++below;
    if (!before(memory_[below].at, entry)) break;
    set(position, memory_[below].at);
    position = below;
  }
  set(position, entry);
}

void FairQueue::follow() noexcept {
  if (count_ > 0) min_v_ = std::max(min_v_, memory_[memory_[0].at].v);
}

bool FairQueue::add(unsigned entry, Nanos v) noexcept {
  FairEntry& e = memory_[entry];
  e.v = v;
  e.stamp = ++stamps_;
  set(count_, entry);
  rise(count_++);
  follow();
  return true;
}

bool FairQueue::add_new(unsigned entry, std::uint32_t weight) noexcept {
  return add_moved(entry, weight, min_v_);
}

bool FairQueue::add_woken(unsigned entry) noexcept {
  if (entry >= size_ || queued(entry)) return false;
  return add(entry, std::max(memory_[entry].v, clamped_sum(min_v_, -credit_)));
}

bool FairQueue::add_moved(unsigned entry, std::uint32_t weight, Nanos v) noexcept {
  if (entry >= size_ || queued(entry)) return false;
  memory_[entry].weight = weight == 0 ? 1 : weight;
  return add(entry, v);
}

bool FairQueue::remove(unsigned entry) noexcept {
  if (!queued(entry)) return false;
  const unsigned position = memory_[entry].place - 1;
  const unsigned filler = memory_[--count_].at;
  memory_[entry].place = 0;
  if (filler != entry) {
    set(position, filler);
    rise(position);
    sink(memory_[filler].place - 1);
  }
  follow();
  return true;
}

void FairQueue::charge(unsigned entry, Nanos ran) noexcept {
  if (entry >= size_) return;
  FairEntry& e = memory_[entry];
  e.v = clamped_sum(e.v, virtual_time(ran, e.weight, capacity_));
  if (e.place == 0) return;
  e.stamp = ++stamps_;
  sink(e.place - 1);
  follow();
}

unsigned FairQueue::last() const noexcept {
  unsigned most = pick();
  for (unsigned i = 1; i < count_; ++i) {
    if (before(most, memory_[i].at)) most = memory_[i].at;
  }
  return most;
}

}  // namespace paceline::core::policy
