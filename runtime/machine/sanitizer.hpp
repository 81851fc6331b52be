// SPDX-License-Identifier: BSL-1.0
// What the sanitizers must be told about stacks and memory of our own. Empty without them.
// Proof: tests/sanitizer/: a planted race and a planted use-after-free on a fiber are reported.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define PACELINE_INTERNAL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PACELINE_INTERNAL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PACELINE_INTERNAL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PACELINE_INTERNAL_TSAN 1
#endif
#endif

#ifdef PACELINE_INTERNAL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef PACELINE_INTERNAL_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace paceline::core::machine::sanitizer {

#ifdef PACELINE_INTERNAL_ASAN
inline constexpr bool kAddress = true;
#else
inline constexpr bool kAddress = false;
#endif
#ifdef PACELINE_INTERNAL_TSAN
inline constexpr bool kThread = true;
#else
inline constexpr bool kThread = false;
#endif

/// Before a stack is used again: what its last user left poisoned is not an error.
inline void unpoison_stack([[maybe_unused]] void* lowest,
                           [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef PACELINE_INTERNAL_ASAN
  __asan_unpoison_memory_region(lowest, bytes);
#endif
}

/// Memory that holds the only pointers to heap blocks: the leak checker must look there.
inline void root_region([[maybe_unused]] void* memory,
                        [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef PACELINE_INTERNAL_ASAN
  __lsan_register_root_region(memory, bytes);
#endif
}

}  // namespace paceline::core::machine::sanitizer
