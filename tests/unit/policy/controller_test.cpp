// SPDX-License-Identifier: BSL-1.0
// Proves that the slow hand changes what it should, when it should, and never more.
#include "policy/controller.hpp"

#include <stdexcept>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/policy_machine.hpp"

using namespace paceline;
using namespace paceline::core;
using namespace paceline::core::policy;
using paceline_test::alike;
using paceline_test::PolicyMachine;

namespace {

/// 4 P in cluster 0, 4 E in cluster 1, and 4 more P in cluster 2.
struct Bench {
  explicit Bench(ProfileName name)
      : controller(machine.view(), make_profile(name).profile, 0), latency(3 * qos_count, 0) {}

  ControllerChanges step(Nanos after = kLeastStep) {
    now += after;
    return controller.step({now, utilisation, latency, health, demand, energy});
  }
  /// Steps until nothing has changed for a while.
  void settle() {
    for (int i = 0; i < 40; ++i) step(kMostStep);
  }
  void set_latency(std::uint32_t cluster, qos q, std::uint32_t us) {
    latency[cluster * qos_count + static_cast<std::size_t>(q)] = us;
  }

  PolicyMachine machine{{{0, 1024, 0, 0, 4, 1}, {1, 400, 0, 0, 4, 1}, {0, 1024, 0, 1, 4, 1}}};
  Controller controller;
  Nanos now = 0;
  std::vector<std::uint32_t> utilisation = std::vector<std::uint32_t>(12, 0);
  std::vector<std::uint32_t> latency;
  std::vector<ClusterHealth> health = std::vector<ClusterHealth>(3, {true, false});
  std::array<std::uint32_t, qos_count> demand{};
  EnergyUse energy = EnergyUse::possible;
};

}  // namespace

TEST_CASE("classes and categories begin on the clusters of their kind") {
  const Bench bench(ProfileName::balanced);
  CHECK(bench.controller.preferred(qos::urgent) == 0);
  CHECK(bench.controller.preferred(qos::user_interactive) == 0);
  CHECK(bench.controller.preferred(qos::utility) == 1);
  CHECK(bench.controller.preferred(qos::background) == 1);
  CHECK(bench.controller.preferred(WorkCategory::performance_critical) == 0);
  CHECK(bench.controller.preferred(WorkCategory::latency_sensitive) == 0);
  CHECK(bench.controller.preferred(WorkCategory::batch_processing) == 1);
  CHECK(bench.controller.preferred(WorkCategory::background_cleanup) == 1);
  CHECK(Bench(ProfileName::performance).controller.preferred(qos::standard) == 0);
  CHECK(Bench(ProfileName::efficiency).controller.preferred(qos::standard) == 1);
}

TEST_CASE("energy goes off and balancing on above 80 percent, and back after two calm steps") {
  Bench bench(ProfileName::balanced);
  CHECK(bench.controller.energy_state() == EnergyState::on);
  CHECK_FALSE(bench.controller.balancing().on);
  bench.utilisation[5] = 330;  // of 400
  const ControllerChanges over = bench.step();
  CHECK(over.energy);
  CHECK(over.balancing);
  CHECK(over.next == bench.now + kLeastStep);
  CHECK(bench.controller.energy_state() == EnergyState::over_utilised);
  CHECK(bench.controller.balancing().reason == BalancingReason::over_utilised);
  bench.utilisation[5] = 100;
  CHECK_FALSE(bench.step().any());  // one calm step could be a gap
  CHECK(bench.controller.over_utilised());
  CHECK(bench.step().energy);
  CHECK(bench.controller.energy_state() == EnergyState::on);
  CHECK_FALSE(bench.controller.balancing().on);
}

TEST_CASE("energy stays off where the profile or the machine rules it out") {
  Bench performance(ProfileName::performance);
  performance.step();
  CHECK(performance.controller.energy_state() == EnergyState::profile_off);
  CHECK(performance.controller.balancing().on);
  Bench balanced(ProfileName::balanced);
  balanced.energy = EnergyUse::smt;
  CHECK(balanced.step().energy);
  CHECK(balanced.controller.energy_state() == EnergyState::not_possible);
  CHECK(balanced.controller.balancing().reason == BalancingReason::energy_is_off);
}

TEST_CASE("steps come after 10 ms while things change and rest up to 125 ms") {
  Bench bench(ProfileName::balanced);
  CHECK(bench.step(kLeastStep - 1).reason == StepReason::too_early);
  Nanos wait = bench.step(1).next - bench.now;
  CHECK(wait == 2 * kLeastStep);
  Nanos last = 0;
  for (int i = 0; i < 10; ++i) {
    last = wait;
    wait = bench.step(wait).next - bench.now;
    CHECK(wait >= last);
  }
  CHECK(wait == kMostStep);
  bench.utilisation[0] = 1000;
  CHECK(bench.step(wait).next - bench.now == kLeastStep);
}

TEST_CASE("a preference moves to a native cluster only for more than 64 us and after a rest") {
  Bench bench(ProfileName::balanced);
  bench.set_latency(0, qos::user_interactive, 64);
  bench.settle();
  CHECK(bench.controller.preferred(qos::user_interactive) == 0);
  bench.set_latency(0, qos::user_interactive, 65);
  const ControllerChanges changes = bench.step();
  CHECK(changes.classes == 1u << static_cast<unsigned>(qos::user_interactive));
  CHECK(bench.controller.preferred(qos::user_interactive) == 2);
  // The category of that class sees the same latency.
  CHECK(changes.categories == 1u << static_cast<unsigned>(WorkCategory::latency_sensitive));
  // The tide turns at once, and is waited out.
  bench.set_latency(0, qos::user_interactive, 0);
  bench.set_latency(2, qos::user_interactive, 500);
  CHECK(bench.step().classes == 0);
  CHECK(bench.step(kPreferenceRest).classes != 0);
  CHECK(bench.controller.preferred(qos::user_interactive) == 0);
}

TEST_CASE("a mixed class leaves the slow kind when it is overloaded and returns when it is not") {
  Bench bench(ProfileName::balanced);
  bench.settle();
  bench.set_latency(1, qos::utility, 200);
  const ControllerChanges changes = bench.step();
  CHECK(changes.upwards);
  CHECK(bench.controller.upwards_open());
  CHECK(bench.controller.preferred(qos::utility) == 0);
  CHECK(bench.controller.preferred(qos::background) == 1);  // never
  bench.set_latency(1, qos::utility, 0);
  bench.settle();
  CHECK_FALSE(bench.controller.upwards_open());
  CHECK(bench.controller.preferred(qos::utility) == 1);
  // The efficiency profile keeps it down.
  Bench lean(ProfileName::efficiency);
  lean.set_latency(1, qos::utility, 200);
  lean.settle();
  CHECK_FALSE(lean.controller.upwards_open());
  CHECK(lean.controller.preferred(qos::utility) == 1);
}

TEST_CASE("a hot or offline cluster is derecommended and left at once, but never the last one") {
  Bench bench(ProfileName::balanced);
  bench.health[0].hot = true;
  const ControllerChanges changes = bench.step();
  CHECK(changes.clusters == 1);
  CHECK(bench.controller.advice(0) == ClusterAdvice::hot);
  CHECK(bench.controller.preferred(qos::user_interactive) == 2);
  bench.health[2].online = false;
  bench.step();
  CHECK(bench.controller.advice(2) == ClusterAdvice::offline);
  CHECK(bench.controller.preferred(qos::user_interactive) == 1);  // all that is left
  bench.health[1].hot = true;
  bench.step();
  CHECK(bench.controller.recommended(0));  // all hot: none is spared
  CHECK(bench.controller.recommended(1));
  CHECK_FALSE(bench.controller.recommended(2));
  bench.health.assign(3, {false, false});
  bench.step();
  CHECK(bench.controller.recommended(0));  // nonsense from the system changes nothing for good
  bench.health.assign(3, {true, false});
  bench.step();
  CHECK(bench.controller.recommended(2));
}

TEST_CASE("efficiency parks fast clusters while nobody waits and the rest has room for all") {
  Bench bench(ProfileName::efficiency);
  bench.utilisation[0] = 200;
  bench.step();
  CHECK(bench.controller.advice(0) == ClusterAdvice::packed);
  CHECK(bench.controller.advice(2) == ClusterAdvice::packed);
  CHECK(bench.controller.preferred(qos::user_interactive) == 1);
  bench.demand[static_cast<std::size_t>(qos::user_initiated)] = 1;
  bench.step();
  CHECK(bench.controller.recommended(0));
  CHECK(bench.controller.preferred(qos::user_interactive) == 0);
  bench.demand = {};
  bench.utilisation[3] = 700;  // 900 is more than half of 1600
  bench.step();
  CHECK(bench.controller.recommended(0));
  bench.utilisation[3] = 600;
  bench.step();
  CHECK(bench.controller.advice(0) == ClusterAdvice::packed);
  // Other profiles and machines of one kind never do.
  Bench balanced(ProfileName::balanced);
  balanced.step();
  CHECK(balanced.controller.recommended(0));
  const PolicyMachine same(alike(2, 4, 1, 1));
  Controller alone(same.view(), make_profile(ProfileName::efficiency).profile, 0);
  CHECK(alone.step({kSecond, {}, {}, {}, {}, EnergyUse::symmetric}).clusters == 0);
}

TEST_CASE("a clock that stands still or goes back stops nothing for good") {
  Bench bench(ProfileName::balanced);
  bench.settle();
  bench.utilisation[0] = 1000;
  CHECK(bench.step(0).reason == StepReason::too_early);
  bench.now = 0;
  CHECK(bench.step(5 * kMillisecond).reason == StepReason::clock_back);
  CHECK(bench.step().energy);
  bench.set_latency(0, qos::user_interactive, 500);
  CHECK(bench.step(kPreferenceRest).classes != 0);
}

TEST_CASE("whatever the snapshots say, each class has a recommended cluster") {
  Rng rng(20);
  Bench bench(ProfileName::efficiency);
  for (int i = 0; i < 3000; ++i) {
    if (rng.below(50) == 0) {
      bench.controller.use(make_profile(static_cast<ProfileName>(rng.below(3))).profile);
    }
    for (auto& value : bench.utilisation) value = static_cast<std::uint32_t>(rng.below(1200));
    for (auto& value : bench.latency) {
      value = rng.below(4) == 0 ? kInfiniteLatency : static_cast<std::uint32_t>(rng.below(300));
    }
    for (auto& value : bench.health) value = {rng.below(3) != 0, rng.below(3) == 0};
    for (auto& value : bench.demand) value = static_cast<std::uint32_t>(rng.below(2));
    bench.step(static_cast<Nanos>(rng.below(200)) * kMillisecond);
    bool one = false;
    for (std::uint32_t c = 0; c < 3; ++c) one = one || bench.controller.recommended(c);
    REQUIRE(one);
    for (std::size_t q = 0; q < qos_count; ++q) {
      REQUIRE(bench.controller.recommended(bench.controller.preferred(static_cast<qos>(q))));
    }
  }
}

TEST_CASE("a controller refuses a machine that contradicts itself") {
  const ProfileSettings profile = make_profile(ProfileName::balanced).profile;
  CHECK_THROWS_AS(Controller({}, profile, 0), std::invalid_argument);
}
