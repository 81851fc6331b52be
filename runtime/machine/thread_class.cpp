// SPDX-License-Identifier: BSL-1.0
#include "machine/thread_class.hpp"

#include <system_error>

#include <spdlog/fmt/fmt.h>

#include "machine/machine.hpp"
#include "trace/log.hpp"

namespace paceline::core::machine {

namespace {

// policies.md 6.5: workers of the fastest kind ask for a clock as at about 0.6 of full load, so
// that a task that arrives finds it high.
constexpr std::uint32_t kFastUtilMin = 614;  // 0.6 x 1024

}  // namespace

std::optional<ThreadClass> class_of_core(const topology& machine, std::size_t core) {
  const auto kinds = machine.kinds();
  const topology::kind& kind = kinds[machine.clusters()[machine.cores()[core].cluster].kind];
  const unsigned slowest = kinds.back().rank;
  if (slowest == 0) return std::nullopt;
  if (kind.rank == 0)
    return ThreadClass{.util_min = kFastUtilMin, .apple = AppleClass::user_initiated};
  if (kind.rank != slowest) return ThreadClass{};
  return ThreadClass{.util_max = kind.capacity, .batch = true, .apple = AppleClass::utility};
}

AppleClass apple_class_of(qos wanted) noexcept {
  switch (wanted) {
    case qos::urgent:
    case qos::user_interactive: return AppleClass::user_interactive;
    case qos::user_initiated: return AppleClass::user_initiated;
    case qos::standard: return AppleClass::standard;
    case qos::utility: return AppleClass::utility;
    case qos::background: return AppleClass::background;
  }
  return AppleClass::unspecified;
}

ThreadClasses::ThreadClasses() noexcept : ThreadClasses(&set_thread_class) {}

bool ThreadClasses::ask(const ThreadClass& wanted) noexcept {
  if (refusals() >= kTries) return false;
  int error = 0;
  std::uint32_t now = 0;
  {
    LockGuard lock(lock_);
    if (refusals() >= kTries) return false;
    error = set_(wanted);
    if (error == 0) return true;
    now = refusals_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  if (now != kTries) return false;
  try {
    log::write(log::Level::warn,
               fmt::format("the system refuses classes for worker threads ({}); they go on without",
                           std::generic_category().message(error)));
  } catch (...) {
  }
  return false;
}

}  // namespace paceline::core::machine
