// SPDX-License-Identifier: BSL-1.0
// Proves the cost of a wake by the example of policies.md 5.3, its ties, and the rules W1 to W6.
#include "policy/wake_cost.hpp"

#include <cmath>
#include <vector>

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

/// The three options of the example: wake a little, wake a big, wait for a busy little.
std::vector<WakeOption> example() {
  return {{.core = 4,
           .capacity = 512,
           .wait_ms = 20,
           .run_ms = 60,
           .wake_energy_mj = 5,
           .run_energy_mj = 8},
          {.core = 0,
           .capacity = 1024,
           .wait_ms = 50,
           .run_ms = 30,
           .wake_energy_mj = 20,
           .run_energy_mj = 25},
          {.core = 5,
           .capacity = 512,
           .wait_ms = 90,
           .run_ms = 60,
           .wake_energy_mj = 0,
           .run_energy_mj = 8}};
}

DelayWish interaction(double t_max_ms) { return {DelayKind::interaction, t_max_ms, 12}; }

std::vector<double> totals(const DelayWish& wish, double alpha = 1) {
  std::vector<double> all;
  for (const WakeOption& option : example()) all.push_back(cost_of(option, wish, {alpha}).total_mj);
  return all;
}

WakeOption option(double energy, double wait = 0) {
  return {.core = 0,
          .capacity = 512,
          .wait_ms = wait,
          .run_ms = 0,
          .wake_energy_mj = 0,
          .run_energy_mj = energy};
}

}  // namespace

TEST_CASE("statement 64: the example of 5.3 costs 13, 45 and 58808, and the woken little wins") {
  CHECK(totals(interaction(80)) == std::vector<double>{13, 45, 58808});
  CHECK(choose_option(example(), interaction(80), {}).index == 0);
  CHECK(choose_option(example(), interaction(80), {}).rule == WakeRule::least_cost);
}

TEST_CASE("statement 64: with t_max 60 the totals are 4813, 4845 and 97208") {
  CHECK(totals(interaction(60)) == std::vector<double>{4813, 4845, 97208});
  CHECK(choose_option(example(), interaction(60), {}).index == 0);
}

TEST_CASE("a penalty is square, linear or none by the kind of delay, and weighted by alpha") {
  CHECK(delay_penalty({DelayKind::interaction, 80, 12}, 80) == 0);
  CHECK(delay_penalty({DelayKind::interaction, 80, 12}, 82) == 48);
  CHECK(delay_penalty({DelayKind::utility, 80, 12}, 82) == 24);
  CHECK(delay_penalty({DelayKind::utility, 80, 12}, 10) == 0);
  CHECK(delay_penalty({DelayKind::background, 0, 12}, 1e9) == 0);
  CHECK(totals(interaction(80), 0.5) == std::vector<double>{13, 45, 29408});
  CHECK(totals(interaction(80), 0)[2] == 8);
  CHECK(event_penalty({}, 1e9, 1e9) == 0);  // off by default
  CHECK(event_penalty({100, 10, 0.5}, 5, 20) == 350);
}

TEST_CASE("equal costs are told apart by energy, capacity, previous core and peers") {
  const DelayWish wish{DelayKind::utility, 0, 1};
  const auto choose = [&](const std::vector<WakeOption>& options) {
    return choose_option(options, wish, {});
  };
  CHECK(choose({}).rule == WakeRule::no_options);
  CHECK(choose({option(5, 0), option(3, 2)}).index == 1);  // both cost 5
  CHECK(choose({option(5, 0), option(3, 2)}).rule == WakeRule::less_energy);
  std::vector<WakeOption> two{option(5), option(5)};
  CHECK(choose(two).index == 0);
  CHECK(choose(two).rule == WakeRule::first);
  two[1].peers = true;
  CHECK(choose(two).index == 1);
  CHECK(choose(two).rule == WakeRule::peers);
  two[0].previous = true;
  CHECK(choose(two).index == 0);
  CHECK(choose(two).rule == WakeRule::previous);
  two[1].capacity = 300;
  CHECK(choose(two).index == 1);
  CHECK(choose(two).rule == WakeRule::smaller_capacity);
}

TEST_CASE("light and background work looks at slow cores first, urgent compute at fast ones") {
  WakeNature nature{};
  CHECK(preferred_kind(nature).reason == KindReason::light_work);  // W1: not urgent
  nature.urgent = true;
  CHECK(preferred_kind(nature).reason == KindReason::undecided);
  nature.light = true;
  CHECK_FALSE(preferred_kind(nature).fast);  // W1
  nature.latency_sensitive = true;
  CHECK(preferred_kind(nature).reason == KindReason::needs_speed);  // W2
  nature.t_max_ms = 16;
  nature.slow_finish_ms = 10;
  CHECK(preferred_kind(nature).reason == KindReason::light_work);  // in time on the slow kind
  nature.slow_finish_ms = 17;
  CHECK(preferred_kind(nature).reason == KindReason::would_be_late);  // W6
  CHECK(preferred_kind(nature).fast);
  WakeNature batch{};
  batch.compute_bound = true;
  CHECK(preferred_kind(batch).fast);
  batch.background = true;
  CHECK_FALSE(preferred_kind(batch).fast);
}

TEST_CASE("an option is made of the lowest point that is in time, and waking is charged") {
  const std::vector<OperatingPoint> points{{128, 30}, {256, 130}, {512, 600}};
  const ClusterEnergy cluster{points, 5, 5000, 2 * kMillisecond};
  const Nanos work = 5 * kMillisecond;  // on a full core: 40, 20 and 10 ms
  const DelayWish wish{DelayKind::interaction, 25, 12};
  const WakeOption awake = option_for(3, cluster, work, 0, false, wish);
  CHECK(awake.core == 3);
  CHECK(awake.capacity == 512);
  CHECK(awake.run_ms == 20);
  CHECK(std::abs(awake.run_energy_mj - 2.6) < 1e-9);
  CHECK(awake.wake_energy_mj == 0);
  const WakeOption asleep = option_for(3, cluster, work, 0, true, wish);
  CHECK(asleep.wait_ms == 2);
  CHECK(asleep.wake_energy_mj == 5);
  CHECK(asleep.run_ms == 20);
  // Behind a queue only the fastest point is in time; beyond that it is the fastest all the same.
  CHECK(option_for(3, cluster, work, 12 * kMillisecond, false, wish).run_ms == 10);
  CHECK(option_for(3, cluster, work, kSecond, false, wish).run_ms == 10);
  CHECK(option_for(3, cluster, work, 0, false, {}).run_ms == 40);  // background: no hurry
}

TEST_CASE("an awake little core is preferred to a sleeping big one for light work (W3)") {
  const std::vector<OperatingPoint> little{{128, 30}, {256, 130}};
  const std::vector<OperatingPoint> big{{512, 800}, {1024, 4000}};
  const ClusterEnergy littles{little, 0, 0, 0};
  const ClusterEnergy bigs{big, 10, 20000, 5 * kMillisecond};
  const DelayWish wish{DelayKind::interaction, 20, 12};
  const auto choose = [&](Nanos work) {
    const std::vector<WakeOption> options{option_for(0, bigs, work, 0, true, wish),
                                          option_for(4, littles, work, 0, false, wish)};
    return choose_option(options, wish, {}).index;
  };
  CHECK(choose(1 * kMillisecond) == 1);
  CHECK(choose(15 * kMillisecond) == 0);  // 60 ms on the little: far too late
}
