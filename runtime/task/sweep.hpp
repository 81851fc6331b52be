// SPDX-License-Identifier: BSL-1.0
// The order inside a class and task group: every ready bit once before any twice.
// Flow room: run. Home worker only.
// It must never skip a flagged page for good, nor lower a summary bit without looking again.
// Proof: tests/model/summary_model.cpp, tests/unit/task/sweep_test.cpp (statement 14).
#pragma once

#include "base/bits.hpp"
#include "base/probe.hpp"
#include "task/collection.hpp"
#include "task/page_cursor.hpp"

namespace paceline::core {

/// A cursor over the flagged pages of one collection, and the page it serves.
///
/// I1: between two visits of a page every other page that stayed flagged is visited once.
/// I2: a summary bit is lowered only here, with the second half of raise_bit's handshake.
class Sweep {
 public:
  explicit Sweep(TaskCollection& collection) noexcept : collection_(&collection) {}

  /// The next ready slot, or null if the collection is drained (its bit in the port is then
  /// lowered).
  /// Adds to `arrived` how many tasks others have made ready.
  [[gnu::always_inline]] Slot* next(unsigned& arrived) noexcept {
    do {
      if (Slot* slot = next_of_page()) return slot;
    } while (advance(arrived));
    return nullptr;
  }

  /// The next one of the page that is being served; null if it has no more in this pass.
  [[gnu::always_inline]] Slot* next_of_page() noexcept {
    unsigned index = 0;
    if (page_ == nullptr || !page_->take(index)) return nullptr;
    // While this task runs, fetch what the next polls will miss: a pass over many sleeping tasks,
    // or over some that another core has made, is a walk over cold memory. Where they lie close
    // together, that is. Only what is in this pass: in between are tasks that thieves poll, whose
    // lines we would take from them at each poll.
    const Word onwards = page_->pass.load(std::memory_order_relaxed) >> index;
    if ((onwards & bit(kFramesAhead)) != 0) {
      const Slot& soon = slots_[index + kFramesAhead];
      const void* frame = soon.frame.load(std::memory_order_relaxed);  // null: a stand-in's
      prefetch(frame);
      prefetch(frame, kCacheLine);
    }
    if ((onwards & bit(kSlotsAhead)) != 0) prefetch(&slots_[index + kSlotsAhead]);
    return &slots_[index];
  }

  /// Starts the next pass of that page, if no other one is flagged: a short cut for few tasks.
  /// False: ask next.
  [[gnu::always_inline]] bool begin_again(unsigned& arrived) noexcept {
    return page_ != nullptr && only_page_flagged() && page_->absorb(arrived);
  }

  /// Nothing is ready but, perhaps, what others have just made so in that page.
  bool is_quiet() const noexcept {
    return page_ != nullptr && only_page_flagged() &&
           (page_->pass.load(std::memory_order_relaxed) |
            page_->next.load(std::memory_order_relaxed)) == 0;
  }

  /// The page that is being served, from which the last task came. Null: none.
  ///
  /// I3: its summary bits are raised at all levels: the sweep came to it by them, and nobody else
  /// lowers any.
  WakerPage* page() const noexcept { return page_; }

 private:
  static constexpr unsigned kFramesAhead = 3;
  static constexpr unsigned kSlotsAhead = 6;

  /// Moves to the next flagged page that has ready bits and starts its pass.
  [[gnu::noinline]] bool advance(unsigned& arrived) noexcept {
    if (begin_again(arrived)) return true;
    do {
      while ((group_ = cursor_.next(*collection_, &lower_group)) != nullptr) {
        page_ = &group_->pages[cursor_.page];
        slots_ = group_->page_slots(cursor_.page);
        if (page_->absorb(arrived)) return true;
        lower_page();
      }
      page_ = nullptr;
    } while (!lower_class());
    return false;
  }

  /// The rotation would lead from the present page back to it. A page that is flagged meanwhile is
  /// found the next time, as its bit stays.
  bool only_page_flagged() const noexcept {
    return collection_->segment_count() == 1 &&
           collection_->segment_at(0)->ready.load(std::memory_order_relaxed) ==
               bit(cursor_.group) &&
           group_->ready.load(std::memory_order_relaxed) == bit(cursor_.page);
  }

  // The lowerer's half of the handshake, one level each: see raise_bit in collection.hpp.
  void lower_page() noexcept {
    group_->ready.fetch_and(~bit(cursor_.page), std::memory_order_seq_cst);  // M6
    if (planted(Mutant::no_summary_recheck)) return;
    if (page_->ready(std::memory_order_seq_cst) != 0)  // M6
      raise(*group_, *collection_->segment_at(cursor_.segment), cursor_.group, cursor_.page);
  }
  static void lower_group(Segment& segment, Group& group, unsigned index) noexcept {
    segment.ready.fetch_and(~bit(index), std::memory_order_seq_cst);  // M6
    if (planted(Mutant::no_summary_recheck)) return;
    // M6
    if (group.ready.load(std::memory_order_seq_cst) != 0) raise_bit(segment.ready, bit(index));
  }
  /// What stands above the collection: its class, or its task group's bit in that. True if the
  /// collection is drained.
  bool lower_class() noexcept {
    Port& port = collection_->port();
    const unsigned own_class = collection_->class_index();
    Atomic<Word>& groups = port.task_groups[own_class];
    const bool grouped = collection_->task_group() != 0;
    Atomic<Word>& parent = grouped ? groups : port.classes;
    const Word mask = bit(grouped ? collection_->task_group() : own_class);
    parent.fetch_and(~mask, std::memory_order_seq_cst);  // M6, M80
    if (planted(Mutant::no_summary_recheck)) return true;
    const unsigned segments = collection_->segment_count();
    for (unsigned s = 0; s < segments; ++s) {
      if (collection_->segment_at(s)->ready.load(std::memory_order_seq_cst) == 0) continue;  // M6
      raise_bit(parent, mask);
      return false;
    }
    // A class is above its groups, too: whoever raised a group may have found the class raised.
    if (!grouped && groups.load(std::memory_order_seq_cst) != 0 &&  // M80
        !planted(Mutant::no_group_recheck)) {
      raise_bit(port.classes, mask);
    }
    return true;
  }

  TaskCollection* collection_;
  Group* group_ = nullptr;
  WakerPage* page_ = nullptr;
  Slot* slots_ = nullptr;  // of that page
  PageCursor cursor_;
};

}  // namespace paceline::core
