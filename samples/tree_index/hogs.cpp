// SPDX-License-Identifier: BSL-1.0
// What a hog does all day.
#include "hogs.hpp"

namespace tree_index {

namespace {

/// Roughly 10 us of work that no compiler can shorten: each number needs the one before.
std::uint64_t compute(std::uint64_t x) {
  for (int i = 0; i < 5'000; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

}  // namespace

void Hogs::start(paceline::runtime& rt, std::size_t per_worker) {
  for (std::size_t i = 0; i < per_worker * rt.workers(); ++i) {
    all_.push_back(
        rt.spawn(hog(), {.qos = paceline::qos::utility, .name = "hog", .core = i % rt.workers()}));
  }
}

std::uint64_t Hogs::end() {
  over_.store(true, std::memory_order_relaxed);
  for (auto& hog : all_) hog.join();
  all_.clear();
  return steps_.load(std::memory_order_relaxed);
}

paceline::task<void> Hogs::hog() {
  std::uint64_t x = 1;
  do {
    for (int i = 0; i < kSteps; ++i) {
      x = compute(x);
      if (!rude_) paceline::preempt_point();
    }
    // An xorshift never meets 0, which only its reader knows.
    if (x != 0) steps_.fetch_add(kSteps, std::memory_order_relaxed);
    co_await paceline::yield();
  } while (!over_.load(std::memory_order_relaxed));
}

}  // namespace tree_index
