// SPDX-License-Identifier: BSL-1.0
// Merging two indexes.
#include "index.hpp"

namespace tree_index {

namespace {

/// Words merged per step: about half a millisecond.
constexpr std::size_t kWordsPerStep = 4096;

}  // namespace

Merge::Merge(Index& into, Index& from) : into_(into.table), from_(from.table) {
  into.files += from.files;
  into.binaries += from.binaries;
  into.bytes += from.bytes;
  into.words += from.words;
  into.directories += from.directories;
  into.links += from.links;
  into.specials += from.specials;
  into.unreadable += from.unreadable;
  into.largest.merge(from.largest);
  into.problems.merge(from.problems);
  // The smaller table goes into the larger one, whichever was there first.
  if (into.table.size() < from.table.size()) std::swap(into.table, from.table);
}

bool Merge::step() { return into_.merge(from_, at_, kWordsPerStep); }

}  // namespace tree_index
