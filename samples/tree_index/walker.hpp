// SPDX-License-Identifier: BSL-1.0
// The walk over directory trees, twice: with tasks, and with plain loops.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include <paceline/paceline.hpp>

#include "index.hpp"
#include "progress.hpp"

namespace tree_index {

/// What the tasks of one walk share. Outlives them.
struct Walk {
  explicit Walk(Progress& shown, std::size_t workers);

  Progress& progress;
  const std::size_t child_limit;         // children in flight that are meant to be enough
  std::atomic<std::size_t> children{0};  // started and not yet joined
  std::atomic<bool> enough{false};       // the walk is to end early

  bool over() const noexcept;
};

/// Indexes the trees under `paths` with one task per file and one per directory. After an
/// interrupt, or when it is told that this is enough, it returns soon, with the files that were
/// read to their end.
paceline::task<Index> index_trees(Walk& walk, std::vector<std::string> paths);

/// Does the same on the calling thread alone, without the runtime.
Index index_trees_serially(Progress& progress, const std::vector<std::string>& paths);

}  // namespace tree_index
