// SPDX-License-Identifier: BSL-1.0
// The ticker: a task that plays the user interface and measures how long it is kept waiting.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include <paceline/paceline.hpp>

namespace tree_index {

inline constexpr std::chrono::milliseconds kTick{5};

/// How late the ticks came.
struct TickDelays {
  std::size_t ticks = 0;
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds max{0};
};

/// Median, 99th percentile (nearest rank) and maximum.
TickDelays summarise(std::vector<std::chrono::nanoseconds> delays);

/// Wakes up every 5 ms until it is asked to stop. Each delay counts from the time the tick was
/// meant for. Who wakes up very late has missed several ticks, each late by its own measure.
paceline::task<TickDelays> tick();

}  // namespace tree_index
