// SPDX-License-Identifier: BSL-1.0
// What the tests of async regions share: tasks that compute in a region, and somebody who has them
// preempted again and again by waking something more urgent.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/sanitized.hpp"
#include "unit/api/fixtures.hpp"

namespace paceline_test {

/// Does this build preempt by signal? Under ThreadSanitizer regions are safepoints only.
inline constexpr bool kSignals = !kThreadSanitizer;

/// How often a storm strikes; PACELINE_TEST_SCALE multiplies it.
inline std::uint64_t strikes() {
  const char* scale = std::getenv("PACELINE_TEST_SCALE");
  const std::uint64_t times = scale != nullptr ? std::strtoull(scale, nullptr, 10) : 1;
  return (kSanitized ? 200 : 2000) * (times == 0 ? 1 : times);
}

/// How many preemptions a storm must have brought about, at the least: a strike that finds its
/// victim outside of the section is none. PACELINE_TEST_PREEMPTIONS=1000000 is what
/// `./dev stress --hazards` asks for.
inline std::uint64_t least_preemptions() {
  const char* least = std::getenv("PACELINE_TEST_PREEMPTIONS");
  return least != nullptr && kSignals ? std::strtoull(least, nullptr, 10) : 0;
}

inline std::uint64_t preemptions_by_signal(const paceline::runtime& rt) {
  return rt.stats().total.demotions_async;
}

/// Counts what happened, where a number was asked for, and fails if it is not reached.
class Tally {
 public:
  explicit Tally(const paceline::runtime& rt) : rt_(rt) {}
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;
  bool reached() const { return least_ == 0 || preemptions_by_signal(rt_) >= least_; }
  void report() const {
    if (least_ == 0) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
    const auto stats = rt_.stats().total;
    std::printf("%s: %llu preemptions by signal, %llu signals sent, %.1f s\n",
                Catch::getResultCapture().getCurrentTestName().c_str(),
                static_cast<unsigned long long>(stats.demotions_async),
                static_cast<unsigned long long>(stats.signals_sent), took.count());
    std::fflush(stdout);
    CHECK(reached());
  }

 private:
  const paceline::runtime& rt_;
  std::uint64_t least_ = least_preemptions();
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Each signal that was sent was answered, and none came outside of a region.
inline void check_books(const paceline::runtime& rt) {
  const auto stats = rt.stats();
  const paceline::worker_stats& all = stats.total;
  CHECK(all.signals_sent == all.demotions_async + all.signals_refused_runtime +
                                all.signals_refused_nopreempt + all.signals_refused_text +
                                all.signals_refused_stack + all.signals_refused_stale +
                                all.signals_refused_limit + all.signals_refused_masked);
  CHECK(stats.signals_outside == 0);
  CHECK(all.weak_live == 0);
}

/// What a storm's victim looks at before each of its rounds. Where no signals are sent, looking is
/// a safepoint. The first look never says that it is over: however short the storm, whoever is in
/// it does a round.
class Done {
 public:
  explicit Done(const std::atomic<bool>& over) noexcept : over_(over) {}
  explicit operator bool() noexcept {
    if (!kSignals) paceline::preempt_point();
    return std::exchange(looked_, true) && over_.load(std::memory_order_relaxed);
  }
  bool operator!() noexcept { return !static_cast<bool>(*this); }

 private:
  const std::atomic<bool>& over_;
  bool looked_ = false;
};

/// An urgent task that an outside thread wakes: each strike interrupts what runs. Between two
/// strikes that task has run `at_each`.
class Storm {
 public:
  template <class F>
  Storm(paceline::runtime& rt, F at_each)
      : task_(rt.spawn({.qos = paceline::qos::urgent}, [this, at_each]() -> paceline::task<> {
          for (;;) {
            co_await paceline::suspend_until(
                [this]() noexcept { return struck_.load() != heard_.load() || over_; },
                [this](paceline::waker waker) {
                  if (armed_) return;  // one waker is as good as the next
                  waker_ = waker;
                  armed_ = true;
                });
            if (over_) co_return;
            at_each();
            heard_.store(struck_.load());
          }
        })) {
    eventually("the urgent task waits", [&] { return armed_ && rt.stats().total.parks != 0; });
  }
  explicit Storm(paceline::runtime& rt) : Storm(rt, [] {}) {}
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  ~Storm() {
    over_ = true;
    waker_.wake();
    task_.join();
  }

  /// Returns when the urgent task has run.
  void strike() {
    const std::uint64_t now = struck_.load() + 1;
    // Not at once: the victim is on its way back from the last one, where no signal can park it.
    // And at another moment each time.
    await_heard(now, 5'000 + static_cast<int>(now * 7919 % 16'384));
    struck_.store(now);
    waker_.wake();
    // Some microseconds more, for which it is not worth while to give the processor away: on a busy
    // machine it comes back milliseconds later.
    await_heard(now, 50'000);
    eventually("the urgent task runs", [&] { return heard_.load() == now; });
  }

 private:
  void await_heard(std::uint64_t number, int looks) const noexcept {
    while (looks-- > 0 && heard_.load(std::memory_order_relaxed) != number) {
    }
  }

  std::atomic<std::uint64_t> struck_{0};
  std::atomic<std::uint64_t> heard_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> armed_{false};
  paceline::waker waker_;
  paceline::join_handle<> task_;
};

/// Runs `body(done)` in `hogs` tasks on one worker while a storm strikes, `at_each` in its eye.
template <class Body, class F>
void preempt_often(std::uint64_t times, int hogs, Body body, F at_each) {
  paceline::runtime rt(one_worker());
  const Tally tally(rt);
  std::atomic<bool> over{false};
  std::atomic<int> begun{0};
  {
    Storm storm(rt, at_each);
    std::vector<paceline::join_handle<>> tasks;
    for (int i = 0; i < hogs; ++i) {
      tasks.push_back(rt.spawn({.qos = paceline::qos::utility}, [&, i] {
        ++begun;
        Done done(over);
        body(i, done);
      }));
    }
    eventually("a hog runs", [&] { return begun != 0; });
    for (std::uint64_t i = 0; i < times || i % 256 != 0 || !tally.reached(); ++i) storm.strike();
    over = true;
    for (auto& task : tasks) task.join();
  }
  if (kSignals) CHECK(preemptions_by_signal(rt) > 0);
  tally.report();
  check_books(rt);
}
template <class Body>
void preempt_often(std::uint64_t times, int hogs, Body body) {
  preempt_often(times, hogs, body, [] {});
}

}  // namespace paceline_test
