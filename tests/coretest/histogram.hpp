// SPDX-License-Identifier: BSL-1.0
// Delays: how long things took, counted in buckets that are a sixteenth of a power of two wide.
// Any thread adds, without a lock; reading is exact once nobody adds any more.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace coretest {

class Delays {
 public:
  void add(std::int64_t ns) noexcept {
    const std::uint64_t value = ns > 0 ? static_cast<std::uint64_t>(ns) : 0;
    buckets_[index_of(value)].fetch_add(1, std::memory_order_relaxed);
    std::uint64_t most = most_.load(std::memory_order_relaxed);
    while (most < value && !most_.compare_exchange_weak(most, value, std::memory_order_relaxed)) {
    }
  }

  std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& bucket : buckets_) sum += bucket.load(std::memory_order_relaxed);
    return sum;
  }
  std::uint64_t max() const noexcept { return most_.load(std::memory_order_relaxed); }

  /// The smallest value that `fraction` of all are not above, to a sixteenth; 0 if there is none.
  std::uint64_t quantile(double fraction) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(fraction * static_cast<double>(count()));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i].load(std::memory_order_relaxed);
      if (seen != 0 && seen >= wanted) return std::min(top_of(i), max());
    }
    return max();
  }

 private:
  static constexpr unsigned kSub = 4;  // 16 buckets per power of two
  static constexpr std::size_t kBuckets = (64 - kSub + 1) << kSub;

  static std::size_t index_of(std::uint64_t value) noexcept {
    if (value < (1u << kSub)) return value;
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 1 - kSub;
    return (std::size_t{power + 1} << kSub) + ((value >> power) & ((1u << kSub) - 1));
  }
  static std::uint64_t top_of(std::size_t index) noexcept {
    if (index < (1u << kSub)) return index;
    const unsigned power = static_cast<unsigned>(index >> kSub) - 1;
    const std::uint64_t mantissa = (1u << kSub) | (index & ((1u << kSub) - 1));
    return ((mantissa + 1) << power) - 1;
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> most_{0};
};

}  // namespace coretest
