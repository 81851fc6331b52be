// SPDX-License-Identifier: BSL-1.0
// TaskCollection: the slots of one class, and task group, on one worker, and the summary words
// above them.
// Flow rooms: spawn (allocate), wake (raise), run (sweep.hpp lowers), end (release).
// It must never move a slot or unmap one: wakers hold addresses.
// Proof: tests/model/summary_model.cpp, tests/unit/task/collection_test.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <paceline/qos.hpp>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "base/mutex.hpp"
#include "base/probe.hpp"
#include "base/sizes.hpp"
#include "base/time.hpp"
#include "task/slot.hpp"
#include "task/waker_page.hpp"

namespace paceline::core {

struct Region;

class TaskCollection;
struct Lane;
struct Port;
struct Segment;

constexpr std::size_t power_of_two_above(std::size_t n) noexcept {
  std::size_t p = 1;
  while (p < n) p *= 2;
  return p;
}

/// Who takes slots from a group, and whether thieves may run its tasks.
enum class Role : std::uint8_t {
  home,    // the home worker only: plain words
  shared,  // any thread, by RMW: spawns from elsewhere
  pinned,  // like shared, but never stolen
};

/// 64 pages and the first summary level. Aligned to a power of two, so that a slot's address gives
/// its group, page and bit by arithmetic. A group without tasks may be *dormant*: it has no memory
/// and reads as zero, `segment` included, until it is used again.
///
/// Writers: `ready`: raised by any thread, lowered by the home worker. `freed`: any thread (see
/// Role). `cold`: whoever takes a page into use or gives it back. `available`: home worker.
struct Group {
  Atomic<Word> ready{0};  // pages that may have ready bits

  // Role home: pages with slots that others freed. Else: pages that may have free slots.
  alignas(kCacheLine) Atomic<Word> freed{0};
  // Pages without memory: never used, or given back. They start at their generation_floor.
  Atomic<Word> cold{0};
  // Role not home: one past the slot claimed last; relaxed, a hint. Claims go round, so that a
  // spawner does not take the very slots, and words, that the worker is giving back just now.
  Atomic<unsigned> claim_at{0};

  alignas(kCacheLine) Word available = 0;  // role home: pages with free slots
  Atomic<Segment*> segment{nullptr};       // null while dormant
  Atomic<unsigned> index{0};               // in the segment; late wakers read it
  Role role = Role::home;

  WakerPage pages[kGroupPages];
  // One page of slots is one page of memory in the product, so it can be given back alone.
  alignas(power_of_two_above(kPageSlots * sizeof(Slot))) Slot slots[kGroupPages * kPageSlots];

  static Group& of(const Slot& slot) noexcept;
  Segment& home() const noexcept { return *segment.load(std::memory_order_relaxed); }
  unsigned page_index(const Slot& slot) const noexcept {
    const auto offset =
        reinterpret_cast<std::uintptr_t>(&slot) - reinterpret_cast<std::uintptr_t>(slots);
    return static_cast<unsigned>(offset / (kPageSlots * sizeof(Slot)));
  }
  /// The slots of a page are aligned to their size.
  static unsigned bit_index(const Slot& slot) noexcept {
    return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(&slot) / sizeof(Slot)) %
           kPageSlots;
  }
  Slot* page_slots(unsigned page) noexcept { return slots + page * kPageSlots; }
};

inline constexpr std::size_t kGroupAlign = power_of_two_above(sizeof(Group));

inline Group& Group::of(const Slot& slot) noexcept {
  return *reinterpret_cast<Group*>(reinterpret_cast<std::uintptr_t>(&slot) & ~(kGroupAlign - 1));
}

/// 64 groups, the second summary level, and what must be known of a dormant group.
struct Segment {
  alignas(kCacheLine) Atomic<Word> ready{0};  // groups that may have ready pages
  alignas(kCacheLine) Atomic<Word> freed{0};  // role home: groups with slots freed by others
  Atomic<Word> dormant{0};                    // groups without memory
  Atomic<Word> of_role[3] = {};               // which groups serve a Role; only grows
  Word open = 0;                              // role home: groups that may have free slots
  TaskCollection* collection = nullptr;
  std::uint64_t floor[kSegmentGroups] = {};  // generations a dormant group has used up
  Atomic<Group*> groups[kSegmentGroups] = {};
};

/// Where groups come from; the machine's memory in the product.
struct GroupSource {
  /// Zeroed memory of sizeof(Group) aligned to kGroupAlign that is never unmapped; null if none.
  void* (*map)() noexcept;
  /// Gives physical memory within a group back; it reads as zero afterwards.
  void (*discard)(void* memory, std::size_t bytes) noexcept;
};

/// The slots of one class and task group on one worker.
///
/// Writers: home worker (role home), any thread (roles shared and pinned, and frees), under
/// `growth` for the directory. I1: a slot is free in exactly one word: free_home or free_shared of
/// its page, or implicitly in a cold page. I2: groups are only added. I3: a page with bits in
/// free_home is in its group's `available`, and that group in its segment's `open`. Progress:
/// allocate_home and release are wait-free but for growth; allocate_shared is lock-free but for
/// growth (lock `growth`).
class TaskCollection {
 public:
  /// `task_group`: 0 is that of tasks which have none.
  void attach(Port& port, unsigned class_index, const GroupSource& source,
              unsigned task_group = 0) noexcept;

  /// A vacant slot, or null if memory or the directory is exhausted. Home worker.
  Slot* allocate_home() noexcept {
    if (current_ != nullptr && current_->free_home != 0) [[likely]]
      return take_home();
    return refill_home() ? take_home() : nullptr;
  }
  /// The page of the slot that allocate_home gave last.
  WakerPage& allocated_in() const noexcept { return *current_; }
  /// The same from any thread; `role` is shared or pinned.
  Slot* allocate_shared(Role role) noexcept;

  /// Takes a vacant slot back. `at_home`: the caller is the home worker.
  static void release(Slot& slot, bool at_home) noexcept {
    Group& group = Group::of(slot);
    if (at_home && group.role == Role::home)
      release_home(group, slot);
    else
      give_back(group, group.page_index(slot), bit(Group::bit_index(slot)));
  }
  /// The same of a slot of role home. Home worker.
  static void release_home(Group& group, const Slot& slot) noexcept {
    const unsigned page = group.page_index(slot);
    const Word before = group.pages[page].free_home;
    group.pages[page].free_home = before | bit(Group::bit_index(slot));
    // What stands above a page with free slots says so already (I3).
    if (before == 0) [[unlikely]]
      reopen(group, page);
  }
  /// Takes vacant slots of one page back, any thread; not role home at home.
  static void give_back(Group& group, unsigned page, Word slots) noexcept;

  /// Is any task ready here? Unlike the summary, which may be raised for nothing. Any thread; a
  /// moment later the answer may be another.
  bool has_ready() const noexcept;

  /// The same of tasks that nobody may steal.
  bool has_pinned_ready() const noexcept;

  /// How many tasks are ready here that thieves may take, counted up to about `most`. Any thread; a
  /// moment later the answer may be another.
  unsigned count_stealable(unsigned most) const noexcept;

  /// Gives the memory of pages and groups without tasks back. Home worker.
  void trim() noexcept;

  /// Calls visit(group, page, mapped) for every page that has memory. Any thread.
  template <class Visit>
  void each_page(Visit&& visit) {
    const unsigned segments = segment_count();
    for (unsigned s = 0; s < segments; ++s) {
      Segment* segment = segment_at(s);
      const Word asleep = segment->dormant.load(std::memory_order_acquire);  // M22
      for (unsigned g = 0; g < kSegmentGroups; ++g) {
        Group* group = segment->groups[g].load(std::memory_order_acquire);  // M20
        if (group == nullptr) break;
        if ((asleep & bit(g)) != 0) continue;
        each_bit(~group->cold.load(std::memory_order_acquire) & all_bits(kGroupPages),  // M19
                 [&](unsigned page) { visit(*group, page); });
      }
    }
  }

  Port& port() const noexcept { return *port_; }
  unsigned class_index() const noexcept { return class_; }
  unsigned task_group() const noexcept { return task_group_; }
  const GroupSource& source() const noexcept { return *source_; }
  // M20
  unsigned segment_count() const noexcept { return segment_count_.load(std::memory_order_acquire); }
  Segment* segment_at(unsigned index) const noexcept {
    return segments_[index].load(std::memory_order_acquire);  // M20
  }

 private:
  Slot* take_home() noexcept {
    const Word free = current_->free_home;
    Slot* slot = &current_slots_[lowest(free)];
    current_->free_home = without_lowest(free);
    if (current_->free_home == 0) [[unlikely]]
      close_current();
    prefetch(slot + kPrefetchSlots);  // beyond the page it is the next one's
    return slot;
  }
  // A burst of spawns takes neighbouring slots; this many ahead is about a memory access away.
  static constexpr unsigned kPrefetchSlots = 4;

  bool refill_home() noexcept;
  void close_current() noexcept;
  static void reopen(Group& group, unsigned page) noexcept;
  bool open_page(Group& group) noexcept;
  bool collect_freed(Group& group) noexcept;
  static Slot* claim_from(Group& group, unsigned page, unsigned first) noexcept;
  Slot* claim(Group& group) noexcept;
  Slot* claim_cold(Group& group) noexcept;
  bool extend(Role role) noexcept;
  bool someone_extended(Role role) noexcept;
  bool rouse(Role role) noexcept;
  bool grow(Role role) noexcept;
  static void furnish(Segment& segment, unsigned index, Group& group, Role role) noexcept;
  static void warm(Group& group, unsigned page) noexcept;

  void trim_home(Group& group) noexcept;
  void trim_shared(Group& group) noexcept;
  static void chill(Group& group, unsigned page) noexcept;
  void discard_pages(Group& group, Word pages) noexcept;
  void put_to_sleep(Segment& segment, unsigned index, Group& group) noexcept;

  Port* port_ = nullptr;
  const GroupSource* source_ = nullptr;
  unsigned class_ = 0;
  unsigned task_group_ = 0;

  // Home worker.
  WakerPage* current_ = nullptr;  // slots are taken from it
  Slot* current_slots_ = nullptr;
  Group* current_group_ = nullptr;

  // Any thread. Index: Role.
  alignas(kCacheLine) Atomic<Group*> hint_[3] = {};

  Atomic<unsigned> segment_count_{0};
  Atomic<Segment*> segments_[kSegments] = {};
  Mutex growth_{LockRank::growth};
  unsigned last_groups_ = 0;  // groups in the last segment; under growth_
};

/// What a request word asks for.
enum class Ask : std::uint32_t {
  urgent = 1,     // something more important waits
  slice = 2,      // something equally important has waited for long enough
  rebalance = 3,  // a core of the kind that the task prefers is free: as a slice that is over
};

/// A worker's address for the rest of the world: what a wake reaches. Ports are recycled between
/// runtimes and never freed, so a waker may follow its slot to one at any time.
struct Port {
  // Classes that may have ready tasks, bit 0 the most important; at bit kWeak whether a weak
  // executor may go on, and at bit kNote whether the worker is to look, before it polls the next
  // task, who asks for its tasks and what it was sent. Raised by any thread, lowered by the home
  // worker.
  alignas(kCacheLinePair) Atomic<Word> classes{0};
  // By class: task groups that may have ready tasks. Raised before the class, lowered by the home
  // worker. Bit 0 is never set: tasks without a group lie right below their class, so that a wake
  // and a sweep of theirs cost as much as if there were no groups.
  Atomic<Word> task_groups[qos_count + 1] = {};
  // Wakes from outside the home worker's own bookkeeping; relaxed RMWs, away from the word above.
  alignas(kCacheLinePair) Atomic<std::uint64_t> remote_wakes{0};
  Atomic<std::uint64_t> remote_coalesced{0};
  Atomic<std::uint64_t> remote_stale{0};
  // Implemented by sched/idle.cpp. Called after the summary is raised, on the waker's thread.
  // `backlog`: other tasks of the page were ready already.
  void (*work_added)(Port&, unsigned class_index, bool backlog) noexcept = nullptr;
  // Of the worker, and the number of its runtime; both change when the port is recycled.
  Atomic<unsigned> index{0};
  Atomic<std::uint32_t> runtime_id{0};
  // How many polls the worker has started: the number of the one that runs.
  alignas(kCacheLinePair) Atomic<std::uint64_t> polls{0};
  // How many requests its safepoints have answered by going on. A word of its own: a request that
  // is made meanwhile is still one for the same poll.
  Atomic<std::uint64_t> answers{0};
  // The class that runs here, roughly: written by the worker when it changes, relaxed. kOverdue: by
  // the monitor, when the poll has lasted for a slice and nothing waited; then any wake asks.
  alignas(kCacheLinePair) Atomic<std::uint32_t> run_class{0};
  // When the turn of that class ends, because others wait; kForever: none do. Written by the worker
  // when it changes, relaxed: advice for whoever asks it to give way.
  Atomic<Nanos> turn_end{kForever};
  // The request word: 0, or which poll should give way (its number) and why (Ask). Written by
  // anybody: it carries no data, and a request for a poll that is over is ignored. Lowered
  // by the worker.
  Atomic<std::uint32_t> request{0};
  // When the poll was asked that `request` names, first by somebody who waits here. Relaxed: how
  // long it has overrun is a figure for bills, and two who ask at once may write the later one.
  Atomic<Nanos> asked_at{0};
  // The region word of the thread that drives the worker now: see exec/region.hpp.
  Atomic<Region*> region{nullptr};
  // Who may touch the worker's runtime: see exec/hold.hpp. A count of changes and a state.
  Atomic<std::uint32_t> hold{0};
  // What belongs to a task group here, once it has had a task: see lane.hpp. Never taken away.
  Atomic<Lane*> lanes[kTaskGroups] = {};
  // One for each class; the last one has the weak executors' own slots, of any class.
  alignas(kCacheLinePair) TaskCollection collections[qos_count + 1];

  static constexpr unsigned kWeak = qos_count;
  static constexpr unsigned kNote = qos_count + 1;
  static constexpr Word kClasses = all_bits(qos_count);
  TaskCollection& weak() noexcept { return collections[kWeak]; }

  static constexpr unsigned kAskBits = 2;
  static constexpr std::uint32_t kOverdue = qos_count + 1;
  static constexpr std::uint32_t kNoClass = qos_count;  // of foreign work

  std::uint32_t poll_number() const noexcept {
    return static_cast<std::uint32_t>(polls.load(std::memory_order_relaxed));
  }
  /// Asks the poll that runs now to give way at its next safepoint. Any thread, signal-safe. `now`
  /// may be 0 if that poll was asked already.
  void ask(Ask why, Nanos now) noexcept {
    if (why != Ask::rebalance && now != 0 && !is_pressed())
      asked_at.store(now, std::memory_order_relaxed);
    // Release, for whoever reads asked_at by way of the request. Seq_cst: before the look whether
    // its thread may be signalled, as that thread looks here after it has entered a region.
    request.store(poll_number() << kAskBits | static_cast<std::uint32_t>(why),
                  std::memory_order_seq_cst);  // M40
  }
  /// Is the poll that runs now asked already?
  bool is_asked() const noexcept {
    const std::uint32_t asked = request.load(std::memory_order_relaxed);
    return asked != 0 && ((asked >> kAskBits) ^ poll_number()) << kAskBits == 0;
  }
  /// The same, because somebody waits here, and not only because it is wanted elsewhere.
  bool is_pressed() const noexcept {
    return is_asked() && !only_to_rebalance(request.load(std::memory_order_relaxed));
  }
  /// For how long a poll has run since somebody who waits here asked it, by a request word read
  /// with acquire. Pairs: ask.
  Nanos overrun(std::uint32_t asked, Nanos now) const noexcept {
    if (asked == 0 || only_to_rebalance(asked)) return 0;
    return std::max<Nanos>(now - asked_at.load(std::memory_order_relaxed), 0);
  }
  static bool only_to_rebalance(std::uint32_t asked) noexcept {
    return (asked & all_bits(kAskBits)) == static_cast<std::uint32_t>(Ask::rebalance);
  }
};

/// Sets a summary bit unless it is set.
///
/// Every level of the summary is the same two-sided handshake. Raiser: child RMW, then look at the
/// parent. Lowerer (home worker): parent RMW, then look at the child again. All four are seq_cst,
/// so at least one side sees the other: either the raiser finds the parent lowered and raises it,
/// or the lowerer finds the child set and raises it back. A raiser looks at every level, even if
/// the lower one was set already, because whoever set that may be asleep between two levels (W8).
inline void raise_bit(Atomic<Word>& parent, Word mask) noexcept {
  if ((parent.load(std::memory_order_seq_cst) & mask) == 0) {  // M6
    parent.fetch_or(mask, std::memory_order_seq_cst);          // M6
  }
}

/// Has the worker look who asks for its tasks and what it was sent. Any thread.
inline void leave_note(Port& port) noexcept { raise_bit(port.classes, bit(Port::kNote)); }

/// Makes a page's bits reachable from its port. Any thread.
inline void raise(Group& group, Segment& segment, unsigned group_index, unsigned page) noexcept {
  raise_bit(group.ready, bit(page));
  raise_bit(segment.ready, bit(group_index));
  TaskCollection& collection = *segment.collection;
  Port& port = collection.port();
  if (collection.task_group() != 0) [[unlikely]]  // M80
    raise_bit(port.task_groups[collection.class_index()], bit(collection.task_group()));
  raise_bit(port.classes, bit(collection.class_index()));
}

/// Sets a slot's bit, makes it reachable and calls added(port, class, backlog), as
/// Port::work_added. Any thread, signal-safe; `slot` need not be live. Was the bit set already?
template <class Added>
bool notify_and(Slot& slot, Added&& added) noexcept {
  Group& group = Group::of(slot);
  const unsigned page = group.page_index(slot);
  Atomic<Word>& notified = group.pages[page].notified;
  const Word others = notified.load(std::memory_order_relaxed) & ~bit(Group::bit_index(slot));
  const bool coalesced = group.pages[page].notify(Group::bit_index(slot));
  probe(Site::wake_after_bit);
  // Null: a late waker's task is long gone and its group dormant; the bit it left resumes nobody.
  Segment* segment = group.segment.load(std::memory_order_acquire);  // M22
  if (segment == nullptr) return coalesced;
  if ((others == 0 && !coalesced) || !planted(Mutant::summary_only_if_word_zero)) {
    raise(group, *segment, group.index.load(std::memory_order_relaxed), page);
  }
  probe(Site::wake_before_unpark);
  added(segment->collection->port(), segment->collection->class_index(), others != 0);
  return coalesced;
}
inline bool notify(Slot& slot) noexcept {
  return notify_and(slot, [](Port& port, unsigned class_index, bool backlog) noexcept {
    port.work_added(port, class_index, backlog);
  });
}

/// Does `port` answer for this slot? The task may have ended, and its group be dormant.
inline bool is_home(const Slot& slot, const Port& port) noexcept {
  const Segment* segment = Group::of(slot).segment.load(std::memory_order_acquire);  // M22
  return segment != nullptr && &segment->collection->port() == &port;
}

/// Is the task of this slot of one of `classes`? It may have ended, and its group be dormant.
inline bool is_of_class(const Slot& slot, Word classes) noexcept {
  const Segment* segment = Group::of(slot).segment.load(std::memory_order_acquire);  // M22
  return segment != nullptr && (classes & bit(segment->collection->class_index())) != 0;
}

/// The class of a slot's task if others than its home may run it; else, and if nobody can tell any
/// more, qos_count. Any thread; the task may have ended, and its group be dormant.
inline unsigned class_if_movable(const Slot& slot) noexcept {
  const Group& group = Group::of(slot);
  const Segment* segment = group.segment.load(std::memory_order_acquire);  // M22
  if (segment == nullptr) return qos_count;
  const Word pinned =
      // M20
      segment->of_role[static_cast<unsigned>(Role::pinned)].load(std::memory_order_acquire);
  if ((pinned & bit(group.index.load(std::memory_order_relaxed))) != 0) return qos_count;
  return segment->collection->class_index();
}

/// A wake of a live task from outside the home worker's own bookkeeping.
inline void wake_remote(Slot& slot) noexcept {
  if (planted(Mutant::drop_wake)) return;
  Group& group = Group::of(slot);
  // Read before the wake: afterwards the task may end and its group fall asleep.
  Segment* segment = group.segment.load(std::memory_order_acquire);  // M22
  const bool coalesced = notify(slot);
  if (segment == nullptr) return;
  Port& port = segment->collection->port();
  port.remote_wakes.fetch_add(1, std::memory_order_relaxed);
  if (coalesced) port.remote_coalesced.fetch_add(1, std::memory_order_relaxed);
}

/// Makes the page of a slot reachable. Home worker.
void raise_home(Slot& slot) noexcept;

inline WakerPage& page_of(Slot& slot) noexcept {
  Group& group = Group::of(slot);
  return group.pages[group.page_index(slot)];
}

/// The home worker's wake path: no RMW unless the page was quiet. Never in a signal handler.
/// Returns true if the bit was not set before. `page`: the slot's; `served`: a sweep serves it now,
/// so its summary is raised (Sweep, I3).
///
/// Unlike notify() it may trust a word that is not empty: only this thread adds bits to `next`, and
/// only this thread lowers the summary, after it has moved those bits away. So bits in `next` mean
/// that the summary was raised for them and still is.
inline bool notify_home(WakerPage& page, Slot& slot, bool served) noexcept {
  const unsigned index = Group::bit_index(slot);
  const Word before = page.notify_home(index);
  if (before == 0 && !served) [[unlikely]]
    raise_home(slot);
  return (before & bit(index)) == 0;
}
inline bool notify_home(Slot& slot) noexcept { return notify_home(page_of(slot), slot, false); }

/// Class of a live task, by where it is. Its poller.
inline unsigned class_of(const Slot& slot) noexcept {
  return Group::of(slot).home().collection->class_index();
}

/// Its task group. Its poller.
inline unsigned task_group_of(const Slot& slot) noexcept {
  return Group::of(slot).home().collection->task_group();
}

/// A waker's wake: any thread, any time, also when the task and its runtime are long gone.
inline void wake(Slot& slot, std::uint64_t generation) noexcept {
  if (slot.state.holds(generation)) {
    wake_remote(slot);
  } else if (Segment* segment = Group::of(slot).segment.load(std::memory_order_acquire)) {  // M22
    segment->collection->port().remote_stale.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace paceline::core
