// SPDX-License-Identifier: BSL-1.0
// What tree_index prints in the end: a summary for people or the bare result as JSON.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>

#include <paceline/paceline.hpp>

#include "index.hpp"
#include "ticker.hpp"

namespace tree_index {

struct Run {
  Index index;
  bool interrupted = false;
  std::uint64_t files_found = 0;
  std::chrono::nanoseconds took{0};

  // Absent in a serial run:
  std::optional<paceline::runtime_stats> stats;
  TickDelays ticks;
  std::uint64_t hog_steps = 0;
};

void print_summary(std::ostream& out, const Run& run, std::size_t top);

/// Nothing here depends on time or on the schedule, so two runs over the same files print the same.
void print_json(std::ostream& out, const Run& run, std::size_t top);

}  // namespace tree_index
