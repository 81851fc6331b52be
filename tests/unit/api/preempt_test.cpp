// SPDX-License-Identifier: BSL-1.0
// Proves that a task which reaches safepoints delays nobody for long: others of its class get their
// slice, more important ones come at once, timers fire; and that nothing happens when nothing
// waits. Hogs end when what they would starve has run.
#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

runtime_options preempting(std::size_t count, preemption_mode mode = preemption_mode::safepoint) {
  runtime_options options = workers(count);
  options.preemption = mode;
  return options;
}

/// Computes until `done`, with safepoints.
void hog_until(const std::atomic<bool>& done) {
  while (!done) preempt_point();
}

}  // namespace

TEST_CASE("a task of the same class runs although a hog has the only worker") {
  runtime rt(preempting(1));
  std::atomic<bool> done{false};
  auto hog = rt.spawn({}, [&] { hog_until(done); });
  auto other = rt.spawn({}, [&] { done = true; });
  other.join();
  hog.join();
  const auto stats = rt.stats();
  CHECK(stats.total.demotions_safepoint >= 1);
  CHECK(stats.total.weak_live == 0);
}

TEST_CASE("a timer fires although a hog has every worker") {
  for (const std::size_t count : {1, 2}) {
    runtime rt(preempting(count));
    std::atomic<bool> done{false};
    std::vector<join_handle<>> hogs;
    for (std::size_t i = 0; i < 2 * count; ++i) {
      hogs.push_back(rt.spawn({.qos = qos::utility}, [&] { hog_until(done); }));
    }
    auto ticker = [&]() -> task<> {
      for (int i = 0; i < 5; ++i) co_await sleep_for(1ms);
      done = true;
    };
    rt.spawn({.qos = qos::user_interactive}, ticker).join();
    for (auto& hog : hogs) hog.join();
    CHECK(rt.stats().total.demotions_safepoint >= 1);
  }
}

TEST_CASE(
    "statement 10: a demoted task gets its worker again and again while new tasks keep coming") {
  runtime rt(preempting(1));
  std::atomic<int> came{0};
  std::atomic<bool> enough{false};
  // How often it went on after others had run.
  auto hog = rt.spawn({}, [&] {
    int seen = came;
    for (int turns = 0; turns < 20;) {
      preempt_point();
      if (came == seen) continue;
      seen = came;
      ++turns;
    }
    enough = true;
  });
  // Something is ready at any time: each task spawns the next one before it ends.
  std::function<void()> stream = [&] {
    ++came;
    if (!enough) spawn({}, stream).detach();
  };
  rt.spawn({}, stream).detach();
  hog.join();
  rt.wait_idle();
  CHECK(came >= 20);
  CHECK(rt.stats().total.demotions_safepoint >= 20);
}

TEST_CASE("a hog that nobody waits for is never preempted") {
  runtime rt(preempting(1));
  std::atomic<bool> done{false};
  auto hog = rt.spawn({}, [&] { hog_until(done); });
  // Long enough for many slices: the monitor has looked at least so often.
  const auto looks = rt.stats().monitor_looks;
  eventually("the monitor looks", [&] { return rt.stats().monitor_looks >= looks + 3; });
  done = true;
  hog.join();
  CHECK(rt.stats().total.demotions_safepoint == 0);
}

TEST_CASE("preemption_mode::off: a safepoint does nothing and no monitor looks") {
  runtime rt(preempting(1, preemption_mode::off));
  std::atomic<int> step{0};
  auto hog = rt.spawn({}, [&] {
    for (int i = 0; i < 100'000; ++i) preempt_point();
    step = 1;
  });
  auto other = rt.spawn({}, [&] { return step.load(); });
  CHECK(other.join() == 1);
  hog.join();
  CHECK(rt.stats().total.demotions_safepoint == 0);
  CHECK(rt.stats().monitor_looks == 0);
}

TEST_CASE("a safepoint outside a task and a guard outside a task do nothing") {
  preempt_point();
  const nopreempt guard;
  preempt_point();
}

TEST_CASE("many hogs share few workers and all come to their end") {
  runtime rt(preempting(2));
  std::atomic<int> rounds{0};
  std::vector<join_handle<>> hogs;
  for (int i = 0; i < 100; ++i) {  // more than may be parked
    hogs.push_back(rt.spawn({}, [&] {
      for (int k = 0; k < 20'000; ++k) {
        preempt_point();
        rounds.fetch_add(1, std::memory_order_relaxed);
      }
    }));
  }
  for (auto& hog : hogs) hog.join();
  CHECK(rounds == 100 * 20'000);
  CHECK(rt.stats().total.weak_live == 0);
}

TEST_CASE("slices, limits and modes that make no sense are refused, with the reason") {
  const auto refuses = [](auto&& change, const char* word) {
    runtime_options options = workers(1);
    change(options);
    std::string what;
    try {
      const runtime rt(options);
    } catch (const std::invalid_argument& error) {
      what = error.what();
    }
    INFO(what);
    return what.find(word) != std::string::npos;
  };
  CHECK(refuses([](auto& o) { o.slice = 0ns; }, "slice"));
  CHECK(refuses([](auto& o) { o.slice = -1ns; }, "slice"));
  CHECK(refuses([](auto& o) { o.slice = 2h; }, "slice"));
  CHECK(refuses([](auto& o) { o.handoff_after = 0ns; }, "handoff_after"));
  CHECK(
      refuses([](auto& o) { o.handoff_after = std::chrono::nanoseconds::max(); }, "handoff_after"));
  CHECK(refuses([](auto& o) { o.max_weak = 0; }, "max_weak"));
  CHECK(refuses([](auto& o) { o.max_weak = ~std::size_t{0}; }, "max_weak"));
  CHECK(refuses([](auto& o) { o.preemption = static_cast<preemption_mode>(9); }, "preemption"));
}

TEST_CASE("a slice of a nanosecond is taken as the shortest, one of an hour works") {
  for (const std::chrono::nanoseconds slice : {1ns, std::chrono::nanoseconds(1h)}) {
    runtime_options options = preempting(1);
    options.slice = slice;
    runtime rt(options);
    CHECK(rt.spawn({}, [] { return 7; }).join() == 7);
  }
}

TEST_CASE("a task that changes its class while it is weak goes on, preempted or not") {
  runtime_options options = preempting(1);
  options.slice = 200us;
  runtime rt(options);
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> changed{0};
    std::atomic<int> over{0};
    const auto hog = [&] {
      return rt.spawn({}, [&] {
        // Each waits for the other twice, so each is preempted before and after the change.
        ++changed;
        while (changed < 2) preempt_point();
        this_task::set_qos(qos::utility);
        ++over;
        while (over < 2) preempt_point();
        this_task::set_qos(qos::standard);
        await_here(yield());
      });
    };
    auto one = hog();
    auto other = hog();
    one.join();
    other.join();
  }
  CHECK(rt.stats().total.weak_live == 0);
  CHECK(rt.stats().total.demotions_safepoint >= 10);
}

TEST_CASE("a task that has lowered its own class gives way to what was less important before") {
  runtime rt(one_worker());
  std::vector<std::string> order;
  auto lowered = rt.spawn({.qos = qos::user_interactive}, [&]() -> task<> {
    this_task::set_qos(qos::background);
    auto woken = spawn({.qos = qos::standard}, [&] { order.push_back("standard"); });
    preempt_point();
    order.push_back("background");
    co_await std::move(woken);
  });
  lowered.join();
  CHECK(order == std::vector<std::string>{"standard", "background"});
}
