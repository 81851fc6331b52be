// SPDX-License-Identifier: BSL-1.0
// Stealing: claim half of a victim's ready word, leave the slots where they are (decision D3).
// Flow room: run, on a worker with nothing of its own to do.
// It must never take a pinned task, nor the only ready task of a worker that is getting on.
// Proof: tests/model/steal_model.cpp, tests/unit/sched/steal_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <paceline/qos.hpp>

#include "base/bits.hpp"
#include "base/probe.hpp"
#include "base/sizes.hpp"
#include "task/collection.hpp"
#include "task/lane.hpp"
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
/// Of a class's task groups one at a time has a cursor; the others wait until it has been around.
struct RaidCursor {
  PageCursor pages;
  unsigned task_group = 0;
};
using RaidCursors = std::array<RaidCursor, qos_count + 1>;

// Pages looked at in one raid for each class and task group, so that none of them can hide another:
// bounds the time a raid takes, not what it finds in the end.
inline constexpr unsigned kRaidPages = 128;

/// How a look at one collection ended.
enum class Raided : std::uint8_t { around, out_of_budget, stopped };

/// Calls visit(group, page, ready word) for flagged pages of one collection, around once at most,
/// until it returns true.
template <class Visit>
Raided raid_collection(TaskCollection& collection, PageCursor& cursor, Visit&& visit) noexcept {
  const Group* first_group = nullptr;
  unsigned first_page = 0;
  for (unsigned budget = kRaidPages; budget > 0; --budget) {
    Group* group = cursor.next(collection, [](auto&&...) {});
    if (group == nullptr) return Raided::around;
    if (first_group == nullptr) {
      first_group = group;
      first_page = cursor.page;
    } else if (group == first_group && cursor.page == first_page) {
      return Raided::around;
    }
    // Asked of the segment, where it never changes: the group may be dormant, or just be roused.
    const Segment& segment = *collection.segment_at(cursor.segment);
    const Word pinned =
        // M20
        segment.of_role[static_cast<unsigned>(Role::pinned)].load(std::memory_order_acquire);
    if ((pinned & bit(cursor.group)) != 0 && !planted(Mutant::steal_pinned)) continue;
    const Word ready = group->pages[cursor.page].ready(std::memory_order_seq_cst);  // M5
    if (ready != 0 && visit(*group, cursor.page, ready)) return Raided::stopped;
  }
  return Raided::out_of_budget;
}

/// The same for the tasks of a port that are of the classes `wanted` and may be stolen, most
/// important class first and its task groups one after the other. True if `visit` returned true.
template <class Visit>
bool each_stealable_page(Port& victim, RaidCursors& cursors, Word wanted, Visit&& visit) noexcept {
  Word classes = victim.classes.load(std::memory_order_seq_cst);  // M6
  // The slots of weak executors are nobody else's.
  if (!planted(Mutant::steal_pinned)) classes &= wanted & Port::kClasses;
  for (; classes != 0; classes = without_lowest(classes)) {
    const unsigned at = lowest(classes);
    RaidCursor& cursor = cursors[at];
    // The group where the last raid stood comes first, then those behind it, then the rest.
    Word left = victim.task_groups[at].load(std::memory_order_seq_cst) | bit(0);  // M80
    while (left != 0) {
      const Word onwards = from(left, cursor.task_group);
      const unsigned group = lowest(onwards != 0 ? onwards : left);
      left &= ~bit(group);
      if (group != cursor.task_group) cursor = {PageCursor{}, group};
      const PageCursor began = cursor.pages;
      const Raided end = raid_collection(collection_of(victim, at, group), cursor.pages, visit);
      if (end == Raided::stopped) return true;
      if (end == Raided::around) continue;
      // The next raid goes on here, or, if this one came past the last page, with the next group:
      // pages that nobody has swept would be gone around for ever.
      if (!began.is_before(cursor.pages)) cursor = {PageCursor{}, (group + 1) % kTaskGroups};
      break;
    }
  }
  return false;
}

/// Takes half of the ready tasks of the first page that has any, rounded down, or up if the victim
/// is `stuck` (it has not started a poll since the thief last looked). A lone task of a victim that
/// is getting on is left to it: moving it costs more than waiting for it. Never more than
/// `at_most`. Any worker of the runtime.
inline Haul steal_from(Port& victim, RaidCursors& cursors, bool stuck, Word wanted = Port::kClasses,
                       unsigned at_most = kPageSlots) noexcept {
  Haul lone;
  Haul haul;
  each_stealable_page(victim, cursors, wanted, [&](Group& group, unsigned page, Word ready) {
    const unsigned have = count(ready);
    const unsigned take = std::min(stuck ? (have + 1) / 2 : have / 2, at_most);
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
