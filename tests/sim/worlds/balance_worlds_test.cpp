// SPDX-License-Identifier: BSL-1.0
// What balancing, waking and home placement must show in simulated worlds (statements 57 to 60).
// A failure prints its seed; the worlds depend on nothing else.
#include <cmath>
#include <cstdint>

#include "sim/worlds/cache_world.hpp"
#include "sim/worlds/hogs_world.hpp"
#include "sim/worlds/home_world.hpp"
#include "sim/worlds/mixed_world.hpp"
#include "support/catch.hpp"

using namespace paceline_sim;
using paceline::core::kMillisecond;
using paceline::core::kSecond;

TEST_CASE("statement 57: forty hogs on forty cores spread to 8 percent within 1 s and then rest") {
  double before = 0;
  constexpr std::uint64_t kSeeds = 25;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const HogsResult result = HogsWorld::run(seed);
    INFO("seed " << seed);
    CHECK(result.spread_at_1s <= 8);
    CHECK(result.spread_after <= 8);
    CHECK(result.moves > 0);
    CHECK(result.moves_after_1s == 0);
    CHECK(result.last_move < kSecond);
    before += result.spread_before / kSeeds;
  }
  // Independent random places give 47.9 (policies.md 4.7).
  CHECK(std::abs(before - 47.9) < 3);
}

TEST_CASE("statement 58: bursts of I/O beside hogs take at most 12 ms, and a quarter of FIFO's") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    const MixedResult ours = MixedWorld::run(seed);
    const MixedResult baseline = MixedWorld::run_baseline(seed);
    const MixedResult even = MixedWorld::run_even_baseline(seed);
    REQUIRE(ours.bursts > 3000);
    CHECK(ours.mean_ms <= 12);
    CHECK(ours.mean_ms * 4 <= baseline.mean_ms);
    CHECK(ours.mean_ms * 4 <= even.mean_ms);
    CHECK(ours.max_ms <= baseline.max_ms);
    CHECK(ours.cpu_share >= 0.95);  // the hogs get what is left
  }
}

TEST_CASE("statement 59: moved every 10 ms a task has 65 percent of its speed, every 1 ms 30") {
  const FixedPeriodResult ten = CacheWorld::run_fixed(10 * kMillisecond, kSecond);
  CHECK(std::abs(ten.speed_percent - 65) <= 1);
  CHECK(std::abs(ten.hit_rate_percent - 60) <= 1);
  const FixedPeriodResult one = CacheWorld::run_fixed(kMillisecond, kSecond);
  CHECK(std::abs(one.speed_percent - 30) <= 1);
  CHECK(std::abs(one.hit_rate_percent - 20) <= 1);
  const FixedPeriodResult never = CacheWorld::run_fixed(100 * kSecond, 100 * kSecond);
  CHECK(never.speed_percent > 99);
}

TEST_CASE("statement 59: when Paceline decides, no task moves as often as every 10 ms") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    const CacheResult result = CacheWorld::run(seed);
    CHECK(result.moves > 0);
    CHECK(result.shortest_gap >= 10 * kMillisecond);
    CHECK(result.mean_gap_busiest > 20 * kMillisecond);
    CHECK(result.speed_percent >= 95);
  }
}

TEST_CASE("statement 60: 95 percent of runs are at home, at 1.7 times the far bandwidth") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    const HomeResult home = HomeWorld::run(seed, WakePlace::home);
    REQUIRE(home.bursts > 10000);
    CHECK(home.at_home >= 0.95);
    CHECK(home.bandwidth >= 1.7 * HomeWorld::kFarGbs);
    // Placement that does not know of nodes runs every other burst at home.
    const HomeResult blind = HomeWorld::run(seed, WakePlace::blind);
    CHECK(std::abs(blind.at_home - 0.5) < 0.05);
    CHECK(home.bandwidth >= 1.2 * blind.bandwidth);
  }
}

TEST_CASE("a world gives the same result for the same seed and another for another") {
  const HogsResult a = HogsWorld::run(7);
  const HogsResult b = HogsWorld::run(7);
  CHECK(a.moves == b.moves);
  CHECK(a.spread_before == b.spread_before);
  CHECK(a.last_move == b.last_move);
  const CacheResult first = CacheWorld::run(1);
  CHECK(first.moves == CacheWorld::run(1).moves);
  CHECK(first.speed_percent == CacheWorld::run(1).speed_percent);
  CHECK(first.moves != CacheWorld::run(2).moves);
}
