// SPDX-License-Identifier: BSL-1.0
// The scenarios of single cores: classes by deadline (policies.md 2.7) and tasks by virtual time
// (5.2).
#include <algorithm>
#include <string>
#include <utility>

#include "base/rng.hpp"
#include "sim/scenario.hpp"
#include "sim/worlds/cfs_world.hpp"
#include "unit/policy/root_house.hpp"

namespace paceline_sim {

using namespace paceline::core;
using namespace paceline::core::policy;
using paceline_test::Saturated;

namespace {

constexpr unsigned kFg = 1, kIn = 2, kDf = 3, kUt = 4, kBg = 5;
constexpr Nanos kShown = 600 * kMillisecond;

/// What the table prints of two classes: when the lower one runs first, how long until it runs
/// again, and its share.
struct Pair {
  unsigned upper, lower;
  Nanos first_ms, cycle_ms;
  double percent;
};
constexpr Pair kPairs[] = {{kFg, kBg, 270, 272, 0.73},
                           {kFg, kDf, 100, 106, 5.66},
                           {kIn, kDf, 56, 62, 9.67},
                           {kDf, kBg, 192, 194, 1.03},
                           {kUt, kBg, 108, 110, 1.82}};

struct First {
  unsigned q;
  Nanos ms;
};
constexpr First kFirsts[] = {{kIn, 60}, {kDf, 106}, {kUt, 186}, {kBg, 282}};
constexpr double kShares[] = {0, 79.8, 11.5, 5.7, 2.2, 0.7};
constexpr std::pair<Nanos, unsigned> kSwitches[] = {
    {0, kFg},   {60, kIn},  {68, kFg},  {98, kIn},  {106, kDf}, {112, kFg}, {172, kIn}, {180, kDf},
    {186, kUt}, {190, kFg}, {240, kIn}, {248, kFg}, {278, kUt}, {282, kBg}, {284, kDf}, {290, kFg}};

std::string name_of(unsigned q) { return std::string(to_string(static_cast<paceline::qos>(q))); }

double ms(Nanos time) { return static_cast<double>(time) / 1e6; }

/// The order in which the tasks are queued at 0 must not matter; it is all that the seed decides.
std::vector<unsigned> shuffled(std::vector<unsigned> classes, Rng& rng) {
  for (std::size_t i = classes.size(); i > 1; --i) {
    std::swap(classes[i - 1], classes[rng.below(i)]);
  }
  return classes;
}

void show(const Saturated& worker, std::uint32_t lane, Timeline& timeline) {
  const auto& switches = worker.switches();
  for (std::size_t i = 0; i < switches.size(); ++i) {
    const Nanos end = i + 1 < switches.size() ? switches[i + 1].at : worker.now();
    timeline.ran(
        {lane, switches[i].at, end, switches[i].q, static_cast<std::uint8_t>(switches[i].q)});
  }
}

void check_pair(const Pair& pair, std::uint32_t lane, Rng& rng, Run& run) {
  constexpr Nanos kCycles = 200;
  const Nanos first = pair.first_ms * kMillisecond;
  const Nanos cycle = pair.cycle_ms * kMillisecond;
  Saturated worker(shuffled({pair.upper, pair.lower}, rng));
  worker.run(first + kCycles * cycle);
  const std::vector<Nanos> starts = worker.starts(pair.lower);
  Nanos shortest = kForever;
  Nanos longest = 0;
  for (std::size_t i = 1; i < starts.size(); ++i) {
    shortest = std::min(shortest, starts[i] - starts[i - 1]);
    longest = std::max(longest, starts[i] - starts[i - 1]);
  }
  // Whole cycles, from the first run of the lower class.
  const double share = 100.0 * static_cast<double>(worker.used(pair.lower)) /
                       static_cast<double>(worker.now() - first);
  const double exact =
      100.0 * static_cast<double>(kClassRows[pair.lower].quantum) / static_cast<double>(cycle);
  const std::string name = name_of(pair.upper) + "+" + name_of(pair.lower);
  run.report.equal(name + "_first_run_ms", starts.empty() ? -1 : ms(starts[0]),
                   static_cast<double>(pair.first_ms));
  run.report.equal(name + "_shortest_cycle_ms", ms(shortest), static_cast<double>(pair.cycle_ms));
  run.report.equal(name + "_longest_cycle_ms", ms(longest), static_cast<double>(pair.cycle_ms));
  run.report.equal(name + "_share_percent", share, exact, 0.0001 * exact);
  // The table cuts after two digits.
  run.report.equal(name + "_printed_share_percent", share, pair.percent, 0.0101);
  if (pair.upper == kFg && pair.lower == kBg) {
    const Nanos waits =
        std::max(starts.empty() ? kForever : starts[0], longest - kClassRows[kBg].quantum);
    const ClassRow& fg = kClassRows[kFg];
    run.report.at_most("background_longest_wait_ms", ms(waits),
                       ms(kClassRows[kBg].distance + fg.warp + 2 * fg.quantum));
  }
  show(worker, lane, run.timeline);
}

void check_mix(std::uint32_t lane, Rng& rng, Run& run) {
  Saturated worker(shuffled({kFg, kIn, kDf, kUt, kBg}, rng));
  worker.run(60 * kSecond);
  for (const First& first : kFirsts) {
    run.report.equal("five_" + name_of(first.q) + "_first_run_ms", ms(worker.starts(first.q)[0]),
                     static_cast<double>(first.ms));
  }
  for (unsigned q = kFg; q <= kBg; ++q) {
    const double share =
        100.0 * static_cast<double>(worker.used(q)) / static_cast<double>(worker.now());
    run.report.equal("five_" + name_of(q) + "_printed_share_percent", share, kShares[q], 0.05);
  }
  double different = 0;
  for (std::size_t i = 0; i < std::size(kSwitches); ++i) {
    const auto& [at, q] = kSwitches[i];
    const Saturated::Switch& found = worker.switches()[i];
    different += found.at == at * kMillisecond && found.q == q ? 0 : 1;
  }
  run.report.equal("five_switches_other_than_printed", different, 0);
  show(worker, lane, run.timeline);
}

}  // namespace

void run_classes(Run& run) {
  std::vector<Lane> lanes;
  for (const Pair& pair : kPairs) {
    lanes.push_back({name_of(pair.upper) + ", " + name_of(pair.lower), 0});
  }
  lanes.push_back({"all five", 0});
  run.timeline.open({.lanes = std::move(lanes), .until = kShown});
  Rng rng(run.seed);
  std::uint32_t lane = 0;
  for (const Pair& pair : kPairs) check_pair(pair, lane++, rng, run);
  check_mix(lane, rng, run);
}

void run_cfs_timeline(Run& run) {
  constexpr std::pair<Rescale, const char*> kModes[] = {
      {Rescale::exact, "exact"}, {Rescale::approximate, "approximate"}, {Rescale::none, "none"}};
  std::vector<Lane> lanes;
  std::uint32_t group = 0;
  for (const auto& [mode, name] : kModes) {
    for (const char* core : CfsWorld::kCores) {
      lanes.push_back({std::string("rescale ") + name + ", " + core, group});
    }
    ++group;
  }
  const auto by_task = [](const Segment& s) -> std::size_t { return s.task - 1; };
  run.timeline.open({.lanes = std::move(lanes),
                     .until = 5 * CfsWorld::kSlice,
                     .legend = {"T1", "T2", "T3", "T4", "T5", "T6", "T7"},
                     .paint = by_task,
                     .names_tasks = true});
  std::uint32_t lane = 0;
  for (const auto& [mode, name] : kModes) {
    const CfsWorld::Result result = CfsWorld::run(mode, &run.timeline, lane);
    const std::vector<CfsWorld::Row> printed = CfsWorld::published(mode);
    double different = 0;
    for (std::size_t i = 0; i < printed.size(); ++i) {
      for (std::size_t core = 0; core < 4; ++core) {
        different += result.rows[i][core] == printed[i][core] ? 0 : 1;
      }
    }
    run.report.equal(std::string(name) + "_cells_other_than_printed", different, 0);
    run.report.equal(std::string(name) + "_moves_at_10", result.moved_early, 0);
    run.report.equal(std::string(name) + "_moves_at_15", result.moved, 2);
    lane += 4;
  }
}

}  // namespace paceline_sim
