// SPDX-License-Identifier: BSL-1.0
// What does preemption cost? Ratios are of two loops that take turns in one run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"

namespace {

using namespace pacebench;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using paceline::task;

std::shared_ptr<paceline::runtime> start(const Settings& s, std::size_t workers) {
  return std::make_shared<paceline::runtime>(
      paceline::runtime_options{.workers = s.workers < workers ? s.workers : workers});
}

// --- preempt/untaken ---

/// About 100 ns of work that the compiler cannot remove.
inline std::uint64_t body(std::uint64_t x) {
  for (int i = 0; i < 40; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    asm("" : "+r"(x));  // or forty of them would become one
  }
  return x;
}

template <bool kSafepoint>
[[gnu::noinline]] double loop_ns(std::uint64_t n, std::uint64_t& sink) {
  const Stopwatch watch;
  std::uint64_t x = sink;
  for (std::uint64_t i = 0; i < n; ++i) {
    x = body(x);
    if constexpr (kSafepoint) paceline::preempt_point();
  }
  sink = x;
  return watch.ns();
}

const Register untaken({"preempt/untaken", "x",
                        "a loop of 100 ns bodies with a safepoint in each, over one without",
                        [](const Settings& s) {
                          const std::uint64_t n = s.n != 0 ? s.n : 20'000;
                          auto rt = start(s, 1);
                          return Prepared{[rt, n] {
                                            std::uint64_t sink = 1;
                                            const double ratio =
                                                rt->spawn({}, [&] {
                                                    std::vector<double> ratios;
                                                    for (int i = 0; i < 31; ++i) {
                                                      const double without =
                                                          loop_ns<false>(n, sink);
                                                      const double with = loop_ns<true>(n, sink);
                                                      ratios.push_back(with / without);
                                                    }
                                                    std::sort(ratios.begin(), ratios.end());
                                                    return ratios[ratios.size() / 2];
                                                  }).join();
                                            require(sink != 0, "the work was done");
                                            return Sample{ratio, mix(kHashStart, n)};
                                          },
                                          {{"n", std::to_string(n)}}};
                        }});

// --- preempt/demotion ---

/// Woken again and again, it interrupts whoever wakes it.
struct Bell {
  std::atomic<std::uint64_t> rung{0};
  std::uint64_t heard = 0;
  paceline::waker listener;
  bool over = false;

  auto next() {
    return paceline::suspend_until(
        [this]() noexcept { return rung.load(std::memory_order_relaxed) != heard; },
        [this](paceline::waker task) { listener = task; });
  }
};

task<void> listen(Bell& bell) {
  while (!bell.over) {
    co_await bell.next();
    bell.heard = bell.rung.load(std::memory_order_relaxed);
  }
}

task<void> yield_often(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) co_await paceline::yield();
}

const Register demotion(
    {"preempt/demotion", "x",
     "wake something urgent, give way to it, go on: over two yields between two tasks",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 20'000;
       auto rt = start(s, 1);
       return Prepared{[rt, n] {
                         Bell bell;
                         auto listener = rt->spawn(listen(bell), {.qos = paceline::qos::urgent});
                         while (rt->stats().total.parks == 0) std::this_thread::yield();
                         const auto before = rt->stats().total.demotions_safepoint;
                         double demotions_ns = 0;
                         rt->spawn({.qos = paceline::qos::utility}, [&] {
                             const Stopwatch watch;
                             for (std::uint64_t i = 0; i < n; ++i) {
                               bell.rung.store(i + 1, std::memory_order_relaxed);
                               bell.listener.wake();
                               paceline::preempt_point();
                             }
                             demotions_ns = watch.ns();
                             bell.over = true;
                             bell.rung.fetch_add(1);
                             bell.listener.wake();
                           }).join();
                         listener.join();
                         const auto after = rt->stats().total.demotions_safepoint;
                         require(after - before >= n,
                                 "every wake of something urgent led to a demotion");
                         const Stopwatch watch;
                         auto a = rt->spawn(yield_often(n));
                         auto b = rt->spawn(yield_often(n));
                         a.join();
                         b.join();
                         return Sample{demotions_ns / watch.ns(), mix(kHashStart, n)};
                       },
                       {{"n", std::to_string(n)}}};
     }});

// --- preempt/blocking ---

const Register short_blocking({"preempt/blocking", "ns/call",
                               "blocking() around a call that returns at once, nobody waiting",
                               [](const Settings& s) {
                                 const std::uint64_t n = s.n != 0 ? s.n : 100'000;
                                 auto rt = start(s, 1);
                                 return Prepared{[rt, n] {
                                                   std::uint64_t calls = 0;
                                                   const double ns =
                                                       rt->spawn({}, [&] {
                                                           const Stopwatch watch;
                                                           for (std::uint64_t i = 0; i < n; ++i) {
                                                             paceline::blocking([&] { ++calls; });
                                                           }
                                                           return watch.ns();
                                                         }).join();
                                                   require(calls == n, "every call was made");
                                                   return Sample{ns / static_cast<double>(n),
                                                                 mix(kHashStart, n)};
                                                 },
                                                 {{"n", std::to_string(n)}}};
                               }});

// --- latency ---

/// A ticker beside hogs: how late its ticks are, 99th percentile.
double tick_p99_us(paceline::runtime& rt, unsigned hogs_per_worker, bool safepoints, int ticks) {
  std::atomic<bool> over{false};
  std::vector<paceline::join_handle<>> hogs;
  for (std::size_t i = 0; i < hogs_per_worker * rt.workers(); ++i) {
    hogs.push_back(rt.spawn({.qos = paceline::qos::utility}, [&] {
      std::uint64_t x = 1;
      while (!over.load(std::memory_order_relaxed)) {
        for (int k = 0; k < 100; ++k) x = body(x);  // 10 us
        if (safepoints) paceline::preempt_point();
      }
      require(x != 0, "the hog computed");
    }));
  }
  std::vector<double> late;
  auto tick = [&]() -> task<> {
    auto due = Clock::now();
    for (int i = 0; i < ticks; ++i) {
      due += 5ms;
      co_await paceline::sleep_until(due);
      late.push_back(std::chrono::duration<double, std::micro>(Clock::now() - due).count());
    }
  };
  rt.spawn({.qos = paceline::qos::user_interactive}, tick).join();
  over = true;
  for (auto& hog : hogs) hog.join();
  std::sort(late.begin(), late.end());
  return late[late.size() * 99 / 100];
}

Case latency(std::string name, std::string what, unsigned hogs, bool safepoints) {
  return {std::move(name), "us", std::move(what), [hogs, safepoints](const Settings& s) {
            const int ticks = s.n != 0 ? static_cast<int>(s.n) : 600;
            auto rt = start(s, s.workers);
            return Prepared{[rt, hogs, safepoints, ticks] {
                              return Sample{tick_p99_us(*rt, hogs, safepoints, ticks),
                                            mix(kHashStart, static_cast<std::uint64_t>(ticks))};
                            },
                            {{"hogs per worker", std::to_string(hogs)}}};
          }};
}

const Register two_hogs(latency("latency/hogs_2",
                                "p99 delay of a 5 ms tick beside 2 hogs per worker, safepoints", 2,
                                true));
const Register eight_hogs(latency("latency/hogs_8",
                                  "p99 delay of a 5 ms tick beside 8 hogs per worker, safepoints",
                                  8, true));
const Register rude_hogs(latency("latency/hogs_rude",
                                 "p99 delay of a 5 ms tick beside 2 hogs per worker, no safepoint",
                                 2, false));

}  // namespace
