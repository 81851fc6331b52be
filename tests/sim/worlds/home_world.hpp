// SPDX-License-Identifier: BSL-1.0
// Two memory nodes of twenty cores, and tasks whose memory lies on one of them: how many run beside
// their memory, and what bandwidth that is at 14 GB/s near and 8 GB/s far (policies.md 4.7,
// scenario 3).
#pragma once

#include <cstdint>

#include "sim/worlds/floor.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

struct HomeResult {
  double at_home;    ///< share of bursts that ended on the home node
  double bandwidth;  ///< GB/s of a running task, on average over run time
  std::uint64_t bursts;
};

class HomeWorld {
 public:
  static constexpr double kNearGbs = 14;
  static constexpr double kFarGbs = 8;

  static HomeResult run(std::uint64_t seed, WakePlace wake, Recorder* recorder = nullptr) {
    using paceline::core::kMillisecond;
    const paceline_test::PolicyMachine machine(paceline_test::alike(2, 20, 1, 1));
    FloorOptions options;
    options.wake = wake;
    options.recorder = recorder;
    Floor floor(machine.view(), seed, options);
    // 24 tasks for each node that want 60 % of a core: 14.4 of 20 on average, at times more
    // than 20.
    for (std::uint32_t i = 0; i < 48; ++i) {
      floor.add(static_cast<std::uint32_t>(floor.rng().below(40)), 12 * kMillisecond,
                8 * kMillisecond, static_cast<std::uint16_t>(i % 2));
    }
    floor.run(10 * paceline::core::kSecond);
    std::uint64_t bursts = 0;
    std::uint64_t bursts_at_home = 0;
    Nanos ran = 0;
    Nanos ran_at_home = 0;
    for (const FloorTask& task : floor.tasks()) {
      bursts += task.bursts;
      bursts_at_home += task.bursts_at_home;
      ran += task.ran;
      ran_at_home += task.ran_at_home;
    }
    const double near = static_cast<double>(ran_at_home) / static_cast<double>(ran);
    return {static_cast<double>(bursts_at_home) / static_cast<double>(bursts),
            near * kNearGbs + (1 - near) * kFarGbs, bursts};
  }
};

}  // namespace paceline_sim
