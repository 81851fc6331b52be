// SPDX-License-Identifier: BSL-1.0
#include "scenario.hpp"

#include <array>

#include "scenarios/scenarios.hpp"

namespace coretest {

namespace {

constexpr std::array<Scenario, 16> kScenarios = {{
    {"C01", "sleepers", "staggered sleepers: all end, no sleep is short, the last ends in time", 1,
     &run_sleepers},
    {"C02", "hog",
     "hogs on every worker, polite ones and not: sleepers beside them keep their time", 1,
     &run_hog},
    {"C03", "ring", "tokens in rings of 2 to 4096 tasks: one token each, in order; cost per hop", 1,
     &run_ring},
    {"C04", "wake-storm",
     "threads and signal handlers wake tasks: every wake is seen, nobody runs twice", 1,
     &run_wake_storm},
    {"C05", "wake-late", "wakers of finished tasks, reused slots and dead runtimes hit nobody", 1,
     &run_wake_late},
    {"C06", "park-edge", "single items handed over just as workers fall asleep: each runs in time",
     1, &run_park_edge},
    {"C07", "spawn-flood", "millions of tiny tasks, bounded and not: none lost, memory as promised",
     1, &run_spawn_flood},
    {"C08", "fork-join", "trees of when_all that throw at random: the exact sum or one exception",
     1, &run_fork_join},
    {"C09", "steal", "all work on one worker: the others help, and a task behind a long poll runs",
     2, &run_steal},
    {"C10", "preempt-mix",
     "tasks that give way, wait on their stacks and yield: the sequential sum", 1,
     &run_preempt_mix},
    {"C11", "blocking", "the same with blocked threads: each worker changes hands, never is in two",
     1, &run_blocking},
    {"C12", "timers", "sleeps set, cancelled and set again: never early, each ends once, in time",
     1, &run_timers},
    {"C16", "shutdown", "runtimes built and destroyed at random moments: nothing leaks or hangs", 1,
     &run_shutdown},
    {"C17", "affinity-churn",
     "somebody changes where each thread may run: work goes on, new runtimes keep to the mask", 1,
     &run_affinity_churn},
    {"C18", "qos",
     "more work of every class than cores: none waits beyond its bound, no important one gets less",
     1, &run_qos},
    {"C19", "stacks", "thousands of stacks wait at once: each keeps what is on it, and comes back",
     1, &run_stacks},
}};

}  // namespace

std::span<const Scenario> scenarios() noexcept { return kScenarios; }

const Scenario* find_scenario(std::string_view name) noexcept {
  for (const Scenario& scenario : kScenarios) {
    if (scenario.name == name || scenario.id == name) return &scenario;
  }
  return nullptr;
}

}  // namespace coretest
