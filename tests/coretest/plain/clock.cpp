// SPDX-License-Identifier: BSL-1.0
// The time of the system.
#include "clock.hpp"

#include <chrono>
#include <thread>

namespace coretest {

std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void busy_for(std::int64_t ns) noexcept {
  const std::int64_t until = now_ns() + ns;
  while (now_ns() < until) {
  }
}

void give_way() noexcept { std::this_thread::yield(); }
bool time_is_virtual() noexcept { return false; }

}  // namespace coretest
