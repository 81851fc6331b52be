// SPDX-License-Identifier: BSL-1.0
// The ticker and its percentiles.
#include "ticker.hpp"

#include <algorithm>
#include <utility>

namespace tree_index {

TickDelays summarise(std::vector<std::chrono::nanoseconds> delays) {
  if (delays.empty()) return {};
  std::sort(delays.begin(), delays.end());
  const auto percentile = [&delays](std::size_t percent) {
    return delays[(delays.size() * percent + 99) / 100 - 1];
  };
  return {delays.size(), percentile(50), percentile(99), delays.back()};
}

paceline::task<TickDelays> tick() {
  std::vector<std::chrono::nanoseconds> delays;
  auto intended = std::chrono::steady_clock::now() + kTick;
  try {
    while (true) {
      co_await paceline::sleep_until(intended);
      const auto now = std::chrono::steady_clock::now();
      for (; intended <= now; intended += kTick) delays.push_back(now - intended);
    }
  } catch (const paceline::operation_cancelled&) {
    // asked to stop: the walk is over
  }
  co_return summarise(std::move(delays));
}

}  // namespace tree_index
