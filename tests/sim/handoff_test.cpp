// SPDX-License-Identifier: BSL-1.0
// Proves what the monitor decides about time, on the simulated machine: there a processor is never
// taken away, so what it sees is what the tasks do.
#include <chrono>

#include <paceline/paceline.hpp>

#include "sim/machine/simulation.hpp"
#include "support/catch.hpp"

using namespace paceline;
using namespace std::chrono_literals;
using paceline::core::kMicrosecond;
using paceline::core::kMillisecond;
using paceline::core::Nanos;
namespace simulation = paceline::core::simulation;

namespace {

/// A process has one simulated machine.
void on_simulated_machine() {
  static const bool begun = [] {
    simulation::begin({.seed = 1});
    return true;
  }();
  static_cast<void>(begun);
}

Nanos elapsed() { return simulation::facts().elapsed; }

struct Spawned {
  std::uint64_t elsewhere = 0;  // ran on another worker
  std::uint64_t handoffs = 0;   // by the end of it
};

/// A task on worker 0 of two spawns tasks of 10 us, as many as are taken, while `goes_on()`. Before
/// that, `first()`.
template <class First, class GoesOn>
Spawned spawn_on_first_worker(First first, GoesOn goes_on) {
  on_simulated_machine();
  runtime_options options;
  options.workers = 2;
  options.handoff_after = 10ms;
  runtime rt(options);
  Spawned seen;
  int pending = 0;
  rt.spawn({.core = 0}, [&] {
      first();
      while (goes_on()) {
        simulation::pass(kMicrosecond);
        if (pending >= 256) continue;
        ++pending;
        spawn({}, [&] {
          simulation::pass(10 * kMicrosecond);
          seen.elsewhere += this_task::worker() == 1 ? 1 : 0;
          --pending;
        }).detach();
      }
      seen.handoffs = rt.stats().handoffs;
    }).join();
  return seen;
}

}  // namespace

TEST_CASE("a task that spawns keeps its worker while others take what it spawns") {
  // Three times as long as a spawner is left alone otherwise.
  Nanos until = 0;
  const Spawned seen = spawn_on_first_worker([&] { until = elapsed() + 300 * kMillisecond; },
                                             [&] { return elapsed() < until; });
  CHECK(seen.handoffs == 0);
  CHECK(seen.elsewhere > 1'000);
}

TEST_CASE("a task that spawns loses its worker if something waits there that nobody may take") {
  bool bound_ran = false;
  Nanos limit = 0;
  const Spawned seen = spawn_on_first_worker(
      [&] {
        limit = elapsed() + 1'000 * kMillisecond;
        spawn({.core = 0}, [&] { bound_ran = true; }).detach();
      },
      [&] { return !bound_ran && elapsed() < limit; });
  CHECK(bound_ran);
  CHECK(seen.handoffs == 1);
  CHECK(seen.elsewhere > 1'000);
}
