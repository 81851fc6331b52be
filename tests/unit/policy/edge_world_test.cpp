// SPDX-License-Identifier: BSL-1.0
// Proves what the verdicts of "Edge" add up to when they take every decision of a small world.
#include "unit/policy/edge_world.hpp"

#include <tuple>

#include "support/catch.hpp"

using namespace paceline::core::policy;
using paceline_test::EdgeWorld;
using paceline_test::Hog;
using paceline_test::Machine;

namespace {

const std::vector<double> kSpeeds{1.0, 0.4};

/// Clusters of P and of E cores.
Machine machine_of(const std::vector<std::uint16_t>& fast, const std::vector<std::uint16_t>& slow) {
  Machine machine;
  for (const std::uint16_t cores : fast) machine.add(0, cores);
  for (const std::uint16_t cores : slow) machine.add(1, cores);
  return machine;
}

/// The fastest hog's progress over the slowest one's.
double spread(const EdgeWorld& world) {
  double least = 1e300;
  double most = 0;
  for (std::uint32_t task = 0; task < world.hogs(); ++task) {
    least = std::min(least, world.hog(task).progress);
    most = std::max(most, world.hog(task).progress);
  }
  return most / least;
}

double spread_after_100_quanta(const Machine& machine, unsigned hogs, bool stirs) {
  EdgeWorld world(machine, Profile::xnu, kSpeeds, stirs);
  for (unsigned i = 0; i < hogs; ++i) world.spawn({});
  for (int i = 0; i < 100; ++i) {
    world.tick();
    CHECK(world.idle_workers() == 0);
  }
  return spread(world);
}

}  // namespace

TEST_CASE("statement 45: equal hogs on unequal cores make equal progress when stirred") {
  CHECK(spread_after_100_quanta(machine_of({4}, {4}), 8, true) <= 1.05);
  CHECK(spread_after_100_quanta(machine_of({2}, {4}), 6, true) <= 1.05);
  CHECK(spread_after_100_quanta(machine_of({4}, {2}), 6, true) <= 1.05);
}

TEST_CASE("statement 45: without stirring progress differs as the cores do") {
  using Catch::Matchers::WithinAbs;
  CHECK_THAT(spread_after_100_quanta(machine_of({4}, {4}), 8, false), WithinAbs(2.5, 1e-9));
  CHECK_THAT(spread_after_100_quanta(machine_of({2}, {4}), 6, false), WithinAbs(2.5, 1e-9));
  CHECK_THAT(spread_after_100_quanta(machine_of({4}, {2}), 6, false), WithinAbs(2.5, 1e-9));
}

TEST_CASE("as many hogs as cores leave no core idle on three and on four kinds, in any profile") {
  for (const Profile profile :
       {Profile::xnu, Profile::efficiency, Profile::balanced, Profile::performance}) {
    for (const std::vector<std::uint16_t>& cores :
         {std::vector<std::uint16_t>{4, 2, 2}, {1, 1, 1}, {2, 4, 2, 2}, {1, 3, 4}}) {
      Machine machine;
      unsigned count = 0;
      for (std::uint16_t rank = 0; rank < cores.size(); ++rank) {
        machine.add(rank, cores[rank]);
        count += cores[rank];
      }
      for (const bool stirs : {false, true}) {
        EdgeWorld world(machine, profile, {1.0, 0.7, 0.4, 0.3}, stirs);
        for (unsigned i = 0; i < count; ++i) world.spawn({});
        for (int i = 0; i < 100; ++i) {
          world.tick();
          CHECK(world.idle_workers() == 0);
        }
      }
    }
  }
}

TEST_CASE("stirring rotates over all clusters of the preferred kind") {
  CHECK(spread_after_100_quanta(machine_of({2, 2}, {4}), 8, true) <= 1.05);
  CHECK(spread_after_100_quanta(machine_of({2, 2, 2}, {3, 3}), 12, true) <= 1.05);
}

TEST_CASE("statement 41: a task that prefers P goes there within one poll of a P's idling") {
  EdgeWorld world(machine_of({2}, {2}), Profile::xnu, kSpeeds, false);
  for (int i = 0; i < 3; ++i) world.spawn({});
  REQUIRE(world.cluster_of(2) == 1);
  REQUIRE(world.outstanding() == 0);
  world.suspend(0);
  CHECK(world.outstanding() == 1);
  CHECK(world.cluster_of(2) == 1);
  world.poll();
  CHECK(world.cluster_of(2) == 0);
  CHECK(world.runs(2));
  CHECK(world.outstanding() == 0);
}

TEST_CASE("statement 42: idle workers never have more requests out than there are of them") {
  EdgeWorld world(machine_of({4}, {4}), Profile::xnu, kSpeeds, false);
  for (int i = 0; i < 8; ++i) world.spawn({});
  for (std::uint32_t gone = 0; gone < 4; ++gone) {
    world.suspend(gone);
    CHECK(world.outstanding() == gone + 1);
    world.search_all();  // who looks again does not ask again
    CHECK(world.outstanding() == gone + 1);
  }
  CHECK(world.rebalances() == 4);
  world.poll();
  for (std::uint32_t task = 4; task < 8; ++task) CHECK(world.cluster_of(task) == 0);
}

TEST_CASE("statement 44: a bound task leaves with its cluster and returns with it") {
  EdgeWorld world(machine_of({2, 2}, {2}), Profile::xnu, kSpeeds, false);
  const std::uint32_t task = world.spawn({.preferred = 2, .bound = 0});
  REQUIRE(world.cluster_of(task) == 0);
  world.recommend(0, false);
  world.tick();
  CHECK(world.cluster_of(task) == 1);
  world.tick();
  CHECK(world.cluster_of(task) == 1);
  world.recommend(0, true);
  world.tick();
  CHECK(world.cluster_of(task) == 0);
}

TEST_CASE("statement 47: shared tasks that are queued stay queued whoever idles") {
  EdgeWorld world(machine_of({1}, {1, 1}), Profile::xnu, kSpeeds, false);
  const Hog shared{.preferred = 0, .shared = shared_use(true, true)};
  for (int i = 0; i < 6; ++i) world.spawn(shared);
  for (ClusterIndex c = 0; c < 3; ++c) CHECK(world.view().shared(c, SharedUse::round_robin) == 2);
  // The last of two ends; nothing is pulled over from the clusters that still have two.
  for (std::uint32_t task = 0; task < 6; ++task) {
    if (world.cluster_of(task) == 2) world.suspend(task);
  }
  world.search_all();
  CHECK(world.view().shared(2, SharedUse::round_robin) == 0);
  CHECK(world.view().shared(0, SharedUse::round_robin) == 2);
  CHECK(world.view().shared(1, SharedUse::round_robin) == 2);
}

TEST_CASE("statement 48: a new preference moves queued and running tasks only when told to") {
  const auto moved = [](PreferenceOptions options) {
    // Six tasks that prefer E: two run there, four wait.
    EdgeWorld world(machine_of({8}, {2}), Profile::xnu, kSpeeds, false);
    for (int i = 0; i < 6; ++i) world.spawn({.preferred = 1});
    REQUIRE(world.cluster_of(5) == 1);
    world.prefer(0, options);
    unsigned at_once = 0;
    for (std::uint32_t task = 0; task < 6; ++task) at_once += world.cluster_of(task) == 0 ? 1 : 0;
    const bool marked = world.view().foreign_running(1) == rank_bit(0);
    world.poll();
    unsigned after_poll = 0;
    for (std::uint32_t task = 0; task < 6; ++task)
      after_poll += world.cluster_of(task) == 0 ? 1 : 0;
    return std::tuple{at_once, after_poll, marked};
  };
  CHECK(moved({}) == std::tuple{0u, 0u, true});
  CHECK(moved({.migrate_queued = true}) == std::tuple{4u, 4u, true});
  CHECK(moved({.migrate_running = true}) == std::tuple{0u, 2u, true});
  CHECK(moved({.migrate_running = true, .migrate_queued = true}) == std::tuple{4u, 6u, true});
}

TEST_CASE("statement 49: narrow work wakes no other cluster") {
  EdgeWorld world(machine_of({4, 4}, {4}), Profile::balanced, kSpeeds, true);
  for (int i = 0; i < 4; ++i) world.spawn({});
  paceline::core::Rng rng(5);
  for (int i = 0; i < 200; ++i) {
    const auto task = static_cast<std::uint32_t>(rng.below(4));
    world.suspend(task);
    if (rng.below(2) == 0) world.tick();
    world.wake(task);
    world.tick();
  }
  CHECK(world.wakes(0) >= 200);
  CHECK(world.wakes(1) == 0);
  CHECK(world.wakes(2) == 0);
  // One task more than the cluster has workers opens the next cluster of the kind.
  world.spawn({});
  CHECK(world.wakes(1) == 1);
  CHECK(world.wakes(2) == 0);
}

TEST_CASE("a cluster that stops taking work is drained and looks for work when it begins again") {
  EdgeWorld world(machine_of({2, 2}, {}), Profile::xnu, kSpeeds, false);
  for (int i = 0; i < 6; ++i) world.spawn({});
  world.recommend(1, false);
  world.tick();
  for (std::uint32_t task = 0; task < 6; ++task) CHECK(world.cluster_of(task) == 0);
  world.recommend(1, true);
  unsigned there = 0;
  for (std::uint32_t task = 0; task < 6; ++task) there += world.cluster_of(task) == 1 ? 1 : 0;
  CHECK(there == 1);
  world.search_all();
  CHECK(world.idle_workers() == 0);
}
