// SPDX-License-Identifier: BSL-1.0
// Atomics for the runtime: the seam's type under the runtime's name, and layout constants.
// Flow room: none. Used by every room; never by user code.
// It must never name std::atomic itself: that is the seam's privilege (decision D12).
// Proof: tests/tidy/seams_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <paceline/detail/atomic.hpp>

namespace paceline::core {

template <class T>
using Atomic = detail::Atomic<T>;

/// A variable of one thread that others look at. Its own thread reads it plainly, so that a
/// compiler may keep what it has read.
template <class T>
class Shown {
 public:
  T get() const noexcept { return value_; }
  void set(T value) noexcept { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
  /// Any thread: a hint.
  T look() const noexcept { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }

 private:
  T value_{};
};

/// Distance that keeps two words of different writers from sharing a line.
inline constexpr std::size_t kCacheLine = 64;
/// The same where the adjacent-line prefetcher would couple two lines.
inline constexpr std::size_t kCacheLinePair = 128;

/// Adds to a counter that only the calling thread writes. Relaxed: readers want a number, not an
/// order; a load and a store instead of an RMW because there is one writer.
inline void bump(Atomic<std::uint64_t>& counter, std::uint64_t n = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace paceline::core
