// SPDX-License-Identifier: BSL-1.0
// C17 affinity-churn. While tasks wake and spawn each other, somebody from outside changes on which
// CPUs each thread of the process may run, from one to all of them.
//
// Invariants: every round of work ends, with the right sum, whatever the masks are; a runtime that
// is started under a mask has no more workers than the mask has CPUs; the masks are as before in
// the end.
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "../helper.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kTasks = 200;

std::vector<int> cpus_of(const cpu_set_t& mask) {
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

/// A random part of `cpus`, never nothing.
cpu_set_t some_of(const std::vector<int>& cpus, Rng& rng) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(cpus[rng.below(cpus.size())], &mask);
  for (const int cpu : cpus) {
    if (rng.below(2) == 0) CPU_SET(cpu, &mask);
  }
  return mask;
}

/// For every thread that there is just now; one that has just ended is none of ours.
unsigned allow_all_threads(const cpu_set_t& mask) {
  unsigned changed = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const int thread = std::atoi(entry.path().filename().c_str());
    if (::sched_setaffinity(thread, sizeof mask, &mask) == 0) ++changed;
  }
  return changed;
}

paceline::task<std::uint64_t> leaf(std::uint64_t value) {
  co_await paceline::sleep_for(std::chrono::microseconds(value % 50));
  co_await paceline::yield();
  co_return value;
}

paceline::task<std::uint64_t> sum_of(std::uint64_t tasks) {
  std::vector<paceline::task<std::uint64_t>> leaves;
  for (std::uint64_t i = 0; i < tasks; ++i) leaves.push_back(leaf(i));
  std::uint64_t sum = 0;
  for (const std::uint64_t value : co_await paceline::when_all(std::move(leaves))) sum += value;
  co_return sum;
}

}  // namespace

void run_affinity_churn(Context& context) {
  if (time_is_virtual()) throw Skip{"the simulated machine has no masks"};
  cpu_set_t original;
  if (::sched_getaffinity(0, sizeof original, &original) != 0) {
    throw Skip{"the system does not tell the affinity mask"};
  }
  const std::vector<int> cpus = cpus_of(original);
  Goal& changed = context.goal("the masks changed while tasks ran");
  Goal& one = context.goal("a runtime was started under a mask of one CPU");
  LiveRuntime rt(context);
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> rounds{0};
  Helper churn([&, rng = context.rng(2)]() mutable {
    while (!over.load(std::memory_order_relaxed)) {
      const std::uint64_t before = rounds.load(std::memory_order_relaxed);
      changed.reach_if(allow_all_threads(some_of(cpus, rng)) > 1 && before > 0);
      busy_for(static_cast<std::int64_t>(rng.below(2'000)) * kMicro);
    }
  });
  for (Rng rng = context.rng(1); context.more();) {
    const std::uint64_t tasks = 1 + rng.below(context.size(kTasks));
    const std::uint64_t sum = rt->block_on(sum_of(tasks));
    context.check(sum == tasks * (tasks - 1) / 2, "sum", "{} tasks gave {}", tasks, sum);
    context.op(tasks);
    rounds.fetch_add(1, std::memory_order_relaxed);
  }
  over = true;
  churn.join();
  rt.settle();

  // Whoever starts under a mask keeps to it.
  Rng rng = context.rng(3);
  for (int i = 0; i < 4; ++i) {
    const cpu_set_t mask = i == 0 ? some_of({cpus.front()}, rng) : some_of(cpus, rng);
    allow_all_threads(mask);
    const auto allowed = static_cast<std::size_t>(CPU_COUNT(&mask));
    one.reach_if(allowed == 1);
    paceline::runtime masked;
    context.check(masked.workers() <= allowed, "workers", "{} workers on {} allowed CPUs",
                  masked.workers(), allowed);
    const std::uint64_t sum = masked.block_on(sum_of(50));
    context.check(sum == 50 * 49 / 2, "sum", "50 tasks gave {}", sum);
  }
  allow_all_threads(original);
}

}  // namespace coretest
