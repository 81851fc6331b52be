// SPDX-License-Identifier: BSL-1.0
// C06 park-edge. Single items are handed over after random gaps of 0 to 50 us, around the time in
// which a worker falls asleep, each only when the one before has arrived: nothing covers up for a
// lost hand-over. By wake, by spawn, by a posted foreign coroutine, by timer, and between two tasks
// that are bound to different workers.
//
// Invariants: every item runs, once, within the bound.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kItems = kSanitized ? 200 : 1'000;
constexpr std::uint64_t kLongestGapUs = 50;

/// A coroutine that nobody owns, as a foreign library would post one.
struct Stray {
  struct promise_type {
    Stray get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

class Counter {
 public:
  Counter(Context& context, paceline::runtime& rt, Rng rng, Goal& awake)
      : context_(context), rt_(rt), rng_(rng), awake_(awake) {}

  void by_wake() {
    auto taker = rt_.spawn(take_items());
    wait_until([this] { return moved_in_.load(std::memory_order_acquire); });
    for (std::uint64_t i = 1; i <= kItems; ++i) {
      hand_over(i, [&] {
        item_.store(i, std::memory_order_release);
        owner_.wake();
      });
    }
    item_.store(kItems + 1, std::memory_order_release);
    owner_.wake();
    taker.join();
  }

  void by_spawn() {
    for (std::uint64_t i = 1; i <= kItems; ++i) {
      paceline::spawn_options options;
      if (rng_.below(4) == 0) options.core = rng_.below(rt_.workers());
      hand_over(i, [&] { rt_.spawn(arrive_once(i), options).detach(); });
    }
  }

  void by_post() {
    const paceline::scheduler scheduler = rt_.get_scheduler();
    for (std::uint64_t i = 1; i <= kItems; ++i) {
      hand_over(i, [&] { post(scheduler, i); });
    }
  }

  void by_timer() {
    for (std::uint64_t i = 1; i <= kItems / 4; ++i) {
      gap();
      const auto delay = static_cast<std::int64_t>(rng_.below(200)) * kMicro;
      sent_at_ = now_ns() + delay;
      rt_.spawn(arrive_after(i, delay)).detach();
      await_arrival(i);
    }
  }

  /// Two tasks on two workers hand one item to and fro.
  void by_turns() {
    const std::size_t first = rng_.below(rt_.workers());
    const std::size_t second = (first + 1 + rng_.below(rt_.workers() - 1)) % rt_.workers();
    const std::uint64_t seed = rng_.next();
    auto one = rt_.spawn(take_turns(0, split(seed, 0)), {.core = first});
    auto two = rt_.spawn(take_turns(1, split(seed, 1)), {.core = second});
    one.join();
    two.join();
  }

 private:
  void gap() { busy_for(static_cast<std::int64_t>(rng_.below(kLongestGapUs * 1000))); }

  /// Sends an item and waits for it. One in 16 is looked at: did it find its worker awake?
  template <class Send>
  void hand_over(std::uint64_t item, Send&& send) {
    const bool is_looked_at = item % 16 == 0;
    const std::uint64_t before = is_looked_at ? rt_.stats().total.unparks : 0;
    gap();
    sent_at_ = now_ns();
    send();
    await_arrival(item);
    if (is_looked_at) awake_.reach_if(rt_.stats().total.unparks == before);
  }

  void await_arrival(std::uint64_t item) {
    wait_until([&] { return arrived_.load(std::memory_order_acquire) >= item; });
    context_.check(arrived_.load() == item, "double", "item {} arrived, and {} as well", item,
                   arrived_.load());
  }

  void arrive(std::uint64_t item) {
    const std::int64_t delay = now_ns() - sent_at_;
    context_.delays().add(delay);
    context_.check(delay <= context_.late_bound_ns(), "late",
                   "item {} took {} ns; the bound is {} ns", item, delay, context_.late_bound_ns());
    context_.op();
    const std::uint64_t before = arrived_.exchange(item, std::memory_order_acq_rel);
    context_.check(before + 1 == item, "double", "item {} arrived after item {}", item, before);
  }

  paceline::task<void> take_items() {
    owner_ = paceline::this_task::waker();
    moved_in_.store(true, std::memory_order_release);
    for (std::uint64_t taken = 0;;) {
      auto item = paceline::suspend_until(
          [this, &taken]() noexcept { return item_.load(std::memory_order_acquire) != taken; },
          [](paceline::waker) noexcept {});
      co_await std::move(item);
      taken = item_.load(std::memory_order_acquire);
      if (taken > kItems) break;
      arrive(taken);
    }
  }
  paceline::task<void> arrive_once(std::uint64_t item) {
    arrive(item);
    co_return;
  }
  paceline::task<void> arrive_after(std::uint64_t item, std::int64_t delay) {
    co_await paceline::sleep_for(std::chrono::nanoseconds(delay));
    context_.check(now_ns() >= sent_at_, "short-sleep", "a sleep of {} ns was too short", delay);
    arrive(item);
  }
  Stray post(paceline::scheduler scheduler, std::uint64_t item) {
    co_await scheduler.schedule();
    arrive(item);
  }

  paceline::task<void> take_turns(std::uint64_t side, std::uint64_t seed) {
    Rng rng(seed);
    sides_[side] = paceline::this_task::waker();
    sides_here_.fetch_add(1, std::memory_order_acq_rel);
    while (sides_here_.load(std::memory_order_acquire) != 2) co_await paceline::yield();
    for (std::uint64_t turn = side; turn < kItems; turn += 2) {
      auto mine = paceline::suspend_until(
          [this, turn]() noexcept { return turn_.load(std::memory_order_acquire) == turn; },
          [](paceline::waker) noexcept {});
      co_await std::move(mine);
      if (turn != 0) arrive(turn);
      busy_for(static_cast<std::int64_t>(rng.below(kLongestGapUs * 1000)));
      sent_at_ = now_ns();
      turn_.store(turn + 1, std::memory_order_release);
      sides_[1 - side].wake();
    }
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  Goal& awake_;
  std::int64_t sent_at_ = 0;  // the item that is on its way orders it
  std::atomic<std::uint64_t> arrived_{0};
  std::atomic<std::uint64_t> item_{0};
  std::atomic<bool> moved_in_{false};
  paceline::waker owner_;
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<int> sides_here_{0};
  paceline::waker sides_[2];
};

}  // namespace

void run_park_edge(Context& context) {
  Goal& asleep = context.goal("a hand-over woke a sleeping worker");
  Goal& awake = context.goal("a hand-over met a worker that was awake");
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    const paceline::worker_stats before = rt->stats().total;
    const std::uint64_t ops_before = context.ops();
    Counter counter(context, *rt, Rng(rng.next()), awake);
    switch (rng.below(rt->workers() > 1 ? 5 : 4)) {
      case 0: counter.by_wake(); break;
      case 1: counter.by_spawn(); break;
      case 2: counter.by_post(); break;
      case 3: counter.by_timer(); break;
      default: counter.by_turns(); break;
    }
    const paceline::worker_stats after = rt->stats().total;
    asleep.reach_if(after.unparks != before.unparks);
    awake.reach_if(after.unparks - before.unparks < context.ops() - ops_before);
  }
  rt.settle();
}

}  // namespace coretest
