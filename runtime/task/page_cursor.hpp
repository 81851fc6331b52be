// SPDX-License-Identifier: BSL-1.0
// PageCursor: rotates over the pages of a collection that are flagged in the summary.
// Flow room: run. One per sweep and one per thief and victim; used by one thread.
// It must never visit a flagged page twice before it has visited every other one once.
// Proof: tests/unit/task/sweep_test.cpp.
#pragma once

#include <tuple>

#include "base/bits.hpp"
#include "task/collection.hpp"

namespace paceline::core {

struct PageCursor {
  unsigned segment = 0;
  unsigned group = 0;
  unsigned page = kGroupPages - 1;  // so that the first search starts at page 0

  bool is_before(const PageCursor& other) const noexcept {
    return std::tie(segment, group, page) < std::tie(other.segment, other.group, other.page);
  }
  /// Moves to the next flagged page, around once; null if there is none. `on_quiet(segment, group,
  /// index)` is called for a flagged group without flagged pages.
  template <class OnQuiet>
  Group* next(TaskCollection& collection, OnQuiet&& on_quiet) noexcept {
    const unsigned segments = collection.segment_count();
    if (segments == 0) return nullptr;
    if (segment >= segments) *this = {};
    unsigned s = segment;
    unsigned g = group;
    unsigned p = page + 1;
    // One more than the number of segments: the first one is visited again, from its start.
    for (unsigned round = 0; round <= segments; ++round) {
      Segment& here = *collection.segment_at(s);
      Word groups = from(here.ready.load(std::memory_order_acquire), g);  // M6
      for (; groups != 0; groups = without_lowest(groups)) {
        const unsigned at = lowest(groups);
        Group& candidate = *here.groups[at].load(std::memory_order_acquire);   // M20
        const Word flagged = candidate.ready.load(std::memory_order_seq_cst);  // M6
        if (const Word pages = from(flagged, at == g ? p : 0)) {
          segment = s;
          group = at;
          page = lowest(pages);
          return &candidate;
        }
        if (flagged == 0) on_quiet(here, candidate, at);
      }
      s = s + 1 == segments ? 0 : s + 1;
      g = 0;
      p = 0;
    }
    return nullptr;
  }
};

}  // namespace paceline::core
