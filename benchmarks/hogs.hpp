// SPDX-License-Identifier: BSL-1.0
// What a hog computes in the cases about preemption, and how late a tick came beside hogs.
// Standard C++ alone: the peers use it, too.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness.hpp"

namespace pacebench {

/// About 10 us of work that no compiler can shorten, as each number needs the one before. The peers
/// in other languages do the same.
inline std::uint64_t hog_step(std::uint64_t x) {
  for (int i = 0; i < 5'000; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}
/// What to begin with; never comes back.
inline constexpr std::uint64_t kHogStart = 1;

inline constexpr std::chrono::milliseconds kTick{5};
inline constexpr std::uint64_t kTicks = 400;

/// How late each tick came, counted from when it was due. One wake-up serves all ticks that are due
/// by then, each late by its own measure: a late one neither hides the next nor holds it up.
class TickDelays {
 public:
  using Clock = std::chrono::steady_clock;

  std::size_t count() const noexcept { return late_.size(); }
  void add(Clock::time_point due, Clock::time_point now = Clock::now()) {
    late_.push_back(std::chrono::duration<double, std::micro>(now - due).count());
  }
  /// Serves the ticks that are due, `ticks` in all at most. When the next one is due.
  Clock::time_point serve(Clock::time_point due, std::uint64_t ticks) {
    const auto now = Clock::now();
    for (; due <= now && count() < ticks; due += kTick) add(due, now);
    return due;
  }
  /// The 99th percentile, in microseconds, and the median as "p50".
  Sample sample() {
    std::sort(late_.begin(), late_.end());
    const std::uint64_t ticks = late_.size();
    return {
        late_[(ticks * 99 + 99) / 100 - 1], mix(kHashStart, ticks), {{"p50", late_[ticks / 2]}}};
  }

 private:
  std::vector<double> late_;
};

}  // namespace pacebench
