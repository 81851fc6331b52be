// SPDX-License-Identifier: BSL-1.0
// The scenarios of printed examples and of bad clocks: what a wake costs (policies.md 5.3), where
// the least energy is (5.5), and classes under clocks that jump or stand still.
#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "policy/class_turns.hpp"
#include "policy/energy.hpp"
#include "policy/wake_cost.hpp"
#include "sim/scenario.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

// --- energy ---

struct Option {
  const char* name;
  WakeOption what;
  double total;       // printed, with t_max 80 ms
  double total_less;  // and 60
};
const Option kOptions[] = {
    {"wake_little", {4, 512, 20, 60, 5, 8}, 13, 4813},
    {"wake_big", {0, 1024, 50, 30, 20, 25}, 45, 4845},
    {"wait_for_little", {5, 512, 90, 60, 0, 8}, 58808, 97208},
};
constexpr double kPenalty = 12;  // K, in mJ/ms^2

/// Lanes as long as each option takes: what it waits, then what it computes.
void check_wakes(Run& run, std::uint32_t& lane) {
  const auto span = [](double ms) { return static_cast<Nanos>(ms * 1e6); };
  for (const double t_max : {80.0, 60.0}) {
    const DelayWish wish{DelayKind::interaction, t_max, kPenalty};
    std::vector<WakeOption> options;
    for (const Option& option : kOptions) {
      options.push_back(option.what);
      const double printed = t_max == 80 ? option.total : option.total_less;
      run.report.equal(std::string(option.name) + (t_max == 80 ? "_mj" : "_t_max_60_mj"),
                       cost_of(option.what, wish, {}).total_mj, printed);
      if (t_max != 80) continue;
      const Nanos begins = span(option.what.wait_ms);
      run.timeline.ran({lane, 0, begins, 0, 0});
      run.timeline.ran({lane++, begins, begins + span(option.what.run_ms), 1, 0});
    }
    run.report.equal(t_max == 80 ? "chosen_option" : "chosen_option_t_max_60",
                     static_cast<double>(choose_option(options, wish, {}).index), 0);
  }
}

/// The totals of the three placements, printed with one digit.
constexpr std::pair<std::uint32_t, double> kTotals[] = {{1, 1365.8}, {3, 1486.1}, {0, 1438.8}};

void check_energy(Run& run, std::uint32_t& lane) {
  const paceline_test::PolicyMachine machine({{1, 512, 0, 0, 2, 1}, {0, 1024, 0, 0, 2, 1}});
  const std::vector<OperatingPoint> little{{170, 50}, {341, 150}, {512, 300}};
  const std::vector<OperatingPoint> big{{512, 400}, {768, 800}, {1024, 1700}};
  const std::vector<ClusterEnergy> clusters{{little, 0, 0, 0}, {big, 0, 0, 0}};
  const EnergyPolicy policy(machine.view(), {clusters}, {});
  const std::vector<std::uint64_t> all = paceline_test::first_cores(4);
  std::vector<std::uint32_t> utilisation{400, 100, 600, 500};
  const EnergyTask task{200, 0, kFullCapacity, 0, all, 200};
  for (const auto& [core, printed] : kTotals) {
    run.report.equal("total_on_cpu_" + std::to_string(core), policy.total(task, utilisation, core),
                     printed, 0.05);
    // What each core would have to do, in ms of 100: the task is P.
    for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
      const auto capacity = static_cast<std::uint16_t>(cpu < 2 ? 512 : 1024);
      const auto used = [&](std::uint32_t util) { return Nanos{util} * 100'000'000 / capacity; };
      const std::uint32_t others = utilisation[cpu] - (cpu == 0 ? task.utilisation : 0);
      run.timeline.ran({lane, 0, used(others), 2, 0, capacity});
      if (cpu == core)
        run.timeline.ran({lane, used(others), used(others + task.utilisation), 1, 0, capacity});
      ++lane;
    }
  }
  run.report.equal("chosen_cpu", policy.choose(task, utilisation).core, 1);
  utilisation[2] = 820;  // above 80 % of 1024
  run.report.equal("bypassed_above_80_percent",
                   policy.choose(task, utilisation).reason == EnergyReason::over_utilised ? 1 : 0,
                   1);
}

// --- clocks ---

constexpr unsigned kFg = 1, kBg = 5;
constexpr Nanos kPoll = 100 * kMicrosecond;
constexpr Nanos kRuns = 20 * kSecond;

struct Clock {
  const char* name;
  Nanos every;   // so often, in true time,
  Nanos jumps;   // it jumps by so much,
  Nanos stands;  // or stands still for so long
  Nanos noise;   // and each look is off by up to so much
  /// What the longest wait may be beyond that with a good clock, as the clock loses it.
  Nanos loses;
};
const Clock kClocks[] = {
    {"good", kRuns, 0, 0, 0, 0},
    {"stands_still", kSecond, 0, 100 * kMillisecond, 0, 100 * kMillisecond},
    {"jumps_back", 400 * kMillisecond, -50 * kMillisecond, 0, 0, 50 * kMillisecond},
    {"jumps_ahead", 500 * kMillisecond, 300 * kMillisecond, 0, 0, 0},
    {"jumps_an_hour", 5 * kSecond, 3600 * kSecond, 0, 0, 0},
    {"trembles", kRuns, 0, 0, 5 * kMillisecond, 5 * kMillisecond},
};

/// What the clock shows at a true time.
Nanos shown(const Clock& clock, Nanos now, Rng& rng) {
  const Nanos periods = now / clock.every;
  Nanos time = now + periods * (clock.jumps - clock.stands);
  const Nanos into = now % clock.every;
  if (into > clock.every - clock.stands) time -= into - (clock.every - clock.stands);
  if (clock.noise != 0) {
    time +=
        static_cast<Nanos>(rng.below(static_cast<std::uint64_t>(2 * clock.noise))) - clock.noise;
  }
  return time;
}

/// Five classes that always have work, poll by poll; what they get is measured in true time.
void check_clock(const Clock& clock, std::uint32_t lane, Run& run) {
  BucketMask ready = 0;
  for (unsigned q = kFg; q <= kBg; ++q) ready |= bucket_bit(q);
  ClassTurns turns(class_table());
  Rng rng(run.seed);
  std::array<Nanos, kClasses> last{};
  std::array<Nanos, kClasses> longest{};
  std::array<Nanos, kClasses> had{};
  for (Nanos now = 0; now < kRuns; now += kPoll) {
    const unsigned q = turns.pick(ready, shown(clock, now, rng)).bucket;
    longest[q] = std::max(longest[q], now - last[q]);
    last[q] = now + kPoll;
    had[q] += kPoll;
    run.timeline.ran({lane, now, now + kPoll, q, static_cast<std::uint8_t>(q)});
  }
  const std::string name = clock.name;
  const auto ms = [](Nanos time) { return static_cast<double>(time) / 1e6; };
  // With a good clock and five classes background waits for 282 ms, and for a slice of each more.
  run.report.at_most(name + "_background_longest_wait_ms", ms(longest[kBg]), 300 + ms(clock.loses));
  Nanos least = kRuns;
  for (unsigned q = kFg; q <= kBg; ++q) least = std::min(least, had[q]);
  run.report.at_least(name + "_least_share_percent", 100.0 * ms(least) / ms(kRuns), 0.4);
  run.report.at_least(name + "_interactive_share_percent", 100.0 * ms(had[kFg]) / ms(kRuns), 55);
}

}  // namespace

void run_energy_tables(Run& run) {
  std::vector<Lane> lanes;
  for (const Option& option : kOptions) lanes.push_back({option.name, 0});
  std::uint32_t group = 1;
  for (const auto& [core, printed] : kTotals) {
    for (int cpu = 0; cpu < 4; ++cpu) {
      lanes.push_back({"P on CPU " + std::to_string(core) + ": CPU " + std::to_string(cpu), group});
    }
    ++group;
  }
  run.timeline.open({.lanes = std::move(lanes),
                     .until = 200 * kMillisecond,
                     .legend = {"waits", "P", "others"},
                     .paint = [](const Segment& s) -> std::size_t { return s.task; }});
  std::uint32_t lane = 0;
  check_wakes(run, lane);
  check_energy(run, lane);
}

void run_clocks(Run& run) {
  std::vector<Lane> lanes;
  for (std::uint32_t i = 0; i < std::size(kClocks); ++i) lanes.push_back({kClocks[i].name, i});
  run.timeline.open({.lanes = std::move(lanes), .until = 1'200 * kMillisecond});
  for (std::uint32_t i = 0; i < std::size(kClocks); ++i) check_clock(kClocks[i], i, run);
}

}  // namespace paceline_sim
