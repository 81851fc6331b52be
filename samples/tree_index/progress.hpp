// SPDX-License-Identifier: BSL-1.0
// Progress: counters that the walk feeds, and the line or bar on stderr that shows them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <paceline/paceline.hpp>

namespace tree_index {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress();

  // --- for the walk; any thread ---

  void found(std::uint64_t files) noexcept { found_.fetch_add(files, std::memory_order_relaxed); }
  void read(std::uint64_t files, std::uint64_t bytes) noexcept {
    read_.fetch_add(files, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

  // --- for whoever shows it; one thread at a time ---

  /// Ten updates a second on a terminal, else a line every second.
  Clock::duration interval() const noexcept;
  void show();
  /// Takes the bar away.
  void clear();
  /// show() if the interval is over: for a loop that has no tasks.
  void show_when_due();

  std::uint64_t files_found() const noexcept { return found_.load(std::memory_order_relaxed); }

 private:
  std::string bar(std::uint64_t done, std::uint64_t all) const;

  std::atomic<std::uint64_t> found_{0};
  std::atomic<std::uint64_t> read_{0};
  std::atomic<std::uint64_t> bytes_{0};
  const bool terminal_;
  const Clock::time_point start_;
  Clock::time_point due_;
};

/// Shows the progress until it is asked to stop.
paceline::task<void> show_progress(Progress& progress);

}  // namespace tree_index
