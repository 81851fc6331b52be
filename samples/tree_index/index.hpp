// SPDX-License-Identifier: BSL-1.0
// Index: what is known about a file, a directory or everything. Every task of the walk returns one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "word_table.hpp"

namespace tree_index {

/// The first `kLimit` of all values ever added, in order. Adding and merging in any order gives the
/// same result, which is what makes the index independent of the schedule.
template <class T, std::size_t kLimit>
class FirstOf {
 public:
  void add(T value) {
    if (values_.size() == kLimit && !(value < values_.back())) return;
    values_.insert(std::upper_bound(values_.begin(), values_.end(), value), std::move(value));
    if (values_.size() > kLimit) values_.pop_back();
  }
  void merge(FirstOf& other) {
    for (T& value : other.values_) add(std::move(value));
  }
  const std::vector<T>& values() const noexcept { return values_; }

 private:
  std::vector<T> values_;
};

struct FileSize {
  std::uint64_t bytes;
  std::string path;
  /// Largest first, then by name.
  bool operator<(const FileSize& other) const noexcept {
    return bytes != other.bytes ? bytes > other.bytes : path < other.path;
  }
};

/// Something that could not be read.
struct Problem {
  std::string path;
  std::string reason;
  bool operator<(const Problem& other) const noexcept {
    return path != other.path ? path < other.path : reason < other.reason;
  }
};

inline constexpr std::size_t kLargestShown = 10;
inline constexpr std::size_t kProblemsNamed = 10;

struct Index {
  std::uint64_t files = 0;     // regular files read to their end
  std::uint64_t binaries = 0;  // of these, those counted by bytes only
  std::uint64_t bytes = 0;
  std::uint64_t words = 0;  // repetitions included
  std::uint64_t directories = 0;
  std::uint64_t links = 0;       // symbolic links, not followed
  std::uint64_t specials = 0;    // pipes, sockets, devices: skipped
  std::uint64_t unreadable = 0;  // files and directories
  FirstOf<FileSize, kLargestShown> largest;
  FirstOf<Problem, kProblemsNamed> problems;
  WordTable table;

  void add_problem(std::string path, std::string reason) {
    ++unreadable;
    problems.add({std::move(path), std::move(reason)});
  }
};

/// Adds `from` to `into`, in turns: a large table takes milliseconds, and others want the core.
class Merge {
 public:
  /// Adds everything but the words.
  Merge(Index& into, Index& from);

  /// Adds some of the words. True: call again.
  bool step();

 private:
  WordTable& into_;
  const WordTable& from_;
  WordTable::Position at_;
};

}  // namespace tree_index
