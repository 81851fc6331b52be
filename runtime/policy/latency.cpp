// SPDX-License-Identifier: BSL-1.0
// The two moving averages of the latency metric.
// Flow room: spawn, wake, run, idle. Any thread. It must never read a clock.
// Proof: tests/unit/policy/latency_test.cpp.
#include "policy/latency.hpp"

#include <algorithm>

namespace paceline::core::policy {

namespace {

// 3.3, item 3: longer gaps count as this one.
constexpr Nanos kLongestGap = (Nanos{1} << 32) - 1;

// [P] So many runnable tasks per worker, and slices so long, are as good as any more: with them the
// products below fit 64 bits.
constexpr std::uint64_t kMostPerWorker = (1u << 23) - 1;
constexpr std::uint64_t kLongestSliceUs = (std::uint64_t{1} << 31) - 1;

constexpr std::uint64_t kMostWeight =
    static_cast<std::uint64_t>(kLongestGap + latency_memory(kMostTimeScale));
static_assert((kMostPerWorker << 8) <= ~std::uint64_t{0} / kMostWeight, "depths do not wrap");
static_assert(kLongestSliceUs <= ~std::uint64_t{0} / kMostWeight, "slices do not wrap");

/// Time since `then`, at most kLongestGap; `now` is not before it.
std::uint64_t gap(Nanos then, Nanos now) noexcept {
  const auto since = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(then);
  return std::min(since, static_cast<std::uint64_t>(kLongestGap));
}

std::uint32_t blend(std::uint64_t old, std::uint64_t fresh, std::uint64_t gap,
                    Nanos memory) noexcept {
  const auto kept =
      static_cast<std::uint64_t>(std::clamp<Nanos>(memory, 1, latency_memory(kMostTimeScale)));
  return static_cast<std::uint32_t>((old * kept + fresh * gap) / (gap + kept));
}

}  // namespace

std::string_view to_string(SharedUse use) noexcept {
  switch (use) {
    case SharedUse::none: return "none";
    case SharedUse::round_robin: return "round_robin";
    case SharedUse::native_first: return "native_first";
  }
  return "invalid";
}

ClassLoad with_depth(ClassLoad load, std::uint32_t depth, std::uint32_t workers, Nanos now,
                     Nanos memory) noexcept {
  load.depth = depth;
  if (workers == 0 || now < load.updated) return load;
  const std::uint64_t current = std::min<std::uint64_t>(depth / workers, kMostPerWorker);
  const std::uint32_t before = rounded(load.average);
  // A cluster that falls idle, or stops being idle, is so at once: others decide by it.
  if ((before == 0) != (current == 0)) {
    load.average = static_cast<std::uint32_t>(current << 8);
  } else if (load.average != current << 8) {
    load.average = blend(load.average, current << 8, gap(load.updated, now), memory);
  }
  load.updated = now;
  return load;
}

ClassLoad with_slice(ClassLoad load, std::uint64_t slice_us, Nanos now, Nanos memory) noexcept {
  if (now < load.exec_updated) return load;
  load.exec_us = blend(std::max<std::uint32_t>(load.exec_us, 1),
                       std::min(slice_us, kLongestSliceUs), gap(load.exec_updated, now), memory);
  load.exec_updated = now;
  return load;
}

}  // namespace paceline::core::policy
