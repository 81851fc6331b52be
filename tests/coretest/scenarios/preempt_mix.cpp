// SPDX-License-Identifier: BSL-1.0
// C10 preempt-mix and C11 blocking. Tasks compute a checksum in steps; between two steps they do at
// random what moves them about: reach a safepoint, wait on their stack, yield, sleep, await a
// child, block the thread, hold a guard. The sum must be that of a sequential run.
//
// Invariants: every task's sum is right, what it keeps on its stack stays; no thread runs two tasks
// at a time; the number of spare threads stays below the limit; nothing is left parked.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kTasks = 40;
constexpr std::uint64_t kSteps = 60;
constexpr std::uint64_t kSparesMost = 64;

std::uint64_t mixed(std::uint64_t sum, std::uint64_t step) noexcept {
  return (sum ^ step) * 0x9e3779b97f4a7c15ull + (sum >> 29);
}

std::uint64_t expected(std::uint64_t seed, std::uint64_t steps) noexcept {
  for (std::uint64_t i = 0; i < steps; ++i) seed = mixed(seed, i);
  return seed;
}

enum class Act : std::uint8_t { safepoint, wait, yield, sleep, child, block, guard, spawn };

class Mix {
 public:
  Mix(Context& context, bool blocks) : context_(context), blocks_(blocks) {}

  paceline::task<std::uint64_t> run(Rng rng, std::uint64_t seed) {
    std::uint64_t sum = seed;
    for (std::uint64_t i = 0; i < kSteps; ++i) {
      sum = mixed(sum, i);
      switch (static_cast<Act>(rng.below(8))) {
        case Act::safepoint:
          for (int k = 0; k < 2'000; ++k) paceline::preempt_point();
          break;
        case Act::wait: wait(static_cast<unsigned>(rng.below(20)), rng.below(2) != 0); break;
        case Act::yield: co_await paceline::yield(); break;
        case Act::sleep:
          co_await paceline::sleep_for(std::chrono::microseconds(rng.below(200)));
          break;
        case Act::child: sum ^= co_await child(seed) ^ seed; break;
        case Act::block:
          if (blocks_) block(static_cast<std::int64_t>(rng.below(400)) * kMicro);
          break;
        case Act::guard: {
          const paceline::nopreempt guard;
          busy_for(20 * kMicro);
          paceline::preempt_point();
          break;
        }
        case Act::spawn: sum ^= co_await paceline::spawn(child(seed)) ^ seed; break;
      }
      context_.op();
    }
    co_return sum;
  }

 private:
  static paceline::task<std::uint64_t> child(std::uint64_t value) {
    co_await paceline::yield();
    co_return value;
  }
  void wait(unsigned depth, bool sleeps) {
    volatile std::uint64_t kept = depth * 77;
    if (depth > 0) {
      wait(depth - 1, sleeps);
    } else if (sleeps) {
      paceline::await_here(paceline::sleep_for(std::chrono::microseconds(50)));
    } else {
      paceline::await_here(paceline::yield());
    }
    context_.check(kept == depth * 77, "stack", "a stack that waited holds {} instead of {}",
                   std::uint64_t{kept}, depth * 77);
  }
  void block(std::int64_t ns) {
    const auto thread = std::this_thread::get_id();
    paceline::blocking([&] { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); });
    context_.check(thread == std::this_thread::get_id(), "thread",
                   "a task came back from blocking on another thread");
  }

  Context& context_;
  const bool blocks_;
};

void run_mix(Context& context, bool blocks) {
  Goal& waited = context.goal("a stack waited");
  Goal& demoted = context.goal("a task gave way at a safepoint");
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    Mix mix(context, blocks);
    const std::uint64_t tasks = 1 + rng.below(context.size(kTasks));
    std::vector<std::pair<std::uint64_t, paceline::join_handle<std::uint64_t>>> all;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      const std::uint64_t seed = rng.next();
      const auto qos = static_cast<paceline::qos>(rng.below(paceline::qos_count));
      all.emplace_back(seed, rt->spawn(mix.run(Rng(rng.next()), seed), {.qos = qos}));
    }
    for (auto& [seed, handle] : all) {
      const std::uint64_t sum = handle.join();
      context.check(sum == expected(seed, kSteps), "sum", "a task's checksum is {:#x}, not {:#x}",
                    sum, expected(seed, kSteps));
    }
    const auto stats = rt->stats();
    waited.reach_if(stats.total.stack_waits > 0);
    demoted.reach_if(stats.total.demotions_safepoint > 0);
    if (blocks) context.goal("a worker changed its thread").reach_if(stats.handoffs > 0);
    context.check_bound(stats.spare_threads <= kSparesMost, "threads", "{} spare threads",
                        stats.spare_threads);
    context.check(stats.total.weak_live == 0, "parked", "{} executors are parked and no task lives",
                  stats.total.weak_live);
  }
  rt.settle();
  context.expect_forced_demotions();
}

}  // namespace

void run_preempt_mix(Context& context) { run_mix(context, false); }
void run_blocking(Context& context) { run_mix(context, true); }

}  // namespace coretest
