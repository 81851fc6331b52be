// SPDX-License-Identifier: BSL-1.0
// Proves how many workers there are and where (statement 8): from what the machine says to a plan,
// as a pure function, for machines of 1 to 384 cores, sparse numbers and every kind of quota.
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "sched/runtime_core.hpp"
#include "support/catch.hpp"

using namespace paceline::core;

namespace {

std::vector<int> cpus(std::size_t count, int first = 0, int step = 1) {
  std::vector<int> found(count);
  for (std::size_t i = 0; i < count; ++i) found[i] = first + static_cast<int>(i) * step;
  return found;
}

constexpr double kNoQuota = 0;

}  // namespace

TEST_CASE("without a wish there is one worker for each usable core") {
  for (const std::size_t count : {1u, 3u, 5u, 24u, 384u}) {
    const WorkerPlan plan = plan_workers(0, true, cpus(count), kNoQuota);
    REQUIRE(plan.workers == count);
    REQUIRE(plan.pin);
    REQUIRE(plan.cpus == cpus(count));
  }
}

TEST_CASE("sparse and offline core numbers are kept and never invented") {
  for (const std::vector<int>& usable :
       {std::vector<int>{7}, std::vector<int>{0, 2, 4}, std::vector<int>{1, 17, 255, 1023, 4095},
        cpus(24, 100, 3), cpus(384, 5, 2)}) {
    const WorkerPlan plan = plan_workers(0, true, usable, kNoQuota);
    REQUIRE(plan.workers == usable.size());
    REQUIRE(plan.pin);
    REQUIRE(plan.cpus == usable);
  }
}

TEST_CASE("workers are bound to cores only if there is one for each") {
  REQUIRE(plan_workers(4, true, cpus(4), kNoQuota).pin);
  REQUIRE_FALSE(plan_workers(3, true, cpus(4), kNoQuota).pin);
  REQUIRE_FALSE(plan_workers(5, true, cpus(4), kNoQuota).pin);
  REQUIRE_FALSE(plan_workers(4, false, cpus(4), kNoQuota).pin);
  REQUIRE_FALSE(plan_workers(0, true, cpus(4), 2).pin);
}

TEST_CASE("a wish is granted whatever the quota and the machine are") {
  for (const std::size_t asked : {1u, 2u, 7u, 64u, 1024u}) {
    REQUIRE(plan_workers(asked, true, cpus(4), kNoQuota).workers == asked);
    REQUIRE(plan_workers(asked, true, cpus(4), 0.5).workers == asked);
    REQUIRE(plan_workers(asked, true, cpus(4), 1'000).workers == asked);
  }
}

TEST_CASE("a quota is rounded up and never below one worker") {
  REQUIRE(plan_workers(0, true, cpus(8), 0.01).workers == 1);
  REQUIRE(plan_workers(0, true, cpus(8), 0.5).workers == 1);
  REQUIRE(plan_workers(0, true, cpus(8), 1).workers == 1);
  REQUIRE(plan_workers(0, true, cpus(8), 1.5).workers == 2);
  REQUIRE(plan_workers(0, true, cpus(8), 7.001).workers == 8);
  REQUIRE(plan_workers(0, true, cpus(8), 8).workers == 8);
}

TEST_CASE("a quota above the machine or beyond reason limits nothing") {
  for (const double quota :
       {8.5, 100.0, 1e9, 1.8446744073709552e19, 1e20, 1e300, std::numeric_limits<double>::max(),
        std::numeric_limits<double>::infinity()}) {
    REQUIRE(plan_workers(0, true, cpus(8), quota).workers == 8);
    REQUIRE(plan_workers(0, true, cpus(8), quota).pin);
  }
}

TEST_CASE("a quota of zero, less or not a number is no quota") {
  for (const double quota : {0.0, -0.0, -1.0, -1e300, -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    REQUIRE(plan_workers(0, true, cpus(8), quota).workers == 8);
  }
}

TEST_CASE("no machine and no wish gives fewer than one or more than the most workers") {
  REQUIRE(plan_workers(0, true, {}, kNoQuota).workers == 1);
  REQUIRE_FALSE(plan_workers(0, true, {}, kNoQuota).pin);
  REQUIRE(plan_workers(0, true, cpus(5'000), kNoQuota).workers == kMaxWorkers);
  REQUIRE_FALSE(plan_workers(0, true, cpus(5'000), kNoQuota).pin);
  REQUIRE(plan_workers(1'000'000, true, cpus(4), kNoQuota).workers == kMaxWorkers);
}
