// SPDX-License-Identifier: BSL-1.0
// What the energy-aware profiles must save on a simulated phone, at equal deadlines met.
#include "sim/worlds/phone_world.hpp"

#include <cstdint>
#include <map>

#include "support/catch.hpp"

using namespace paceline_sim;
using namespace paceline::core::policy;

namespace {

/// Means over seeds.
struct Mean {
  double energy_mj = 0;
  double deadlines_met = 0;
  double frames_met = 0;
};

/// Counted once for each way to place.
const Mean& mean_of(PhonePlace place) {
  constexpr std::uint64_t kSeeds = 8;
  static std::map<PhonePlace, Mean> known;
  const auto [entry, fresh] = known.try_emplace(place);
  Mean& mean = entry->second;
  if (!fresh) return mean;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const PhoneResult result = PhoneWorld::run(seed, place);
    mean.energy_mj += result.energy_mj / kSeeds;
    mean.deadlines_met += result.deadlines_met / kSeeds;
    mean.frames_met += result.frames_met / kSeeds;
  }
  return mean;
}

}  // namespace

TEST_CASE("efficiency needs a fifth less energy than least-loaded placement, balanced a tenth") {
  const Mean baseline = mean_of(PhonePlace::least_loaded);
  const Mean littles = mean_of(PhonePlace::littles_first);
  const Mean balanced = mean_of(PhonePlace::balanced);
  const Mean efficiency = mean_of(PhonePlace::efficiency);
  for (const Mean& least_loaded : {baseline, littles}) {
    CHECK(efficiency.energy_mj <= 0.8 * least_loaded.energy_mj);
    CHECK(balanced.energy_mj <= 0.9 * least_loaded.energy_mj);
    for (const Mean& ours : {balanced, efficiency}) {
      CHECK(ours.deadlines_met >= least_loaded.deadlines_met - 0.001);
      CHECK(ours.frames_met >= least_loaded.frames_met - 0.001);
    }
  }
}

TEST_CASE("with the same clock requests placement alone saves a tenth or more") {
  const Mean paced = mean_of(PhonePlace::least_loaded_paced);
  const Mean balanced = mean_of(PhonePlace::balanced);
  CHECK(balanced.energy_mj <= 0.9 * paced.energy_mj);
  CHECK(balanced.deadlines_met >= paced.deadlines_met - 0.001);
}

TEST_CASE("performance meets at least as many deadlines as any other way to place") {
  const Mean performance = mean_of(PhonePlace::performance);
  for (const PhonePlace place :
       {PhonePlace::least_loaded, PhonePlace::balanced, PhonePlace::efficiency}) {
    CHECK(performance.deadlines_met >= mean_of(place).deadlines_met);
  }
}

TEST_CASE("the phone's energy model has no fault and its load leaves room") {
  const paceline_test::PolicyMachine machine = PhoneWorld::machine();
  const std::vector<ClusterEnergy> clusters = PhoneWorld::energy();
  CHECK(judge_energy_model({clusters}, machine.view()).fault == EnergyFault::none);
  CHECK(judge_energy_use({clusters}, machine.view()) == EnergyUse::possible);
  double load = 0;
  for (const PhoneTask& task : phone_workload()) {
    load += static_cast<double>(task.work) / static_cast<double>(task.period);
  }
  double capacity = 0;
  for (const ClusterView& cluster : machine.clusters_) {
    capacity += static_cast<double>(cluster.capacity) * cluster.count / kFullCapacity;
  }
  CHECK(load < 0.25 * capacity);
  CHECK(PhoneWorld::run(3, PhonePlace::balanced).energy_mj ==
        PhoneWorld::run(3, PhonePlace::balanced).energy_mj);
}
