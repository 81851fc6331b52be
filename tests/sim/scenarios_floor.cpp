// SPDX-License-Identifier: BSL-1.0
// The scenarios of domains and balancing: the article's benchmark in virtual time (policies.md 4.7,
// statements 57 to 60).
#include <stdexcept>

#include "sim/scenario.hpp"
#include "sim/worlds/cache_world.hpp"
#include "sim/worlds/hogs_world.hpp"
#include "sim/worlds/home_world.hpp"
#include "sim/worlds/mixed_world.hpp"

namespace paceline_sim {

using paceline::core::kMillisecond;
using paceline::core::kSecond;

namespace {

double milliseconds(Nanos time) { return static_cast<double>(time) / 1e6; }

constexpr std::size_t kColours = 12;
std::size_t by_task(const Segment& segment) { return segment.task % kColours; }

std::vector<std::string> task_colours(const char* what) {
  std::vector<std::string> names(kColours);
  names[0] = what;
  return names;
}

}  // namespace

void run_hogs(Run& run) {
  if (run.machine.kinds().size() != 1) {
    throw std::invalid_argument("hogs40 needs cores of one kind: its spread is that of busy time");
  }
  const paceline::core::MachineData machine(run.machine);
  run.timeline.open({.lanes = lanes_of(run.machine),
                     .until = 100 * kMillisecond,
                     .legend = task_colours("a colour for each hog"),
                     .paint = by_task});
  const HogsResult result = HogsWorld::run(run.seed, machine.view(), &run.timeline);
  run.report.figure("spread_before_percent", result.spread_before);
  run.report.figure("moves", static_cast<double>(result.moves));
  run.report.at_most("spread_at_1s_percent", result.spread_at_1s, 8);
  run.report.at_most("spread_after_1s_percent", result.spread_after, 8);
  run.report.at_most("moves_after_1s", static_cast<double>(result.moves_after_1s), 0);
  run.report.at_most("last_move_ms", milliseconds(result.last_move), 1000);
}

void run_io_and_cpu(Run& run) {
  run.timeline.open({.lanes = lanes_of(run.machine),
                     .from = kSecond,
                     .until = kSecond + 50 * kMillisecond,
                     .legend = {"hog", "burst of I/O"},
                     .paint = [](const Segment& s) -> std::size_t {
                       return s.task < MixedWorld::kCores ? 0 : 1;
                     }});
  const MixedResult ours = MixedWorld::run(run.seed, &run.timeline);
  const MixedResult fifo = MixedWorld::run_baseline(run.seed);
  const MixedResult even = MixedWorld::run_even_baseline(run.seed);
  run.report.figure("fifo_mean_response_ms", fifo.mean_ms);
  run.report.figure("fifo_spread_evenly_mean_response_ms", even.mean_ms);
  run.report.figure("longest_response_ms", ours.max_ms);
  run.report.at_most("mean_response_ms", ours.mean_ms, 12);
  run.report.at_least("times_quicker_than_fifo", fifo.mean_ms / ours.mean_ms, 4);
  run.report.at_least("times_quicker_than_fifo_spread_evenly", even.mean_ms / ours.mean_ms, 4);
  run.report.at_least("hogs_share_of_all_time", ours.cpu_share, 0.95);
}

void run_cache(Run& run) {
  const FixedPeriodResult ten = CacheWorld::run_fixed(10 * kMillisecond, kSecond);
  const FixedPeriodResult one = CacheWorld::run_fixed(kMillisecond, kSecond);
  run.report.equal("speed_percent_moved_every_10_ms", ten.speed_percent, 65, 1);
  run.report.equal("cache_hits_percent_moved_every_10_ms", ten.hit_rate_percent, 60, 1);
  run.report.equal("speed_percent_moved_every_1_ms", one.speed_percent, 30, 1);
  run.report.equal("cache_hits_percent_moved_every_1_ms", one.hit_rate_percent, 20, 1);
  run.timeline.open({.lanes = lanes_of(run.machine),
                     .from = kSecond,
                     .until = 3 * kSecond / 2,
                     .legend = task_colours("a colour for each task"),
                     .paint = by_task});
  const CacheResult result = CacheWorld::run(run.seed, &run.timeline);
  run.report.figure("moves", static_cast<double>(result.moves));
  run.report.at_least("shortest_stay_ms", milliseconds(result.shortest_gap), 10);
  run.report.at_least("mean_stay_of_the_busiest_ms", milliseconds(result.mean_gap_busiest), 20);
  run.report.at_least("speed_percent", result.speed_percent, 95);
}

void run_home_node(Run& run) {
  run.timeline.open({.lanes = lanes_of(run.machine),
                     .from = kSecond,
                     .until = kSecond + 200 * kMillisecond,
                     .legend = {"memory on node 0 (cores 0-19)", "memory on node 1 (cores 20-39)"},
                     .paint = [](const Segment& s) -> std::size_t { return s.task % 2; }});
  const HomeResult home = HomeWorld::run(run.seed, WakePlace::home, &run.timeline);
  const HomeResult blind = HomeWorld::run(run.seed, WakePlace::blind);
  run.report.figure("far_bandwidth_gb_per_s", HomeWorld::kFarGbs);
  run.report.figure("blind_share_of_bursts_at_home", blind.at_home);
  run.report.figure("blind_bandwidth_gb_per_s", blind.bandwidth);
  run.report.figure("bandwidth_gb_per_s", home.bandwidth);
  run.report.at_least("share_of_bursts_at_home", home.at_home, 0.95);
  run.report.at_least("times_far_bandwidth", home.bandwidth / HomeWorld::kFarGbs, 1.7);
  run.report.at_least("times_blind_bandwidth", home.bandwidth / blind.bandwidth, 1.2);
}

}  // namespace paceline_sim
