// SPDX-License-Identifier: BSL-1.0
// A ticker beside tasks that compute without end, on every core: with preemption off it would wait
// for them; with safepoints it keeps its time. A third round blocks every core's thread instead.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

/// Ticks every 5 ms; how late each tick was, in microseconds.
paceline::task<std::vector<long>> ticks(int count) {
  std::vector<long> late;
  auto due = Clock::now();
  for (int i = 0; i < count; ++i) {
    due += 5ms;
    co_await paceline::sleep_until(due);
    late.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - due).count());
  }
  co_return late;
}

/// Computes for `span`. The clock is read now and then only, the safepoint is asked often.
void compute(Clock::duration span, bool safepoints) {
  const auto until = Clock::now() + span;
  volatile int sink = 0;  // so that the loop is not removed
  while (Clock::now() < until) {
    for (int i = 0; i < 20'000; ++i) {
      sink = sink + i % 2;
      if (safepoints && i % 100 == 0) paceline::preempt_point();
    }
  }
}

template <class Hog>
void show(const char* title, paceline::preemption_mode mode, Hog hog) {
  paceline::runtime rt({.preemption = mode});
  std::vector<paceline::join_handle<>> hogs;
  for (std::size_t i = 0; i < 2 * rt.workers(); ++i) {
    hogs.push_back(rt.spawn({.qos = paceline::qos::utility, .name = "hog"}, hog));
  }
  auto ticker = rt.spawn(ticks(60), {.qos = paceline::qos::user_interactive, .name = "ticker"});
  std::vector<long> late = ticker.join();
  for (auto& each : hogs) each.join();
  std::sort(late.begin(), late.end());
  const auto stats = rt.stats();
  std::printf("%-28s late by %7ld us (p50) %7ld us (max); %5llu demotions, %llu hand-offs\n", title,
              late[late.size() / 2], late.back(),
              static_cast<unsigned long long>(stats.total.demotions_safepoint),
              static_cast<unsigned long long>(stats.handoffs));
}

}  // namespace

int main() {
  using paceline::preemption_mode;
  show("preemption off:", preemption_mode::off, [] { compute(150ms, true); });
  show("safepoints:", preemption_mode::safepoint, [] { compute(150ms, true); });
  show("no safepoint, hand-off:", preemption_mode::automatic, [] { compute(150ms, false); });
  show("blocked threads, hand-off:", preemption_mode::automatic,
       [] { paceline::blocking([] { std::this_thread::sleep_for(150ms); }); });
}
