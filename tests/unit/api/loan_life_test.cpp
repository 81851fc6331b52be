// SPDX-License-Identifier: BSL-1.0
// Proves when a loan begins and that it is returned: each task looks itself which class it has its
// turns in, and waits until that is as it should be. Nothing here depends on time.
#include <algorithm>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>

#include "exec/live_loans.hpp"
#include "exec/loan.hpp"
#include "machine/machine.hpp"
#include "support/sanitized.hpp"
#include "unit/api/fixtures.hpp"
#include "unit/api/ranks.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

task<> nothing() { co_return; }

/// Waits for the task of a handle that it was given.
task<> awaits(join_handle<> what) { co_await std::move(what); }

}  // namespace

TEST_CASE("an urgent task that awaits a background task lifts it above standard hogs") {
  runtime rt(one_worker());
  std::atomic<bool> go{false};
  std::vector<std::string> order;  // one worker: written by one thread
  const auto hog = [&]() -> task<> {
    while (!go) co_await yield();
    for (int i = 0; i < 500; ++i) co_await yield();
    order.emplace_back("hog");
  };
  const auto child = [&]() -> task<> {
    for (int i = 0; i < 20; ++i) co_await yield();
    order.emplace_back("child");
  };
  const auto parent = [&]() -> task<> {
    join_handle<> awaited = spawn(child(), kBackground);
    go = true;
    co_await std::move(awaited);
    order.emplace_back("parent");
  };
  std::vector<join_handle<>> hogs;
  for (int i = 0; i < 4; ++i) hogs.push_back(rt.spawn(hog(), kStandard));
  rt.spawn(parent(), kUrgent).join();
  for (auto& each : hogs) each.join();
  CHECK(order == std::vector<std::string>{"child", "parent", "hog", "hog", "hog", "hog"});
}

TEST_CASE("statement 35: a task whose lender is cancelled is back in its own class") {
  runtime rt(workers(2));
  Ranks child;
  join_handle<> awaited = rt.spawn(child.watch("505"), kBackground);
  child.reached(1);
  join_handle<> lender = rt.spawn(awaits(std::move(awaited)), kUrgent);
  child.reached(2);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  child.reached(3);
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a task that waits, and what it waits for, are lent and returned together") {
  runtime rt(workers(2));
  Ranks last;
  join_handle<> chain = rt.spawn(last.watch("505"), kBackground);
  last.reached(1);
  for (int i = 0; i < 3; ++i) chain = rt.spawn(awaits(std::move(chain)), kBackground);
  join_handle<> lender = rt.spawn(awaits(std::move(chain)), kUrgent);
  last.reached(2);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  last.reached(3);
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("when_all passes on what its task is lent, and what is returned") {
  runtime rt(workers(2));
  Ranks one;
  Ranks two;
  const auto both = [&]() -> task<> { co_await when_all(one.watch("414"), two.watch("414")); };
  join_handle<> group = rt.spawn(both(), {.qos = qos::utility});
  one.reached(1);
  two.reached(1);
  join_handle<> lender = rt.spawn(awaits(std::move(group)), {.qos = qos::user_interactive});
  one.reached(2);
  two.reached(2);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  one.reached(3);
  two.reached(3);
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a task that has ended before it is awaited is lent nothing") {
  runtime rt(one_worker());
  const auto body = [&]() -> task<bool> {
    join_handle<> child = spawn(nothing(), kBackground);
    while (!child.done()) co_await yield();
    co_await std::move(child);
    co_return core::any_loans();
  };
  CHECK_FALSE(rt.spawn(body(), kUrgent).join());
}

TEST_CASE("a task is lent a class while it runs on another worker") {
  runtime rt(workers(2));
  Ranks child;
  join_handle<> awaited =
      rt.spawn({.qos = qos::background, .core = 1}, [&] { child.compute("505"); });
  child.reached(1);
  join_handle<> lender = rt.spawn(awaits(std::move(awaited)), {.qos = qos::urgent, .core = 0});
  child.reached(2);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  child.reached(3);
}

TEST_CASE("a preempted task goes on in the class that it is lent") {
  runtime_options options = one_worker();
  options.preemption = preemption_mode::safepoint;
  runtime rt(options);
  Ranks child;
  join_handle<> awaited = rt.spawn(kBackground, [&] { child.compute("505"); });
  child.reached(1);
  // It is parked, since what is more important is always ready.
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> polls{0};
  const auto busy = [&]() -> task<> {
    while (!over) {
      polls.fetch_add(1);
      co_await yield();
    }
  };
  join_handle<> crowd = rt.spawn(busy(), kStandard);
  eventually("the crowd is busy", [&] { return polls > 100; });
  join_handle<> lender = rt.spawn(awaits(std::move(awaited)), kUrgent);
  child.reached(2);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  child.reached(3);
  over = true;
  crowd.join();
  rt.wait_idle();
  CHECK(rt.stats().total.demotions_safepoint >= 1);
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a task takes its loan along when it changes its own class, and outgrows it") {
  runtime rt(workers(2));
  Ranks child;
  const auto changes = [&]() -> task<> {
    co_await child.watch("52");
    this_task::set_qos(qos::utility);
    co_await child.watch("2");
    this_task::set_qos(qos::urgent);
    co_await child.watch("0");
    this_task::set_qos(qos::background);
    co_await child.watch("25");
  };
  join_handle<> awaited = rt.spawn(changes(), kBackground);
  child.reached(1);
  join_handle<> lender = rt.spawn(awaits(std::move(awaited)), {.qos = qos::user_initiated});
  child.reached(5);
  lender.request_stop();
  CHECK_THROWS_AS(lender.join(), operation_cancelled);
  child.reached(6);
  rt.wait_idle();
}

TEST_CASE("lenders that come and go leave neither loans nor waiting tasks") {
  runtime rt(workers(3));
  constexpr unsigned kRounds = kSanitized ? 40 : 300;
  for (unsigned round = 0; round < kRounds; ++round) {
    Gate gate;
    const auto waits = [&]() -> task<> { co_await gate.pass(); };
    join_handle<> chain = rt.spawn(waits(), kBackground);
    for (int i = 0; i < 2; ++i) chain = rt.spawn(awaits(std::move(chain)), kBackground);
    join_handle<> lender = rt.spawn(awaits(std::move(chain)), kUrgent);
    if (round % 2 == 0) lender.request_stop();
    gate.open();
    if (round % 2 != 0) {
      lender.join();
    } else {
      try {
        lender.join();
      } catch (const operation_cancelled&) {
      }
    }
    rt.wait_idle();
    CHECK_FALSE(core::any_loans());
  }
}

TEST_CASE(
    "what is lent to a task stays while a stop request from outside may ask for its address") {
  runtime rt(workers(2));
  std::stop_source source;
  std::optional<std::stop_callback<std::function<void()>>> callback;
  std::atomic<bool> registered{false};
  std::atomic<bool> called{false};
  std::atomic<bool> let_go{false};
  const auto child = [&]() -> task<> {
    callback.emplace(this_task::stop_token(), [&] {
      called = true;
      while (!let_go) std::this_thread::yield();
    });
    registered = true;
    while (!called) {
      try {
        co_await yield();
      } catch (const operation_cancelled&) {
      }
    }
  };
  spawn_options options{.qos = qos::background, .core = 0};
  options.stop_token = source.get_token();
  join_handle<> awaited = rt.spawn(child(), options);
  eventually("the callback stands", [&] { return registered.load(); });
  spawn_options urgent{.qos = qos::urgent, .core = 1};
  join_handle<> lender = rt.spawn(awaits(std::move(awaited)), urgent);
  eventually("something is lent", [] { return core::any_loans(); });
  std::thread stopper([&] { source.request_stop(); });
  eventually("the child has ended", [&] { return rt.stats().total.completed == 1; });
  // Its joiner takes its frame down, but no further than to the callback that is under way.
  bool stayed = true;
  for (int i = 0; i < 2000; ++i) {
    stayed = stayed && core::any_loans();
    std::this_thread::yield();
  }
  CHECK(stayed);
  let_go = true;
  stopper.join();
  lender.join();
  callback.reset();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a task that goes to and fro between runtimes takes up the loans it left behind") {
  runtime here(one_worker());
  runtime there(one_worker());
  mutex m;
  const auto waits = [&]() -> task<> { const auto guard = co_await m.lock(); };
  std::uint64_t most = 0;
  const auto traveller = [&]() -> task<> {
    Ranks ranks;
    for (int round = 0; round < 20; ++round) {
      {
        const auto guard = co_await m.lock();
        here.spawn(waits(), kUrgent).detach();
        co_await ranks.watch("0");
      }
      most = std::max<std::uint64_t>(most, core::live_loans.load());
      co_await resume_on(there.get_scheduler());
      co_await resume_on(here.get_scheduler());
    }
  };
  here.spawn(traveller(), kBackground).join();
  here.wait_idle();
  CHECK(most == 1);
  CHECK_FALSE(core::any_loans());
}
