// SPDX-License-Identifier: BSL-1.0
// Proves energy-aware placement by the example of policies.md 5.5, and that bad models are refused.
#include "policy/energy.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/policy_machine.hpp"

using namespace paceline::core::policy;
using paceline_test::alike;
using paceline_test::first_cores;
using paceline_test::PolicyMachine;

namespace {

using Points = std::vector<OperatingPoint>;
using Utilisation = std::vector<std::uint32_t>;

/// The machine of the example: CPU 0 and 1 little, CPU 2 and 3 big.
struct Example {
  PolicyMachine machine{{{1, 512, 0, 0, 2, 1}, {0, 1024, 0, 0, 2, 1}}};
  Points little{{170, 50}, {341, 150}, {512, 300}};
  Points big{{512, 400}, {768, 800}, {1024, 1700}};
  std::vector<ClusterEnergy> clusters{{little, 0, 0, 0}, {big, 0, 0, 0}};
  std::vector<std::uint64_t> all = first_cores(4);
  Utilisation utilisation{400, 100, 600, 500};

  EnergyModel model() const { return {clusters}; }
  EnergyPolicy policy(EnergyParameters parameters = {}) const {
    return {machine.view(), {clusters}, parameters};
  }
  EnergyTask task(std::uint32_t util = 200, std::uint32_t previous = 0) const {
    return {util, 0, kFullCapacity, previous, all, util};
  }
};

EnergyFault fault_of(const Points& points) { return judge_points(points).fault; }

}  // namespace

TEST_CASE("statement 65: the example of 5.5 costs 1365.8, 1486.1 and 1438.8, and CPU 1 wins") {
  const Example example;
  const EnergyPolicy policy = example.policy();
  const EnergyTask task = example.task();
  CHECK(std::abs(policy.total(task, example.utilisation, 1) - 1365.8) < 0.05);
  CHECK(std::abs(policy.total(task, example.utilisation, 3) - 1486.1) < 0.05);
  CHECK(std::abs(policy.total(task, example.utilisation, 0) - 1438.8) < 0.05);
  const EnergyChoice choice = policy.choose(task, example.utilisation);
  CHECK(choice.core == 1);
  CHECK(choice.reason == EnergyReason::cheapest);
  const double without = policy.total(task, example.utilisation, kNoCore);
  CHECK(std::abs(without + choice.delta - 1365.8) < 0.05);
  CHECK(std::abs(without + choice.previous_delta - 1438.8) < 0.05);
}

TEST_CASE("statement 65: with one CPU above 80 % energy is bypassed") {
  Example example;
  example.utilisation[2] = 820;  // 80 % of 1024 is 819.2
  CHECK(over_utilised_core(example.machine.view(), example.utilisation) == 2);
  const EnergyChoice choice = example.policy().choose(example.task(), example.utilisation);
  CHECK(choice.reason == EnergyReason::over_utilised);
  CHECK(choice.core == kNoCore);
  example.utilisation[2] = 819;
  CHECK(over_utilised_core(example.machine.view(), example.utilisation) == kNoCore);
  CHECK(example.policy().choose(example.task(), example.utilisation).core == 1);
}

TEST_CASE("a task fits below 80 percent of the capacity") {
  CHECK(fits(409, 512));
  CHECK_FALSE(fits(410, 512));
  CHECK(fits(819, 1024));
  CHECK_FALSE(fits(820, 1024));
  CHECK_FALSE(fits(0, 0));
  CHECK(clamped(100, 0, 1024) == 100);
  CHECK(clamped(100, 300, 1024) == 300);
  CHECK(clamped(900, 0, 512) == 512);
  CHECK(clamped(100, 300, 200) == 300);
}

TEST_CASE("statement 66: a saving of at most a sixteenth keeps the previous worker") {
  // Two clusters of one core each with one point: the energy is utilisation times price.
  const PolicyMachine machine({{1, 512, 0, 0, 1, 1}, {0, 1024, 0, 0, 1, 1}});
  const std::vector<std::uint64_t> all = first_cores(2);
  const auto choose = [&](double price_there) {
    const Points here{{512, 512 * 16.0}};
    const Points there{{1024, 1024 * price_there}};
    const std::vector<ClusterEnergy> clusters{{here, 0, 0, 0}, {there, 0, 0, 0}};
    const EnergyPolicy policy(machine.view(), {clusters});
    return policy.choose({100, 0, kFullCapacity, 0, all, 100}, Utilisation{100, 0});
  };
  CHECK(choose(16).reason == EnergyReason::previous_cheapest);  // a tie
  CHECK(choose(15).reason == EnergyReason::saves_too_little);   // exactly 1/16
  CHECK(choose(15).core == 0);
  CHECK(choose(14.99).reason == EnergyReason::cheapest);
  CHECK(choose(14.99).core == 1);
  // The example saves 73 of the 161 that the task costs; with a half as the limit it would stay.
  const Example example;
  CHECK(example.policy({.hysteresis_shift = 1}).choose(example.task(), example.utilisation).core ==
        0);
}

TEST_CASE("a task without utilisation stays, and one that fits nowhere is left to others") {
  const Example example;
  const EnergyChoice still = example.policy().choose(example.task(0), example.utilisation);
  CHECK(still.reason == EnergyReason::no_utilisation);
  CHECK(still.core == 0);
  const EnergyChoice wide =
      example.policy().choose(example.task(700, kNoCore), example.utilisation);
  CHECK(wide.reason == EnergyReason::nothing_fits);
  CHECK(wide.core == kNoCore);
  // New work of modest size has no previous core and goes where it costs least.
  const EnergyChoice fresh =
      example.policy().choose(example.task(50, kNoCore), example.utilisation);
  CHECK(fresh.reason == EnergyReason::cheapest);
  CHECK(fresh.core == 1);
}

TEST_CASE("energy obeys the mask and the clamps of a task") {
  const Example example;
  EnergyTask task = example.task();
  const std::vector<std::uint64_t> bigs{0b1100};
  task.allowed = bigs;
  CHECK(example.policy().choose(task, example.utilisation).core == 3);
  task = example.task();
  task.util_min = 450;  // no little core could run that fast
  CHECK(example.policy().choose(task, Utilisation{200, 0, 0, 0}).core == 2);
  const std::vector<std::uint64_t> nobody{0};
  task.allowed = nobody;
  CHECK(example.policy().choose(task, example.utilisation).reason == EnergyReason::nothing_fits);
}

TEST_CASE("of a task that slept only what is still counted is taken from its previous core") {
  const Example example;
  EnergyTask task = example.task(200);
  task.counted = 0;  // all of the 400 on core 0 is others'
  const double base = example.policy().total(task, example.utilisation, kNoCore);
  CHECK(std::abs(base - (500 * 300.0 / 512 + 1100 * 800.0 / 768)) < 1e-9);
  CHECK(example.policy().choose(task, example.utilisation).core == 1);
}

TEST_CASE("headroom asks for a faster point before it is needed") {
  const Example example;
  const EnergyTask task = example.task();
  // 300 of 341 is enough without headroom; with a quarter on top it takes the next point.
  const double lean = example.policy().total(task, example.utilisation, 1);
  const double ample = example.policy({.headroom_percent = 25}).total(task, example.utilisation, 1);
  CHECK(ample > lean);
}

TEST_CASE("energy models with zero, unordered or absurd entries are refused with the reason") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(fault_of({{170, 50}, {341, 150}}) == EnergyFault::none);
  CHECK(fault_of({}) == EnergyFault::no_points);
  CHECK(fault_of({{0, 50}}) == EnergyFault::zero_capacity);
  CHECK(fault_of({{1025, 50}}) == EnergyFault::capacity_too_large);
  CHECK(fault_of({{170, 0}}) == EnergyFault::power_not_positive);
  CHECK(fault_of({{170, -1}}) == EnergyFault::power_not_positive);
  CHECK(fault_of({{170, nan}}) == EnergyFault::power_not_positive);
  CHECK(fault_of({{341, 50}, {170, 150}}) == EnergyFault::capacity_unordered);
  CHECK(fault_of({{170, 50}, {170, 150}}) == EnergyFault::capacity_unordered);
  CHECK(fault_of({{170, 50}, {341, 50}}) == EnergyFault::power_unordered);
  CHECK(judge_points(Points{{170, 50}, {341, 150}, {0, 1}}).point == 2);
  for (int f = 0; f <= static_cast<int>(EnergyFault::bad_wake); ++f) {
    CHECK(to_string(static_cast<EnergyFault>(f)) != "invalid");
  }
}

TEST_CASE("an energy model must belong to its machine") {
  Example example;
  const auto judge = [&] { return judge_energy_model(example.model(), example.machine.view()); };
  CHECK(judge().fault == EnergyFault::none);
  example.clusters[1].wake_energy_uj = -1;
  CHECK(judge().fault == EnergyFault::bad_wake);
  CHECK(judge().cluster == 1);
  example.clusters[1].wake_energy_uj = 0;
  example.clusters[1].idle_power_mw = std::numeric_limits<double>::infinity();
  CHECK(judge().fault == EnergyFault::bad_idle_power);
  example.clusters[1].idle_power_mw = 0;
  example.clusters[1].points = example.little;
  CHECK(judge().fault == EnergyFault::capacity_disagrees);
  example.clusters.pop_back();
  CHECK(judge().fault == EnergyFault::cluster_count);
  CHECK(judge_energy_use(example.model(), example.machine.view()) == EnergyUse::bad_model);
}

TEST_CASE("energy needs different kinds of cores, no SMT, and a model of bounded size") {
  const Example example;
  CHECK(judge_energy_use(example.model(), example.machine.view()) == EnergyUse::possible);
  const std::vector<ClusterEnergy> same{{example.big, 0, 0, 0}, {example.big, 0, 0, 0}};
  const PolicyMachine symmetric(alike(2, 2, 1, 2));
  CHECK(judge_energy_use({same}, symmetric.view()) == EnergyUse::symmetric);
  const PolicyMachine threads({{1, 512, 0, 0, 2, 1}, {0, 1024, 0, 0, 2, 2}});
  CHECK(judge_energy_use(example.model(), threads.view()) == EnergyUse::smt);
  // 2 clusters * (cores + 6 points): 1018 cores are just allowed.
  const PolicyMachine most({{1, 512, 0, 0, 18, 1}, {0, 1024, 0, 0, 1000, 1}});
  CHECK(judge_energy_use(example.model(), most.view()) == EnergyUse::possible);
  const PolicyMachine over({{1, 512, 0, 0, 19, 1}, {0, 1024, 0, 0, 1000, 1}});
  CHECK(judge_energy_use(example.model(), over.view()) == EnergyUse::too_complex);
}

TEST_CASE("the lowest point that covers a utilisation is used, the fastest when none does") {
  const Example example;
  CHECK(lowest_point(example.little, 0).capacity == 170);
  CHECK(lowest_point(example.little, 170).capacity == 170);
  CHECK(lowest_point(example.little, 171).capacity == 341);
  CHECK(lowest_point(example.little, 5000).capacity == 512);
  CHECK(time_at(1000, 512) == 2000);
  CHECK(std::abs(run_energy_uj({262, 133}, 60 * paceline::core::kMillisecond) - 7980) < 1e-6);
}
