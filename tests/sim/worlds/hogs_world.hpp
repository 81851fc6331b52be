// SPDX-License-Identifier: BSL-1.0
// As many hogs as cores, forty in 2 packages of 20, that start on random cores: how even the cores
// become, and whether the tasks come to rest (policies.md 4.7, scenario 1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sim/worlds/floor.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

struct HogsResult {
  double spread_before;  ///< percent, over the first 100 ms of the same start without balancing
  double spread_at_1s;   ///< over the 100 ms before 1 s
  double spread_after;   ///< over the second from 1 s to 2 s
  std::uint64_t moves;
  std::uint64_t moves_after_1s;
  Nanos last_move;
};

class HogsWorld {
 public:
  static constexpr std::uint32_t kCores = 40;

  static HogsResult run(std::uint64_t seed) {
    const paceline_test::PolicyMachine machine(paceline_test::alike(2, kCores / 2, 1, 1));
    return run(seed, machine.view(), nullptr);
  }

  static HogsResult run(std::uint64_t seed, const paceline::core::policy::MachineView& machine,
                        Recorder* recorder) {
    using paceline::core::kMillisecond;
    using paceline::core::kSecond;
    HogsResult result{};
    Floor still = start(seed, machine, false, nullptr);
    result.spread_before = spread(still, 0, 100 * kMillisecond);
    Floor floor = start(seed, machine, true, recorder);
    floor.run(900 * kMillisecond);
    result.spread_at_1s = spread(floor, 900 * kMillisecond, kSecond);
    const std::uint64_t moves = floor.moves();
    result.spread_after = spread(floor, kSecond, 2 * kSecond);
    floor.run(5 * kSecond);
    result.moves = floor.moves();
    result.moves_after_1s = floor.moves() - moves;
    result.last_move = floor.last_move();
    return result;
  }

 private:
  static Floor start(std::uint64_t seed, const paceline::core::policy::MachineView& machine,
                     bool balances, Recorder* recorder) {
    FloorOptions options;
    options.balances = balances;
    options.recorder = recorder;
    Floor floor(machine, seed, options);
    for (std::size_t i = 0; i < machine.cores.size(); ++i) {
      floor.add(static_cast<std::uint32_t>(floor.rng().below(machine.cores.size())), 0, 0);
    }
    return floor;
  }

  /// Standard deviation of the cores' utilisation in percent from `from`, which is now, to `to`.
  static double spread(Floor& floor, Nanos from, Nanos to) {
    const std::vector<Nanos> before = floor.busy();
    floor.run(to);
    double sum = 0;
    double squares = 0;
    const auto cores = static_cast<double>(before.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double used =
          100.0 * static_cast<double>(floor.busy()[i] - before[i]) / static_cast<double>(to - from);
      sum += used;
      squares += used * used;
    }
    const double mean = sum / cores;
    return std::sqrt(std::max(0.0, squares / cores - mean * mean));
  }
};

}  // namespace paceline_sim
