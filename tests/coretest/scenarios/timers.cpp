// SPDX-License-Identifier: BSL-1.0
// C12 timers. Thousands of tasks set sleeps of random length; some are cancelled, some at the very
// moment they are due, and set again.
//
// Invariants: no sleep ends early; each ends once, by its time or by cancellation, never both; a
// sleep that was not cancelled ends by its time; none is later than the bound, which also keeps the
// order of deadlines that lie further apart than it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <stop_token>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kSleepers = kSanitized ? 200 : 4'000;
constexpr std::uint64_t kSleepsEach = 10;

enum class End : std::uint8_t { by_time, by_stop };

class Wheel {
 public:
  Wheel(Context& context, paceline::runtime& rt, Rng rng) : context_(context), rt_(rt), rng_(rng) {}

  void turn() {
    const std::uint64_t sleepers = 1 + rng_.below(context_.size(kSleepers));
    std::vector<paceline::join_handle<void>> tasks;
    for (std::uint64_t i = 0; i < sleepers; ++i) {
      const std::uint64_t seed = rng_.next();
      switch (rng_.below(4)) {
        case 0: tasks.push_back(rt_.spawn(sleep_and_reset(seed))); break;
        case 1: tasks.push_back(rt_.spawn(sleep_until_stopped(seed))); break;
        default: tasks.push_back(rt_.spawn(sleep_often(seed))); break;
      }
    }
    for (auto& task : tasks) task.join();
    context_.check(set_.load() == by_time_.load() + by_stop_.load(), "conservation",
                   "{} sleeps were set, {} ended by time and {} by a stop request", set_.load(),
                   by_time_.load(), by_stop_.load());
  }

 private:
  /// Mostly short; some across the wheel's levels, some for the next tick.
  static std::int64_t length(Rng& rng) noexcept {
    switch (rng.below(8)) {
      case 0: return static_cast<std::int64_t>(rng.below(20'000));  // ns
      case 1: return static_cast<std::int64_t>(rng.below(50)) * kMilli;
      case 2: return 0;
      default: return static_cast<std::int64_t>(rng.below(5'000)) * kMicro;
    }
  }

  /// One sleep, counted and checked.
  paceline::task<End> one(std::int64_t asked) {
    const std::int64_t start = now_ns();
    set_.fetch_add(1, std::memory_order_relaxed);
    End end = End::by_time;
    try {
      co_await paceline::sleep_for(std::chrono::nanoseconds(asked));
    } catch (const paceline::operation_cancelled&) {
      end = End::by_stop;
    }
    const std::int64_t late = now_ns() - start - asked;
    if (end == End::by_time) {
      by_time_.fetch_add(1, std::memory_order_relaxed);
      context_.check(late >= 0, "short-sleep", "a sleep of {} ns ended {} ns early", asked, -late);
      context_.check(late <= context_.late_bound_ns(), "late",
                     "a sleep of {} ns ended {} ns late; the bound is {} ns", asked, late,
                     context_.late_bound_ns());
      context_.lateness().add(late);
    } else {
      by_stop_.fetch_add(1, std::memory_order_relaxed);
    }
    context_.op();
    co_return end;
  }

  paceline::task<void> sleep_often(std::uint64_t seed) {
    Rng rng(seed);
    for (std::uint64_t i = 0; i < kSleepsEach; ++i) {
      auto sleep = one(length(rng));
      const End end = co_await std::move(sleep);
      context_.check(end == End::by_time, "stop", "a sleep that nobody stopped was cancelled");
    }
  }

  /// Sets a sleep in a task of its own and withdraws it about when it is due; then sets it again.
  paceline::task<void> sleep_and_reset(std::uint64_t seed) {
    Rng rng(seed);
    for (std::uint64_t i = 0; i < kSleepsEach / 3; ++i) {
      const std::int64_t asked = static_cast<std::int64_t>(rng.below(3'000)) * kMicro;
      paceline::join_handle<End> sleeper = paceline::spawn(one(asked));
      const auto jitter = static_cast<std::int64_t>(rng.below(200)) * kMicro - 100 * kMicro;
      auto wait = one(std::max<std::int64_t>(0, asked + jitter));
      co_await std::move(wait);
      sleeper.request_stop();
      const End end = co_await std::move(sleeper);
      (end == End::by_stop ? withdrawn_ : too_late_).reach();
    }
  }

  /// A sleep without end, stopped from another task through a token of somebody else's.
  paceline::task<void> sleep_until_stopped(std::uint64_t seed) {
    Rng rng(seed);
    std::stop_source source;
    paceline::spawn_options options;
    options.stop_token = source.get_token();
    const bool forever = rng.below(2) == 0;
    paceline::join_handle<End> sleeper =
        paceline::spawn(one(forever ? 3600 * kSecond : 10 * kSecond), options);
    auto wait = one(static_cast<std::int64_t>(rng.below(2'000)) * kMicro);
    co_await std::move(wait);
    source.request_stop();
    const End end = co_await std::move(sleeper);
    context_.check(end == End::by_stop, "stop", "a sleep of at least 10 s ended by time");
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::atomic<std::uint64_t> set_{0};
  std::atomic<std::uint64_t> by_time_{0};
  std::atomic<std::uint64_t> by_stop_{0};
  Goal& withdrawn_ = context_.goal("a sleep was cancelled just before its time");
  Goal& too_late_ = context_.goal("a cancellation came just after its time");
};

}  // namespace

void run_timers(Context& context) {
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    Wheel(context, *rt, Rng(rng.next())).turn();
  }
  rt.settle();
}

}  // namespace coretest
