// SPDX-License-Identifier: BSL-1.0
// One thread of the operating system for each task: how long does one wait that ticks every 5 ms
// beside others that keep every core busy? The cases of benchmarks/latency_bench.cpp. All have the
// same, ordinary priority: who sleeps most is served soonest, as the system's own fairness has it.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <sys/prctl.h>

#include "../../hogs.hpp"

namespace {

using namespace pacebench;

Sample beside_hogs(std::size_t hogs, std::uint64_t ticks) {
  std::atomic<bool> over{false};
  std::atomic<std::size_t> started{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < hogs; ++i) {
    threads.emplace_back([&over, &started] {
      started.fetch_add(1);
      std::uint64_t x = kHogStart;
      while (!over.load(std::memory_order_relaxed)) x = hog_step(x);
      require(x != 0, "the hog computed");
    });
  }
  while (started.load() != hogs) std::this_thread::yield();
  TickDelays delays;
  std::thread([&delays, ticks] {
    // By default the system may add 50 us to every sleep.
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    auto due = TickDelays::Clock::now() + kTick;
    while (delays.count() < ticks) {
      std::this_thread::sleep_until(due);
      due = delays.serve(due, ticks);
    }
  }).join();
  over.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  return delays.sample();
}

Case latency(const char* name, const char* what, std::size_t hogs_per_worker) {
  return {name, "us", what, [hogs_per_worker](const Settings& s) {
            const std::uint64_t n = s.n != 0 ? s.n : kTicks;
            const std::size_t hogs = hogs_per_worker * s.workers;
            return Prepared{[hogs, n] { return beside_hogs(hogs, n); },
                            {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}}};
          }};
}

const Register registered[] = {
    Register(latency("latency/hogs_2",
                     "p99 delay of n ticks (400) of 5 ms beside 2 busy threads per worker", 2)),
    Register(latency("latency/hogs_8",
                     "p99 delay of n ticks (400) of 5 ms beside 8 busy threads per worker", 8)),
};

}  // namespace
