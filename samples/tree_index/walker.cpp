// SPDX-License-Identifier: BSL-1.0
// A directory's task starts a task for each file and subdirectory, joins them and merges what they
// return, so that one index remains. Start here to see what a Paceline program looks like.
#include "walker.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include <sys/resource.h>

#include "file_scan.hpp"
#include "interrupt.hpp"
#include "listing.hpp"

namespace tree_index {

using paceline::join_handle;
using paceline::task;

namespace {

/// Enough to keep the workers busy while directories join; few enough for the memory.
constexpr std::size_t kChildrenPerWorker = 32;

/// A file in the middle of being read holds a descriptor, so the process's limit counts as well.
std::size_t limit_for(std::size_t workers) {
  rlimit files;
  const bool known = ::getrlimit(RLIMIT_NOFILE, &files) == 0;
  const std::size_t descriptors = known ? static_cast<std::size_t>(files.rlim_cur) : 256;
  return std::max<std::size_t>(1, std::min(kChildrenPerWorker * workers, descriptors / 4));
}

task<Index> index_file(Walk& walk, std::string path) {
  FileScan scan(std::move(path));
  while (scan.step()) {
    if (walk.over()) co_return Index{};
    co_await paceline::yield();  // whoever is more urgent gets its turn between two chunks
  }
  Index index = scan.take();
  walk.progress.read(1, index.bytes);
  co_return index;
}

task<void> merge(Index& into, Index from) {
  Merge words(into, from);
  while (words.step()) co_await paceline::yield();
}

task<Index> index_directory(Walk& walk, std::string path);

/// Joins its children oldest first, so that their results never pile up.
class Children {
 public:
  explicit Children(Walk& walk) noexcept : walk_(walk) {}

  /// May one more be started? The first always may, so every directory gets on; with that the
  /// number in flight stays below child_limit times the depth of the tree.
  bool has_room() const noexcept {
    return in_flight_.empty() || walk_.children.load(std::memory_order_relaxed) < walk_.child_limit;
  }
  bool empty() const noexcept { return in_flight_.empty(); }

  void start(task<Index> child) {
    in_flight_.push_back(paceline::spawn(std::move(child)));
    walk_.children.fetch_add(1, std::memory_order_relaxed);
  }

  task<void> join_oldest(Index& into) {
    join_handle<Index> oldest = std::move(in_flight_.front());
    in_flight_.pop_front();
    Index result = co_await std::move(oldest);
    walk_.children.fetch_sub(1, std::memory_order_relaxed);
    co_await merge(into, std::move(result));
  }

 private:
  Walk& walk_;
  std::deque<join_handle<Index>> in_flight_;
};

task<Index> index_listing(Walk& walk, Listing listing) {
  walk.progress.found(listing.files.size());
  Index index = std::move(listing.counts);
  Children children(walk);
  for (std::string& path : listing.files) {
    while (!children.has_room()) co_await children.join_oldest(index);
    if (walk.over()) break;
    children.start(index_file(walk, std::move(path)));
  }
  for (std::string& path : listing.directories) {
    while (!children.has_room()) co_await children.join_oldest(index);
    if (walk.over()) break;
    children.start(index_directory(walk, std::move(path)));
  }
  while (!children.empty()) co_await children.join_oldest(index);
  co_return index;
}

task<Index> index_directory(Walk& walk, std::string path) {
  co_return co_await index_listing(walk, list_directory(path));
}

}  // namespace

Walk::Walk(Progress& shown, std::size_t workers)
    : progress(shown), child_limit(limit_for(workers)) {}

bool Walk::over() const noexcept { return enough.load(std::memory_order_relaxed) || interrupted(); }

task<Index> index_trees(Walk& walk, std::vector<std::string> paths) {
  co_return co_await index_listing(walk, list_arguments(paths));
}

// --- the same without tasks ---

namespace {

void add_file(Progress& progress, std::string path, Index& index) {
  FileScan scan(std::move(path));
  while (scan.step()) {
    if (interrupted()) return;
    progress.show_when_due();
  }
  Index file = scan.take();
  progress.read(1, file.bytes);
  progress.show_when_due();
  for (Merge words(index, file); words.step();) continue;
}

void add_listing(Progress& progress, Listing listing, Index& index) {
  progress.found(listing.files.size());
  for (Merge words(index, listing.counts); words.step();) continue;
  for (std::string& path : listing.files) {
    if (interrupted()) return;
    add_file(progress, std::move(path), index);
  }
  for (std::string& path : listing.directories) {
    if (interrupted()) return;
    add_listing(progress, list_directory(path), index);
  }
}

}  // namespace

Index index_trees_serially(Progress& progress, const std::vector<std::string>& paths) {
  Index index;
  add_listing(progress, list_arguments(paths), index);
  return index;
}

}  // namespace tree_index
