// SPDX-License-Identifier: BSL-1.0
// Hogs: tasks that keep every core busy beside the walk.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <paceline/paceline.hpp>

namespace tree_index {

class Hogs {
 public:
  /// What a hog computes between two suspensions, in steps of roughly 10 us.
  static constexpr int kSteps = 2'000;

  /// A polite hog reaches a safepoint after each step, a rude one never does.
  explicit Hogs(bool rude) noexcept : rude_(rude) {}

  /// Starts so many on each core, in the class `utility`. `this` must outlive the runtime, unless
  /// end() is called before.
  void start(paceline::runtime& rt, std::size_t per_worker);
  /// Ends them and says how many steps they have done in all. Not on a worker.
  std::uint64_t end();

 private:
  paceline::task<void> hog();

  const bool rude_;
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> steps_{0};
  std::vector<paceline::join_handle<void>> all_;
};

}  // namespace tree_index
