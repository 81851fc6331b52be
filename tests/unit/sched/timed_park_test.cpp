// SPDX-License-Identifier: BSL-1.0
// Proves that a worker that sleeps for an event to come, here the expiry of a timer, is there for
// all other work (failure W15, statement 6), and that neither swallows the other.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <thread>

#include <paceline/paceline.hpp>

#include "unit/api/fixtures.hpp"

using namespace std::chrono_literals;
using paceline::task;
using paceline_test::eventually;
using paceline_test::Gate;

namespace {

task<> sleeps(std::chrono::nanoseconds d) { co_await paceline::sleep_for(d); }
task<int> seven() { co_return 7; }

/// A coroutine that is no task: it comes through the inbox.
struct Foreign {
  struct promise_type {
    Foreign get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
Foreign visit(paceline::scheduler where, std::atomic<int>& visits) {
  co_await where.schedule();
  visits.fetch_add(1);
}

}  // namespace

TEST_CASE("a worker that sleeps until a timer takes work of every kind before it") {
  paceline::runtime_options options;
  options.workers = 1;
  paceline::runtime rt(options);
  auto distant = rt.spawn(sleeps(1h));
  std::atomic<int> visits{0};
  int rounds = 0;
  // Until it was found asleep often enough, by spawns, posts and wakes one after the other.
  eventually("the worker slept a hundred times and more", [&] {
    ++rounds;
    REQUIRE(rt.block_on(seven()) == 7);
    visit(rt.get_scheduler(), visits);
    eventually("a post is taken", [&] { return visits == rounds; });
    Gate gate;
    const auto waits = [&gate]() -> task<> { co_await gate.pass(); };
    auto waiting = rt.spawn({}, waits);
    eventually("a task waits", [&] { return gate.arrived() == 1; });
    gate.open();
    waiting.join();
    return rt.stats().total.parks >= 100;
  });
  REQUIRE_FALSE(distant.done());
  distant.request_stop();
  REQUIRE_THROWS_AS(distant.join(), paceline::operation_cancelled);
}

TEST_CASE("work that comes just as the timer fires is taken, and so is the timer") {
  paceline::runtime_options options;
  options.workers = 1;
  paceline::runtime rt(options);
  constexpr int kRounds = 300;
  int both = 0;
  for (int i = 0; i < kRounds; ++i) {
    // Sleeps of 1 to 100 us, and an outside spawn at about the same time.
    const auto nap = std::chrono::microseconds(1 + i % 100);
    auto sleeper = rt.spawn(sleeps(nap));
    const auto until = std::chrono::steady_clock::now() + nap;
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    auto other = rt.spawn(seven());
    sleeper.join();
    both += other.join() == 7 ? 1 : 0;
  }
  REQUIRE(both == kRounds);
  rt.wait_idle();
  REQUIRE(rt.stats().live == 0);
}
