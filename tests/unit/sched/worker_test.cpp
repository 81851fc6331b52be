// SPDX-License-Identifier: BSL-1.0
// Proves the worker's loop from outside: it rests when there is nothing, runs what is visible,
// looks after time and inbox beside busy tasks, and others step in for a worker that cannot.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <vector>

#include <paceline/paceline.hpp>

#include "base/sizes.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "sched/idle.hpp"
#include "sched/parks.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/sanitized.hpp"

using namespace std::chrono_literals;
using paceline::task;
using paceline_test::eventually;

namespace {

paceline::runtime_options with_workers(std::size_t count) {
  paceline::runtime_options options;
  options.workers = count;
  options.preemption = paceline::preemption_mode::off;  // what spins here keeps its worker
  return options;
}

/// Ends what spins for it when the test ends, also by a failure.
struct EndsSpinning {
  std::atomic<bool>& done;
  ~EndsSpinning() { done = true; }
};

/// A coroutine that is no task: it reaches workers through their inboxes only.
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

task<> yield_until(std::atomic<bool>& done) {
  while (!done.load()) co_await paceline::yield();
}

}  // namespace

TEST_CASE("a runtime without work polls nothing and its workers sleep") {
  paceline::runtime rt(with_workers(3));
  rt.wait_idle();
  const auto before = rt.stats();
  REQUIRE(before.total.polls == 0);
  // Waiting for idleness again returns: all of them still sleep.
  rt.wait_idle();
  REQUIRE(rt.stats().total.polls == 0);
  REQUIRE(rt.stats().live == 0);
}

TEST_CASE("work for sleeping workers starts without waiting for any tick") {
  // Statement 6. Spawned into deep sleep again and again; a missed wake hangs here.
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    paceline::runtime rt(with_workers(workers));
    for (int round = 0; round < 300; ++round) {
      rt.wait_idle();
      std::atomic<int> ran{0};
      const auto count = [&]() -> task<> {
        ran.fetch_add(1);
        co_return;
      };
      auto handle = rt.spawn(count());
      handle.join();
      REQUIRE(ran == 1);
    }
  }
}

TEST_CASE("foreign coroutines get their turn beside tasks that never stop yielding") {
  std::atomic<bool> done{false};
  std::atomic<int> visits{0};
  paceline::runtime rt(with_workers(1));
  std::vector<paceline::join_handle<>> busy;
  for (int i = 0; i < 5; ++i) busy.push_back(rt.spawn(yield_until(done)));
  for (int i = 0; i < 100; ++i) visit(rt.get_scheduler(), visits);
  eventually("all foreign coroutines ran", [&] { return visits == 100; });
  done = true;
  for (auto& handle : busy) handle.join();
}

TEST_CASE("timers fire beside tasks that never stop yielding") {
  std::atomic<bool> done{false};
  paceline::runtime rt(with_workers(1));
  auto busy = rt.spawn(yield_until(done));
  const auto sleeper = []() -> task<> { co_await paceline::sleep_for(1ms); };
  for (int i = 0; i < 5; ++i) rt.block_on(sleeper());
  done = true;
  busy.join();
}

TEST_CASE("a spawn from outside gets its turn beside tasks that never stop yielding") {
  std::atomic<bool> done{false};
  paceline::runtime rt(with_workers(1));
  std::vector<paceline::join_handle<>> busy;
  for (int i = 0; i < 100; ++i) busy.push_back(rt.spawn(yield_until(done)));
  const auto seven = []() -> task<int> { co_return 7; };
  for (int i = 0; i < 20; ++i) REQUIRE(rt.block_on(seven()) == 7);
  done = true;
  for (auto& handle : busy) handle.join();
}

TEST_CASE("ready tasks behind one that never suspends are run by others") {
  std::atomic<bool> done{false};
  std::atomic<int> ran{0};
  const auto child = [&]() -> task<> {
    ran.fetch_add(1);
    co_return;
  };
  // The children are spawned at home, behind their parent, which then spins.
  const auto hog = [&]() -> task<> {
    std::vector<paceline::join_handle<>> children;
    for (int i = 0; i < 50; ++i) children.push_back(paceline::spawn(child()));
    while (ran.load() < 50 && !done.load()) std::this_thread::yield();
    for (auto& each : children) each.detach();
    co_return;
  };
  paceline::runtime rt(with_workers(2));
  auto handle = rt.spawn(hog());
  {
    const EndsSpinning end{done};
    eventually("the children ran", [&] { return ran == 50; });
  }
  handle.join();
  REQUIRE(rt.stats().total.tasks_stolen >= 50);
}

TEST_CASE("a worker whose last polls were long keeps the tiny tasks that are spawned there") {
  // By the mean of its polls it would take long for them, and send them elsewhere one by one.
  const auto busy = []() -> task<> {
    const auto until = std::chrono::steady_clock::now() + 20ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    co_return;
  };
  const auto tiny = []() -> task<> { co_return; };
  const auto spawner = [&]() -> task<> {
    std::vector<paceline::join_handle<>> children;
    for (int i = 0; i < 5'000; ++i) children.push_back(paceline::spawn(tiny()));
    for (auto& child : children) co_await std::move(child);
  };
  // What came to the other worker and was not stolen was sent. A go tells nothing if the system
  // kept that one from running while it had stolen some: then they seem long there, too.
  bool kept = false;
  for (int go = 0; go < 5 && !kept; ++go) {
    paceline::runtime rt(with_workers(2));
    paceline::spawn_options first;
    first.core = 0;
    rt.spawn(busy(), first).join();
    rt.spawn(spawner(), first).join();
    rt.wait_idle();
    const auto other = rt.stats().workers[1];
    kept = other.polls <= other.tasks_stolen + 1'000;
  }
  // A sanitizer's tiny tasks are no such.
  if (!paceline_test::kSanitized) CHECK(kept);
}

TEST_CASE("statement 34: an overrun counts whole in how long its worker's polls take") {
  // Of which the average of its cluster is made: see Clusters::refresh.
  const auto polls_take = [] {
    return static_cast<paceline::core::Seat&>(
               paceline::core::machine::this_thread().runtime->port())
        .poll_ns.load();
  };
  paceline::runtime rt(with_workers(1));
  const auto quick = []() -> task<> {
    for (int i = 0; i < 1'000; ++i) co_await paceline::yield();
  };
  const auto overruns = [&]() -> task<> {
    co_await paceline::sleep_for(1ms);  // the polls before are looked at
    const auto until = std::chrono::steady_clock::now() + 40ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    co_return;
  };
  const auto after = [&]() -> task<std::uint32_t> {
    co_await paceline::sleep_for(1ms);  // so is the overrun
    co_return polls_take();
  };
  rt.spawn(quick()).join();
  rt.spawn(overruns()).join();
  // A quarter of it at once, in the mean with the one poll that may have come with it.
  CHECK(rt.spawn(after()).join() >= 40'000'000 / 4 / 2);
}

TEST_CASE("timers of a worker inside a poll that never ends are fired by another") {
  // Statement 9. With infinite parks nobody looks after others' timers, by design of that build.
  if (paceline::core::parks_are_infinite()) return;
  std::atomic<bool> asleep{false};
  std::atomic<bool> woke{false};
  std::atomic<bool> done{false};
  const auto sleeper = [&]() -> task<> {
    asleep = true;
    co_await paceline::sleep_for(5ms);
    woke = true;
  };
  const auto hog = [&]() -> task<> {
    paceline::join_handle<> handle = paceline::spawn(sleeper());
    while (!asleep.load()) co_await paceline::yield();  // it is in this worker's wheel now, mostly
    while (!woke.load() && !done.load()) std::this_thread::yield();
    handle.detach();
  };
  paceline::runtime rt(with_workers(2));
  paceline::spawn_options first;
  first.core = 0;
  auto handle = rt.spawn(hog(), first);
  {
    const EndsSpinning end{done};
    eventually("the timer fired", [&] { return woke.load(); });
  }
  handle.join();
}

TEST_CASE("every task that is counted as spawned is counted as completed") {
  paceline::runtime rt(with_workers(3));
  const auto leaf = []() -> task<> { co_await paceline::yield(); };
  const auto parent = [&]() -> task<> {
    std::vector<paceline::join_handle<>> children;
    for (int i = 0; i < 100; ++i) children.push_back(paceline::spawn(leaf()));
    for (auto& child : children) co_await std::move(child);
  };
  std::vector<paceline::join_handle<>> parents;
  for (int i = 0; i < 20; ++i) parents.push_back(rt.spawn(parent()));
  for (auto& handle : parents) handle.join();
  rt.wait_idle();
  const auto stats = rt.stats();
  REQUIRE(stats.total.spawned == 20 * 101);
  REQUIRE(stats.total.completed == 20 * 101);
  REQUIRE(stats.live == 0);
}
