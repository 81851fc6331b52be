// SPDX-License-Identifier: BSL-1.0
// One operation of a running runtime, tried with its first, second, ... k-th call failing, until it
// passes without a failure; and what must hold after each try.
#pragma once

#include "faults.hpp"

#include <cstdio>
#include <functional>
#include <new>
#include <span>

#include "unit/api/fixtures.hpp"

namespace paceline_test {

/// What the scenarios use. `armed()` begins the part in which a call may fail.
struct Stage {
  paceline::runtime& rt;
  paceline::runtime& other;
  fault::Call call = fault::Call::allocation;
  unsigned fails_at = 0;
  bool delivered = false;  // the failure

  void armed() const { fault::arm(call, fails_at); }
  void disarmed() { delivered |= fault::disarm(); }
};

/// One operation; gives 42 or throws std::bad_alloc.
struct Scenario {
  const char* name;
  std::function<int(Stage&)> run;
};

/// Longer than the small buffer of a string.
inline constexpr const char* kLongName = "a task with a name that does not fit into a small string";

/// Runs `body(stage)` in a task and gives its value; armed from the task's first instruction on.
template <class Body>
int inside(Stage& stage, Body body) {
  auto outer = [&stage, body]() -> paceline::task<int> {
    stage.armed();
    co_return co_await body(stage);
  };
  return stage.rt.spawn({}, outer).join();
}

/// Makes every worker of a runtime allocate what it allocates once and keeps: which worker runs a
/// scenario, nobody knows beforehand.
inline void warm_up(paceline::runtime& rt) {
  using namespace paceline;
  auto every_class = []() -> task<int> {
    int sum = 0;
    for (std::size_t i = 0; i < qos_count; ++i) {
      spawn_options options{.qos = static_cast<qos>(i), .name = kLongName};
      join_handle<int> child = spawn(forty_two(), options);
      sum += co_await std::move(child);
    }
    co_return sum / static_cast<int>(qos_count);
  };
  for (std::size_t i = 0; i < rt.workers(); ++i) {
    CHECK(rt.spawn({.core = i}, every_class).join() == 42);
  }
}

/// Tries each scenario with the k-th call failing, for every k. After each try: a value or
/// std::bad_alloc, nothing leaked, nothing alive, nothing lost, and the runtime works. Returns how
/// many calls could fail, over all scenarios.
inline unsigned expect_survival(std::span<const Scenario> scenarios,
                                fault::Call call = fault::Call::allocation) {
  using namespace paceline;
  runtime rt(workers(2));
  runtime other(one_worker());
  Stage stage{.rt = rt, .other = other, .call = call};
  warm_up(rt);
  warm_up(other);
  const auto settled = [&] {
    rt.wait_idle();
    other.wait_idle();
    return fault::live_allocations();
  };
  unsigned all_points = 0;
  for (const Scenario& scenario : scenarios) {
    // What else is allocated once and kept, by the runtime or the test's own tools, is there then.
    stage.fails_at = 0;
    int clean = 0;
    for (int i = 0; i < 5; ++i) clean += scenario.run(stage);
    fault::disarm();
    INFO(scenario.name);
    CHECK(clean == 5 * 42);

    all_points += fault::for_every_failure([&](unsigned k) {
      // What is taken once and kept shows in one go, as when a worker meets a size of frames for
      // the first time; what a failure leaks shows in every go.
      bool delivered = false;
      long leaked = 1;
      for (int go = 0; go < 5 && leaked != 0; ++go) {
        stage.fails_at = k;
        const long before = settled();
        int value = 42;
        bool threw = false;
        try {
          value = scenario.run(stage);
        } catch (const std::bad_alloc&) {
          threw = true;
        }
        const bool delivered_now = stage.delivered | fault::disarm();
        delivered |= delivered_now;
        stage.delivered = false;
        leaked = settled() - before;
        CHECK(value == 42);
        CHECK((delivered_now || !threw));
      }
      CHECK(leaked == 0);
      CHECK(rt.stats().live == 0);
      CHECK(other.stats().live == 0);
      CHECK(rt.stats().total.spawned == rt.stats().total.completed);
      CHECK(rt.block_on(forty_two()) == 42);
      return delivered;
    });
  }
  CHECK(other.block_on(forty_two()) == 42);
  return all_points;
}

}  // namespace paceline_test
