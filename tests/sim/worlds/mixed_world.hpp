// SPDX-License-Identifier: BSL-1.0
// Twenty tasks of short bursts between waits for I/O beside twenty hogs on twenty workers: how long
// a burst takes from its wake, against first come, first served (policies.md 4.7, scenario 2).
#pragma once

#include <algorithm>
#include <cstdint>

#include "sim/worlds/floor.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

struct MixedResult {
  double mean_ms;  ///< from wake to the end of the burst
  double max_ms;
  double cpu_share;  ///< of the hogs, of all time there is
  std::uint64_t bursts;
};

class MixedWorld {
 public:
  static constexpr std::uint32_t kCores = 20;
  static constexpr Nanos kBurst = 500 * paceline::core::kMicrosecond;
  static constexpr Nanos kPause = 10 * paceline::core::kMillisecond;

  /// Balanced, fair and with wakes that preempt; hogs start anywhere.
  static MixedResult run(std::uint64_t seed, Recorder* recorder = nullptr) {
    FloorOptions options = paceline_options();
    options.recorder = recorder;
    return play(seed, options);
  }
  /// First come, first served with slices of 10 ms, every task where it started.
  static MixedResult run_baseline(std::uint64_t seed) {
    FloorOptions options = paceline_options();
    options.order = Order::fifo;
    options.slice = 10 * paceline::core::kMillisecond;
    options.wake = WakePlace::stay;
    options.balances = false;
    return play(seed, options);
  }
  /// The same with the tasks spread evenly: the best that order can do without preemption.
  static MixedResult run_even_baseline(std::uint64_t seed) {
    FloorOptions options = paceline_options();
    options.order = Order::fifo;
    options.slice = 10 * paceline::core::kMillisecond;
    options.wake = WakePlace::stay;
    return play(seed, options);
  }

 private:
  static FloorOptions paceline_options() {
    FloorOptions options;
    options.tick = 50 * paceline::core::kMicrosecond;
    return options;
  }

  static MixedResult play(std::uint64_t seed, const FloorOptions& options) {
    const paceline_test::PolicyMachine machine(paceline_test::alike(1, kCores, 1, 1));
    Floor floor(machine.view(), seed, options);
    const auto anywhere = [&] { return static_cast<std::uint32_t>(floor.rng().below(kCores)); };
    for (std::uint32_t i = 0; i < kCores; ++i) floor.add(anywhere(), 0, 0);
    for (std::uint32_t i = 0; i < kCores; ++i) floor.add(anywhere(), kBurst, kPause);
    floor.run(2 * paceline::core::kSecond);
    MixedResult result{};
    Nanos sum = 0;
    Nanos most = 0;
    Nanos hogs = 0;
    for (const FloorTask& task : floor.tasks()) {
      if (task.burst == 0) hogs += task.ran;
      sum += task.response_sum;
      most = std::max(most, task.response_max);
      result.bursts += task.bursts;
    }
    result.mean_ms = static_cast<double>(sum) / 1e6 /
                     static_cast<double>(std::max<std::uint64_t>(1, result.bursts));
    result.max_ms = static_cast<double>(most) / 1e6;
    result.cpu_share = static_cast<double>(hogs) / static_cast<double>(floor.now() * kCores);
    return result;
  }
};

}  // namespace paceline_sim
