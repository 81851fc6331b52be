// SPDX-License-Identifier: BSL-1.0
// What moving costs: a task moved at a fixed period under the cache model of policies.md 4.7, and
// tasks that Paceline moves as it sees fit, with the same model.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sim/worlds/floor.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

struct FixedPeriodResult {
  double speed_percent;
  double hit_rate_percent;
};

struct CacheResult {
  double speed_percent;    ///< of what the same run time would do without moves
  Nanos shortest_gap;      ///< between two moves of one task
  Nanos mean_gap_busiest;  ///< time per move of the task that moved most
  std::uint64_t moves;
};

class CacheWorld {
 public:
  /// One task on two cores, moved to the other one every `period`; in ticks of a hundredth of it.
  static FixedPeriodResult run_fixed(Nanos period, Nanos total) {
    const Nanos tick = period / 100;
    double speed = 0;
    double hits = 0;
    std::uint64_t ticks = 0;
    Nanos here = 0;
    for (Nanos now = 0; now < total; now += tick, ++ticks) {
      const double from = static_cast<double>(here) / 1e6;
      const double to = static_cast<double>(here + tick) / 1e6;
      speed += CacheModel::speed(from, to);
      hits += CacheModel::hit_rate(from, to);
      here += tick;
      if (here >= period) here = 0;  // moved
    }
    return {100 * speed / static_cast<double>(ticks), hits / static_cast<double>(ticks)};
  }

  /// Eleven hogs and six tasks that come and go on eight cores in two clusters: there is always
  /// something to balance, and never a balance.
  static CacheResult run(std::uint64_t seed, Recorder* recorder = nullptr) {
    using paceline::core::kMillisecond;
    const paceline_test::PolicyMachine machine(paceline_test::alike(2, 4, 1, 2));
    FloorOptions options;
    options.recorder = recorder;
    Floor floor(machine.view(), seed, options);
    const auto anywhere = [&] { return static_cast<std::uint32_t>(floor.rng().below(8)); };
    for (int i = 0; i < 11; ++i) floor.add(anywhere(), 0, 0);
    for (int i = 0; i < 6; ++i) floor.add(anywhere(), 5 * kMillisecond, 20 * kMillisecond);
    floor.run(20 * paceline::core::kSecond);
    CacheResult result{0, paceline::core::kForever, paceline::core::kForever, floor.moves()};
    double worked = 0;
    Nanos ran = 0;
    for (const FloorTask& task : floor.tasks()) {
      worked += task.worked;
      ran += task.ran;
      result.shortest_gap = std::min(result.shortest_gap, task.shortest_gap);
      if (task.moves == 0) continue;
      result.mean_gap_busiest =
          std::min(result.mean_gap_busiest, floor.now() / static_cast<Nanos>(task.moves));
    }
    result.speed_percent = 100 * worked / static_cast<double>(ran);
    return result;
  }
};

}  // namespace paceline_sim
