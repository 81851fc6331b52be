// SPDX-License-Identifier: BSL-1.0
#include "task/collection.hpp"

#include <new>

#include "base/assert.hpp"

namespace paceline::core {

void TaskCollection::attach(Port& port, unsigned class_index, const GroupSource& source,
                            unsigned task_group) noexcept {
  port_ = &port;
  class_ = class_index;
  task_group_ = task_group;
  source_ = &source;
}

// ---------------------------------------------------------------------------------------------
// Role home: plain words, one thread.

/// The last free slot of the current page was taken.
void TaskCollection::close_current() noexcept {
  current_group_->available &= ~bit(static_cast<unsigned>(current_ - current_group_->pages));
}

/// A page has a free slot again.
void TaskCollection::reopen(Group& group, unsigned page) noexcept {
  group.available |= bit(page);
  group.home().open |= bit(group.index.load(std::memory_order_relaxed));
}

/// Takes back what others freed. True if the group has free slots now.
bool TaskCollection::collect_freed(Group& group) noexcept {
  // Parent first, then child: the mirror image of release(), so a free that comes in between is
  // either collected now or leaves the parent raised. Acquire pairs with release(): the next
  // tenant must not see the last one's late writes.
  each_bit(group.freed.exchange(0, std::memory_order_seq_cst), [&](unsigned page) {          // M18
    const Word back = group.pages[page].free_shared.exchange(0, std::memory_order_seq_cst);  // M18
    group.pages[page].free_home |= back;
    if (back != 0) group.available |= bit(page);
  });
  return group.available != 0;
}

/// Makes one of the group's pages the current one. False if it has no free slot and no cold page.
bool TaskCollection::open_page(Group& group) noexcept {
  if (group.available == 0) {
    const Word cold = group.cold.load(std::memory_order_relaxed);
    if (cold == 0) return false;
    const unsigned page = lowest(cold);
    warm(group, page);
    group.pages[page].free_home = all_bits(kPageSlots);
    group.available |= bit(page);
    // Release. Pairs: each_page. Publishes: the slots' first state words.
    group.cold.store(without_lowest(cold), std::memory_order_release);  // M19
  }
  current_group_ = &group;
  current_ = &group.pages[lowest(group.available)];
  current_slots_ = group.page_slots(lowest(group.available));
  return true;
}

bool TaskCollection::refill_home() noexcept {
  for (;;) {
    const unsigned segments = segment_count();
    for (unsigned s = 0; s < segments; ++s) {
      Segment& segment = *segment_at(s);
      for (; segment.open != 0; segment.open = without_lowest(segment.open)) {
        // M20
        if (open_page(*segment.groups[lowest(segment.open)].load(std::memory_order_acquire))) {
          return true;
        }
      }
    }
    bool collected = false;
    for (unsigned s = 0; s < segments; ++s) {
      Segment& segment = *segment_at(s);
      each_bit(segment.freed.exchange(0, std::memory_order_seq_cst), [&](unsigned g) {   // M18
        if (!collect_freed(*segment.groups[g].load(std::memory_order_acquire))) return;  // M20
        segment.open |= bit(g);
        collected = true;
      });
    }
    if (!collected && !extend(Role::home)) return false;
  }
}

void TaskCollection::give_back(Group& group, unsigned page, Word slots) noexcept {
  // Read first: once its last slot is back the group may fall asleep.
  Segment& segment = group.home();
  const bool home_role = group.role == Role::home;
  const unsigned index = group.index.load(std::memory_order_relaxed);
  if (planted(Mutant::free_parent_first)) {
    raise_bit(group.freed, bit(page));
    if (home_role) raise_bit(segment.freed, bit(index));
    group.pages[page].free_shared.fetch_or(slots, std::memory_order_seq_cst);  // M18
    return;
  }
  // Release (as part of seq_cst). Pairs: collect_freed, claim. Publishes: our last writes to the
  // slot. Seq_cst because the summary above it is the handshake of raise_bit.
  group.pages[page].free_shared.fetch_or(slots, std::memory_order_seq_cst);  // M18
  raise_bit(group.freed, bit(page));
  if (home_role) raise_bit(segment.freed, bit(index));
}

// ---------------------------------------------------------------------------------------------
// Roles shared and pinned: RMWs, any thread.

/// The first slot of a page that had no memory; null if there is none.
Slot* TaskCollection::claim_cold(Group& group) noexcept {
  for (;;) {
    const Word cold = group.cold.load(std::memory_order_relaxed);
    if (cold == 0) return nullptr;
    const unsigned page = lowest(cold);
    // Whoever clears the cold bit owns the page until it publishes the free bits. Acquire pairs
    // with trim_shared. A dump may look at the page before it is warm: it reads vacant slots.
    const Word before = group.cold.fetch_and(~bit(page), std::memory_order_acq_rel);  // M19
    if ((before & bit(page)) == 0) continue;
    warm(group, page);
    group.pages[page].free_shared.store(without_lowest(all_bits(kPageSlots)),
                                        std::memory_order_seq_cst);  // M18
    raise_bit(group.freed, bit(page));
    group.claim_at.store(page * kPageSlots + 1, std::memory_order_relaxed);
    return &group.page_slots(page)[0];
  }
}

/// A free slot of a page, the first one from `first` on; null if there is none.
inline Slot* TaskCollection::claim_from(Group& group, unsigned page, unsigned first) noexcept {
  Atomic<Word>& free = group.pages[page].free_shared;
  for (;;) {
    const Word ahead = from(free.load(std::memory_order_relaxed), first);
    if (ahead == 0) return nullptr;
    const unsigned index = lowest(ahead);
    // Acquire. Pairs: release(). Without: we overwrite a slot its last tenant still writes.
    const Word before = free.fetch_and(~bit(index), std::memory_order_seq_cst);  // M18
    if ((before & bit(index)) == 0) continue;                                    // somebody's now
    group.claim_at.store(page * kPageSlots + index + 1, std::memory_order_relaxed);
    Slot* slot = &group.page_slots(page)[index];
    prefetch(slot + kPrefetchSlots);  // beyond the page it is the next one's
    return slot;
  }
}

Slot* TaskCollection::claim(Group& group) noexcept {
  // The page of the last claim, as a rule.
  const unsigned hint = group.claim_at.load(std::memory_order_relaxed);
  if (hint / kPageSlots < kGroupPages) {
    if (Slot* slot = claim_from(group, hint / kPageSlots, hint % kPageSlots)) return slot;
  }
  for (;;) {
    const Word open = group.freed.load(std::memory_order_seq_cst);  // M18
    if (open == 0) return claim_cold(group);
    // Onwards from the last claim, page by page, then round.
    const unsigned at = group.claim_at.load(std::memory_order_relaxed);
    const unsigned last = at / kPageSlots;
    const Word onwards = last < kGroupPages ? from(open, last) : 0;
    const unsigned page = lowest(onwards != 0 ? onwards : open);
    if (onwards == 0 && page + 1 == last) {
      // Round already: with a second page the two ends stay apart.
      if (Slot* slot = claim_cold(group)) return slot;
    }
    const unsigned first = onwards != 0 && page == last ? at % kPageSlots : 0;
    if (Slot* slot = claim_from(group, page, first)) return slot;
    Atomic<Word>& free = group.pages[page].free_shared;
    if (first != 0) {
      group.claim_at.store((page + 1) * kPageSlots, std::memory_order_relaxed);
      continue;
    }
    // Lower, then look again: see raise_bit.
    group.freed.fetch_and(~bit(page), std::memory_order_seq_cst);                      // M18
    if (free.load(std::memory_order_seq_cst) != 0) raise_bit(group.freed, bit(page));  // M18
  }
}

Slot* TaskCollection::allocate_shared(Role role) noexcept {
  const auto r = static_cast<unsigned>(role);
  for (;;) {
    if (Group* hint = hint_[r].load(std::memory_order_acquire)) {  // M20
      if (Slot* slot = claim(*hint)) return slot;
    }
    const unsigned segments = segment_count();
    for (unsigned s = 0; s < segments; ++s) {
      Segment& segment = *segment_at(s);
      Word groups = segment.of_role[r].load(std::memory_order_acquire) &  // M20
                    ~segment.dormant.load(std::memory_order_acquire);     // M22
      for (; groups != 0; groups = without_lowest(groups)) {
        Group* group = segment.groups[lowest(groups)].load(std::memory_order_acquire);  // M20
        Slot* slot = claim(*group);
        if (slot == nullptr) continue;
        hint_[r].store(group, std::memory_order_release);  // M20
        return slot;
      }
    }
    if (!extend(role)) return nullptr;
  }
}

void raise_home(Slot& slot) noexcept {
  Group& group = Group::of(slot);
  raise(group, group.home(), group.index.load(std::memory_order_relaxed), group.page_index(slot));
}

namespace {

/// Calls visit(ready word) for the flagged pages of a segment's `groups` until it returns true.
template <class Visit>
bool any_page(const Segment& segment, Word groups, Visit&& visit) noexcept {
  for (; groups != 0; groups = without_lowest(groups)) {
    const Group* group = segment.groups[lowest(groups)].load(std::memory_order_acquire);  // M20
    for (Word pages = group->ready.load(std::memory_order_relaxed); pages != 0;
         pages = without_lowest(pages)) {
      if (visit(group->pages[lowest(pages)].ready(std::memory_order_relaxed))) return true;
    }
  }
  return false;
}

}  // namespace

bool TaskCollection::has_ready() const noexcept {
  const unsigned segments = segment_count();
  for (unsigned s = 0; s < segments; ++s) {
    const Segment& segment = *segment_at(s);
    // Acquire. Pairs: furnish, by way of whoever raised the bit. Publishes: the group.
    if (any_page(segment, segment.ready.load(std::memory_order_acquire),  // M20
                 [](Word ready) { return ready != 0; })) {
      return true;
    }
  }
  return false;
}

bool TaskCollection::has_pinned_ready() const noexcept {
  constexpr auto kPinned = static_cast<unsigned>(Role::pinned);
  const unsigned segments = segment_count();
  for (unsigned s = 0; s < segments; ++s) {
    const Segment& segment = *segment_at(s);
    const Word pinned = segment.of_role[kPinned].load(std::memory_order_acquire);  // M20
    const Word flagged = segment.ready.load(std::memory_order_acquire) & pinned;   // M20, as above
    if (any_page(segment, flagged, [](Word ready) { return ready != 0; })) return true;
  }
  return false;
}

unsigned TaskCollection::count_stealable(unsigned most) const noexcept {
  constexpr auto kPinned = static_cast<unsigned>(Role::pinned);
  const unsigned segments = segment_count();
  unsigned found = 0;
  for (unsigned s = 0; s < segments && found < most; ++s) {
    const Segment& segment = *segment_at(s);
    const Word pinned = segment.of_role[kPinned].load(std::memory_order_acquire);  // M20
    const Word flagged = segment.ready.load(std::memory_order_acquire) & ~pinned;  // M20, as above
    any_page(segment, flagged, [&](Word ready) {
      found += core::count(ready);
      return found >= most;
    });
  }
  return found;
}

// ---------------------------------------------------------------------------------------------
// Groups in and out of use, under `growth_`.

/// Fills in what a new or dormant group must know. Its words are zero, but for stray bits of late
/// wakers, which stay: they resume nobody.
void TaskCollection::furnish(Segment& segment, unsigned index, Group& group, Role role) noexcept {
  for (auto& page : group.pages) page.generation_floor = segment.floor[index];
  group.role = role;
  group.index.store(index, std::memory_order_relaxed);
  group.segment.store(&segment, std::memory_order_release);  // M22
  // Release. Pairs: claim. Publishes: the floors.
  group.cold.store(all_bits(kGroupPages), std::memory_order_release);  // M19
  segment.dormant.fetch_and(~bit(index), std::memory_order_acq_rel);   // M22
  if (role == Role::home) segment.open |= bit(index);
}

/// Gets one more group for a role: a dormant one, else a new one. False if memory or the directory
/// is exhausted.
bool TaskCollection::extend(Role role) noexcept {
  LockGuard lock(growth_);
  return someone_extended(role) || rouse(role) || grow(role);
}

/// Another spawner may have been here while we waited for the lock.
bool TaskCollection::someone_extended(Role role) noexcept {
  if (role == Role::home) return false;  // one thread only
  Group* newest = hint_[static_cast<unsigned>(role)].load(std::memory_order_acquire);  // M20
  return newest != nullptr && (newest->cold.load(std::memory_order_relaxed) |
                               newest->freed.load(std::memory_order_relaxed)) != 0;
}

bool TaskCollection::rouse(Role role) noexcept {
  const auto r = static_cast<unsigned>(role);
  const unsigned segments = segment_count();
  for (unsigned s = 0; s < segments; ++s) {
    Segment& segment = *segment_at(s);
    const Word candidates = segment.of_role[r].load(std::memory_order_relaxed) &
                            segment.dormant.load(std::memory_order_relaxed);
    if (candidates == 0) continue;
    const unsigned index = lowest(candidates);
    Group* group = segment.groups[index].load(std::memory_order_relaxed);
    furnish(segment, index, *group, role);
    if (role != Role::home) hint_[r].store(group, std::memory_order_release);  // M20
    return true;
  }
  return false;
}

bool TaskCollection::grow(Role role) noexcept {
  const auto r = static_cast<unsigned>(role);
  unsigned segments = segment_count_.load(std::memory_order_relaxed);
  if (segments == 0 || last_groups_ == kSegmentGroups) {
    if (segments == kSegments) return false;
    auto* segment = new (std::nothrow) Segment;
    if (segment == nullptr) return false;
    segment->collection = this;
    for (auto& floor : segment->floor) floor = 1;  // generation 0 is what discarded memory shows
    segments_[segments].store(segment, std::memory_order_release);  // M20
    segment_count_.store(++segments, std::memory_order_release);    // M20
    last_groups_ = 0;
  }
  Segment& segment = *segments_[segments - 1].load(std::memory_order_relaxed);
  void* memory = source_->map();
  if (memory == nullptr) return false;
  // Not constructed: every word of a group starts as zero, which is what the mapping holds, and the
  // slots stay untouched until a page is used.
  auto* group = static_cast<Group*>(memory);
  const unsigned index = last_groups_++;
  furnish(segment, index, *group, role);
  // Release. Pairs: every acquire load of these words. Publishes: the group's fields.
  segment.groups[index].store(group, std::memory_order_release);             // M20
  segment.of_role[r].fetch_or(bit(index), std::memory_order_acq_rel);        // M20
  if (role != Role::home) hint_[r].store(group, std::memory_order_release);  // M20
  return true;
}

// ---------------------------------------------------------------------------------------------
// Pages in and out of use. A cold page has no memory behind its slots; its floor remembers the
// generations that were used up, so an ancient waker never meets its own number again.

void TaskCollection::warm(Group& group, unsigned page) noexcept {
  Slot* slots = group.page_slots(page);
  const std::uint64_t floor = group.pages[page].generation_floor;
  for (unsigned i = 0; i < kPageSlots; ++i) slots[i].state.reset(floor);
}

void TaskCollection::chill(Group& group, unsigned page) noexcept {
  Slot* slots = group.page_slots(page);
  std::uint64_t highest_used = 0;
  for (unsigned i = 0; i < kPageSlots; ++i) {
    const std::uint64_t word = slots[i].state.peek(std::memory_order_relaxed);
    check(StateWord::phase_of(word) == Phase::vacant, "a page that is given back has no tasks");
    if (StateWord::generation_of(word) > highest_used) {
      highest_used = StateWord::generation_of(word);
    }
  }
  group.pages[page].generation_floor = highest_used;
}

/// Gives the memory behind chilled pages back, neighbours together: each call makes every core
/// flush its translations.
void TaskCollection::discard_pages(Group& group, Word pages) noexcept {
  while (pages != 0) {
    const unsigned first = lowest(pages);
    const auto run = static_cast<unsigned>(std::countr_one(pages >> first));
    source_->discard(group.page_slots(first), run * kPageSlots * sizeof(Slot));
    pages &= ~(all_bits(run) << first);
  }
}

void TaskCollection::trim_home(Group& group) noexcept {
  collect_freed(group);
  Word given_back = 0;
  for (unsigned page = 0; page < kGroupPages; ++page) {
    if (group.pages[page].free_home != all_bits(kPageSlots)) continue;
    chill(group, page);
    group.pages[page].free_home = 0;
    given_back |= bit(page);
  }
  discard_pages(group, given_back);
  group.available &= ~given_back;
  group.cold.store(group.cold.load(std::memory_order_relaxed) | given_back,
                   std::memory_order_release);  // M19
  if (group.available != 0 || given_back != 0) {
    group.home().open |= bit(group.index.load(std::memory_order_relaxed));
  }
}

void TaskCollection::trim_shared(Group& group) noexcept {
  Word given_back = 0;
  each_bit(group.freed.load(std::memory_order_acquire), [&](unsigned page) {  // M18
    Word all = all_bits(kPageSlots);
    // Taking all free bits at once makes the page ours; anybody who wants a slot of it finds none
    // and lowers its bit. Acquire pairs with release().
    // M18
    if (group.pages[page].free_shared.compare_exchange_strong(all, 0, std::memory_order_seq_cst,
                                                              std::memory_order_relaxed)) {
      chill(group, page);
      given_back |= bit(page);
    }
  });
  discard_pages(group, given_back);
  // Release. Pairs: claim. Publishes: the pages' floors, and that their memory is gone.
  group.cold.fetch_or(given_back, std::memory_order_acq_rel);  // M19
}

/// A group whose pages are all cold gives the rest of its memory back, too.
void TaskCollection::put_to_sleep(Segment& segment, unsigned index, Group& group) noexcept {
  // Taking every cold bit at once makes the group ours, as with a shared page.
  Word all = all_bits(kGroupPages);
  if (!group.cold.compare_exchange_strong(all, 0, std::memory_order_acq_rel,  // M19
                                          std::memory_order_relaxed)) {
    return;
  }
  std::uint64_t floor = segment.floor[index];
  for (const auto& page : group.pages) {
    if (page.generation_floor > floor) floor = page.generation_floor;
  }
  segment.floor[index] = floor;
  const auto r = static_cast<unsigned>(group.role);
  Group* hinted = &group;
  hint_[r].compare_exchange_strong(hinted, nullptr, std::memory_order_acq_rel);  // M20
  segment.open &= ~bit(index);
  segment.dormant.fetch_or(bit(index), std::memory_order_acq_rel);  // M22
  group.segment.store(nullptr, std::memory_order_release);          // M22
  source_->discard(&group, sizeof(Group));
}

void TaskCollection::trim() noexcept {
  current_ = nullptr;
  current_group_ = nullptr;
  LockGuard lock(growth_);
  const unsigned segments = segment_count();
  for (unsigned s = 0; s < segments; ++s) {
    Segment& segment = *segment_at(s);
    for (unsigned g = 0; g < kSegmentGroups; ++g) {
      Group* group = segment.groups[g].load(std::memory_order_acquire);  // M20
      if (group == nullptr) break;
      if ((segment.dormant.load(std::memory_order_relaxed) & bit(g)) != 0) continue;
      if (group->role == Role::home) {
        trim_home(*group);
      } else {
        trim_shared(*group);
      }
      if (group->cold.load(std::memory_order_relaxed) == all_bits(kGroupPages)) {
        put_to_sleep(segment, g, *group);
      }
    }
  }
}

}  // namespace paceline::core
