// SPDX-License-Identifier: BSL-1.0
// mixed_qos: four kinds of work at once, each in the class that its purpose calls for, and how long
// each had to wait for its turn.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <paceline/paceline.hpp>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using paceline::task_category;

namespace {

constexpr auto kFor = 1s;

/// The waits of one kind of work. Its tasks may run side by side.
struct Waits {
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::int64_t> sum_us{0};
  std::atomic<std::int64_t> longest_us{0};

  void add(Clock::duration wait) {
    const std::int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(wait).count();
    turns.fetch_add(1);
    sum_us.fetch_add(us);
    for (std::int64_t was = longest_us.load(); was < us;) {
      if (longest_us.compare_exchange_weak(was, us)) break;
    }
  }
};

/// Computes for a while, and lets others go first wherever it can.
void compute(std::chrono::microseconds how_long) {
  for (const auto end = Clock::now() + how_long; Clock::now() < end;) paceline::preempt_point();
}

/// Piece after piece of work of one category, until the time is up.
paceline::task<void> work(task_category category, std::chrono::microseconds piece, Waits& waits,
                          Clock::time_point end) {
  co_await paceline::with_category(category);
  while (Clock::now() < end) {
    compute(piece);
    const auto ready = Clock::now();
    co_await paceline::yield();
    waits.add(Clock::now() - ready);
  }
}

/// What a person sees move: due every 10 ms.
paceline::task<void> tick(Waits& waits, Clock::time_point end) {
  co_await paceline::with_category(task_category::latency_sensitive);
  for (auto due = Clock::now() + 10ms; due < end; due += 10ms) {
    co_await paceline::sleep_until(due);
    waits.add(Clock::now() - due);
  }
}

}  // namespace

int main() {
  std::array<Waits, 4> waits;
  {
    paceline::runtime rt;
    const auto end = Clock::now() + kFor;
    std::vector<paceline::join_handle<void>> all;
    all.push_back(rt.spawn(tick(waits[0], end)));
    for (std::size_t i = 0; i < rt.workers(); ++i) {
      all.push_back(rt.spawn(work(task_category::performance_critical, 200us, waits[1], end)));
      all.push_back(rt.spawn(work(task_category::batch_processing, 500us, waits[2], end)));
      all.push_back(rt.spawn(work(task_category::background_cleanup, 500us, waits[3], end)));
    }
    for (auto& each : all) each.join();
  }
  constexpr std::array<const char*, 4> kNames{"ticker", "compiler", "collector", "cleanup"};
  constexpr std::array kClasses{paceline::qos::user_interactive, paceline::qos::user_initiated,
                                paceline::qos::utility, paceline::qos::background};
  std::printf("%-10s %-17s %8s %12s %12s\n", "work", "class", "turns", "mean us", "longest us");
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const auto turns = waits[i].turns.load();
    std::printf(
        "%-10s %-17s %8llu %12lld %12lld\n", kNames[i],
        std::string(paceline::to_string(kClasses[i])).c_str(),
        static_cast<unsigned long long>(turns),
        static_cast<long long>(waits[i].sum_us.load() /
                               static_cast<std::int64_t>(std::max<std::uint64_t>(turns, 1))),
        static_cast<long long>(waits[i].longest_us.load()));
  }
  const bool all_progress =
      std::all_of(waits.begin(), waits.end(), [](const Waits& w) { return w.turns.load() > 0; });
  return all_progress ? 0 : 1;
}
