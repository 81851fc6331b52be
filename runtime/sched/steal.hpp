// SPDX-License-Identifier: BSL-1.0
// Stealing: claim half of a victim's ready word, leave the slots where they are (decision D3).
// Flow room: run, on a worker with nothing of its own to do.
// It must never take a pinned task, nor the only ready task of a worker that is getting on.
// Proof: tests/model/steal_model.cpp, tests/unit/sched/steal_test.cpp.
#pragma once

#include <array>

#include <paceline/qos.hpp>

#include "base/bits.hpp"
#include "base/probe.hpp"
#include "base/sizes.hpp"
#include "task/collection.hpp"
#include "task/page_cursor.hpp"

namespace paceline::core {

/// Bits claimed from one page.
struct Haul {
  Group* group = nullptr;
  unsigned page = 0;
  Word bits = 0;
  bool more = false;  // the victim has further ready tasks
};

/// Where a thief goes on in one victim: a word it has emptied stays flagged until the victim's own
/// sweep comes by, so starting over each time would walk an ever longer row of empty pages.
using RaidCursors = std::array<PageCursor, qos_count + 1>;

// Pages looked at in one raid for each class, so that one class cannot hide another: bounds the
// time a raid takes, not what it finds in the end.
inline constexpr unsigned kRaidPages = 128;

/// Calls visit(group, page, ready word) for flagged pages of tasks of the classes `wanted` that may
/// be stolen, most important class first, until it returns true. True if it did.
template <class Visit>
bool each_stealable_page(Port& victim, RaidCursors& cursors, Word wanted, Visit&& visit) noexcept {
  Word classes = victim.classes.load(std::memory_order_seq_cst);  // M6
  // The slots of weak executors are nobody else's.
  if (!planted(Mutant::steal_pinned)) classes &= wanted & Port::kClasses;
  for (; classes != 0; classes = without_lowest(classes)) {
    const unsigned at = lowest(classes);
    const Group* first_group = nullptr;
    unsigned first_page = 0;
    for (unsigned budget = kRaidPages; budget > 0; --budget) {
      Group* group = cursors[at].next(victim.collections[at], [](auto&&...) {});
      if (group == nullptr) break;
      const PageCursor& now = cursors[at];
      if (first_group == nullptr) {
        first_group = group;
        first_page = now.page;
      } else if (group == first_group && now.page == first_page) {
        break;  // around
      }
      // Asked of the segment, where it never changes: the group may be dormant, or just be roused.
      const Segment& segment = *victim.collections[at].segment_at(now.segment);
      const Word pinned =
          // M20
          segment.of_role[static_cast<unsigned>(Role::pinned)].load(std::memory_order_acquire);
      if ((pinned & bit(now.group)) != 0 && !planted(Mutant::steal_pinned)) continue;
      const Word ready = group->pages[now.page].ready(std::memory_order_seq_cst);  // M5
      if (ready != 0 && visit(*group, now.page, ready)) return true;
    }
  }
  return false;
}

/// Takes half of the ready tasks of the first page that has any, rounded down, or up if the victim
/// is `stuck` (it has not started a poll since the thief last looked). A lone task of a victim that
/// is getting on is left to it: moving it costs more than waiting for it. Any worker of the
/// runtime.
inline Haul steal_from(Port& victim, RaidCursors& cursors, bool stuck,
                       Word wanted = Port::kClasses) noexcept {
  Haul lone;
  Haul haul;
  each_stealable_page(victim, cursors, wanted, [&](Group& group, unsigned page, Word ready) {
    const unsigned have = count(ready);
    const unsigned take = stuck ? (have + 1) / 2 : have / 2;
    if (take == 0) {
      // A second lone task in another page makes two: then the first may go.
      if (lone.group == nullptr) {
        lone = {&group, page, ready, true};
        return false;
      }
      lone.bits = lone.group->pages[lone.page].steal(lone.bits);
      haul = lone;
      lone = {&group, page, ready, true};
      return haul.bits != 0;
    }
    haul = {&group, page, group.pages[page].steal(highest(ready, take)), have > take};
    return haul.bits != 0;
  });
  return haul;
}

/// Would steal_from find something in a victim that is getting on, or `stuck`? Takes nothing.
inline bool worth_stealing(Port& victim, RaidCursors cursors, bool stuck = false,
                           Word wanted = Port::kClasses) noexcept {
  unsigned seen = 0;
  return each_stealable_page(victim, cursors, wanted, [&](Group&, unsigned, Word ready) {
    seen += count(ready);
    return seen > (stuck ? 0 : 1);
  });
}

}  // namespace paceline::core
