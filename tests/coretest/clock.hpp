// SPDX-License-Identifier: BSL-1.0
// Time and place for the scenarios: steady nanoseconds, short busy waits, and whether this build
// is a slow (sanitizer) one.
#pragma once

#include <cstdint>

namespace coretest {

// plain/clock.cpp: the system's; virtual/clock.cpp: the simulated machine's.
std::int64_t now_ns() noexcept;
/// Burns this thread's time, without giving the core away.
void busy_for(std::int64_t ns) noexcept;
/// Gives the core to others.
void give_way() noexcept;
/// Does time stand still while somebody works?
bool time_is_virtual() noexcept;

inline constexpr std::int64_t kMicro = 1'000;
inline constexpr std::int64_t kMilli = 1'000'000;
inline constexpr std::int64_t kSecond = 1'000'000'000;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

/// How much slower than usual this build may be.
inline constexpr int kSlowness = kSanitized ? 10 : 1;

/// Waits for a condition on a plain thread: busy at first, then giving the core to others.
template <class Condition>
void wait_until(Condition&& holds) {
  for (unsigned spins = 0; !holds(); ++spins) {
    if (spins > 200 || time_is_virtual()) give_way();
  }
}

}  // namespace coretest
