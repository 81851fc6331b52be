// SPDX-License-Identifier: BSL-1.0
// What does preemption by signal cost? Ratios are of two things that take turns in one run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include <pthread.h>

#include <paceline/paceline.hpp>

#include "harness.hpp"

namespace {

using namespace pacebench;
using Clock = std::chrono::steady_clock;
using paceline::task;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

[[gnu::section("paceline_async")]] [[gnu::noinline]] void spin(const bool* done,
                                                               std::uint64_t* turns) {
  std::uint64_t turn = 0;
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
    __atomic_store_n(turns, ++turn, __ATOMIC_RELAXED);
  }
}

/// Returns when the loop runs, after what interrupted it.
void wait_until_it_spins(const std::uint64_t* turns) {
  const std::uint64_t before = __atomic_load_n(turns, __ATOMIC_RELAXED);
  while (__atomic_load_n(turns, __ATOMIC_RELAXED) == before) {
  }
}

/// A worker with a hog in a region, and something urgent to wake: from the wake until that runs.
class Preempted {
 public:
  Preempted()
      : runtime_({.workers = 1, .pin = false}),
        listener_(runtime_.spawn(listen(*this), {.qos = paceline::qos::urgent})) {
    while (runtime_.stats().total.parks == 0) std::this_thread::yield();
    hog_ = runtime_.spawn({.qos = paceline::qos::utility}, [this] {
      const paceline::async_region region;
      spins_ = true;
      spin(&done_, &turns_);
    });
    while (!spins_) std::this_thread::yield();
  }
  Preempted(const Preempted&) = delete;
  Preempted& operator=(const Preempted&) = delete;
  ~Preempted() {
    __atomic_store_n(&done_, true, __ATOMIC_RELAXED);
    hog_.join();
    over_ = true;
    waker_.wake();
    listener_.join();
  }

  double once() {
    wait_until_it_spins(&turns_);
    const std::uint64_t now = rung_.load() + 1;
    const auto start = Clock::now();
    rung_.store(now);
    waker_.wake();
    while (heard_.load(std::memory_order_acquire) != now) {
    }
    return us_since(start);
  }
  paceline::runtime_stats stats() const { return runtime_.stats(); }

 private:
  static task<void> listen(Preempted& self) {
    while (!self.over_) {
      co_await paceline::suspend_until(
          [&]() noexcept { return self.rung_.load() != self.heard_.load() || self.over_; },
          [&](paceline::waker waker) { self.waker_ = waker; });
      self.heard_.store(self.rung_.load(), std::memory_order_release);
    }
  }

  std::atomic<std::uint64_t> rung_{0};
  std::atomic<std::uint64_t> heard_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> spins_{false};
  bool done_ = false;
  std::uint64_t turns_ = 0;
  paceline::waker waker_;
  paceline::runtime runtime_;
  paceline::join_handle<> listener_;
  paceline::join_handle<> hog_;
};

std::atomic<std::uint64_t> signals_seen{0};
void note_signal(int) { signals_seen.fetch_add(1, std::memory_order_release); }

/// A thread that spins, and a signal to it: from the call until its handler runs.
class Bare {
 public:
  Bare() {
    struct sigaction action = {};
    action.sa_handler = &note_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR2, &action, nullptr);
    thread_ = std::thread([this] { spin(&done_, &turns_); });
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  ~Bare() {
    __atomic_store_n(&done_, true, __ATOMIC_RELAXED);
    thread_.join();
  }
  double once() {
    wait_until_it_spins(&turns_);
    const std::uint64_t before = signals_seen.load();
    const auto start = Clock::now();
    ::pthread_kill(thread_.native_handle(), SIGUSR2);
    while (signals_seen.load(std::memory_order_acquire) == before) {
    }
    return us_since(start);
  }

 private:
  bool done_ = false;
  std::uint64_t turns_ = 0;
  std::thread thread_;
};

// The two take turns in blocks, each with the loop of the other gone.
const Register async_ratio(
    {"preempt/async", "x",
     "wake something urgent behind a loop in an async region until it runs, over a bare signal",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 50;
       return Prepared{[n] {
                         std::vector<double> ratios;
                         std::uint64_t refused = 0;
                         for (int block = 0; block < 31; ++block) {
                           std::vector<double> ours, bare;
                           {
                             Preempted preempted;
                             for (std::uint64_t i = 0; i < n; ++i) ours.push_back(preempted.once());
                             const auto all = preempted.stats().total;
                             require(all.demotions_async > 0, "signals preempted the hog");
                             refused += all.signals_sent - all.demotions_async;
                           }
                           {
                             Bare signal;
                             for (std::uint64_t i = 0; i < n; ++i) bare.push_back(signal.once());
                           }
                           ratios.push_back(median(ours) / median(bare));
                         }
                         require(refused < 31 * n / 2, "most signals are not refused");
                         return Sample{median(ratios), mix(kHashStart, n)};
                       },
                       {{"n", std::to_string(n)}}};
     }});

const Register async_us({"preempt/async_us", "us",
                         "wake something urgent behind a loop in an async region until it runs",
                         [](const Settings& s) {
                           const std::uint64_t n = s.n != 0 ? s.n : 2'000;
                           return Prepared{[n] {
                                             Preempted preempted;
                                             std::vector<double> times;
                                             for (std::uint64_t i = 0; i < n; ++i) {
                                               times.push_back(preempted.once());
                                             }
                                             return Sample{median(times), mix(kHashStart, n)};
                                           },
                                           {{"n", std::to_string(n)}}};
                         }});

const Register bare_us({"preempt/bare_signal_us", "us",
                        "pthread_kill to a thread that spins until its handler runs",
                        [](const Settings& s) {
                          const std::uint64_t n = s.n != 0 ? s.n : 2'000;
                          return Prepared{[n] {
                                            Bare signal;
                                            std::vector<double> times;
                                            for (std::uint64_t i = 0; i < n; ++i) {
                                              times.push_back(signal.once());
                                            }
                                            return Sample{median(times), mix(kHashStart, n)};
                                          },
                                          {{"n", std::to_string(n)}}};
                        }});

const Register region_ns({"preempt/region", "ns",
                          "an async region opened and closed, nothing asked",
                          [](const Settings& s) {
                            const std::uint64_t n = s.n != 0 ? s.n : 1'000'000;
                            return Prepared{
                                [n] {
                                  paceline::runtime rt({.workers = 1});
                                  const double ns = rt.spawn({}, [&] {
                                                        const Stopwatch watch;
                                                        for (std::uint64_t i = 0; i < n; ++i) {
                                                          const paceline::async_region region;
                                                        }
                                                        return watch.ns();
                                                      }).join();
                                  return Sample{ns / static_cast<double>(n), mix(kHashStart, n)};
                                },
                                {{"n", std::to_string(n)}}};
                          }});

}  // namespace
