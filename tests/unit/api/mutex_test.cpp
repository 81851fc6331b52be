// SPDX-License-Identifier: BSL-1.0
// Proves the mutex: it excludes, serves the more important first and the others in turn, is
// withdrawn from by stop requests, goes with its guard, and lends the holder what waits for it.
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/sanitized.hpp"
#include "unit/api/fixtures.hpp"
#include "unit/api/ranks.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

task<> locks(mutex& m) { const auto guard = co_await m.lock(); }

/// Holds `m` until the gate opens.
task<> holds(mutex& m, Gate& gate) {
  const auto guard = co_await m.lock();
  co_await gate.pass();
}

/// Holds `m` until its task has had these classes.
task<> holds(mutex& m, Ranks& ranks, const char* expected) {
  const auto guard = co_await m.lock();
  co_await ranks.watch(expected);
}

}  // namespace

TEST_CASE("a mutex lets one task in at a time") {
  runtime rt(workers(4));
  mutex m;
  std::uint64_t plain = 0;
  constexpr int kTasks = 40;
  constexpr int kTimes = kSanitized ? 50 : 500;
  const auto body = [&]() -> task<> {
    for (int i = 0; i < kTimes; ++i) {
      const auto guard = co_await m.lock();
      const std::uint64_t before = plain;
      if (i % 8 == 0) co_await yield();
      plain = before + 1;
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < kTasks; ++i)
    all.push_back(rt.spawn(body(), {.qos = static_cast<qos>(i % 6)}));
  for (auto& each : all) each.join();
  CHECK(plain == std::uint64_t{kTasks} * kTimes);
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a mutex goes to the most important waiter, then to the one that came first") {
  runtime rt(workers(2));
  mutex m;
  Gate gate;
  std::vector<int> order;  // under the mutex
  const auto waits = [&](int number) -> task<> {
    const auto guard = co_await m.lock();
    order.push_back(number);
  };
  join_handle<> holder = rt.spawn(holds(m, gate), kUrgent);
  eventually("it is held", [&] { return gate.arrived() == 1; });
  std::vector<join_handle<>> all;
  const auto comes = [&](int number, qos its) {
    // The next one comes when this one is queued: a stop request finds it suspended there.
    std::atomic<bool> begun{false};
    const auto announced = [&]() -> task<> {
      begun = true;
      co_await waits(number);
    };
    all.push_back(rt.spawn(announced(), {.qos = its, .core = 0}));
    eventually("it has come", [&] { return begun.load(); });
    rt.spawn({.qos = qos::background, .core = 0}, [] {}).join();  // behind it on that worker
  };
  comes(1, qos::background);
  comes(2, qos::standard);
  comes(3, qos::background);
  comes(4, qos::urgent);
  comes(5, qos::standard);
  gate.open();
  holder.join();
  for (auto& each : all) each.join();
  CHECK(order == std::vector<int>{4, 2, 5, 1, 3});
}

TEST_CASE("statement 35: whoever holds a mutex is lent the class of the most important waiter") {
  runtime rt(workers(2));
  mutex m;
  Ranks holder;
  join_handle<> low = rt.spawn(holds(m, holder, "53035"), kBackground);
  holder.reached(1);
  join_handle<> middle = rt.spawn(locks(m), kStandard);
  holder.reached(2);
  join_handle<> high = rt.spawn(locks(m), kUrgent);
  holder.reached(3);
  high.request_stop();
  CHECK_THROWS_AS(high.join(), operation_cancelled);
  holder.reached(4);
  middle.request_stop();
  CHECK_THROWS_AS(middle.join(), operation_cancelled);
  holder.reached(5);
  low.join();
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a task keeps what one lender lends when another one leaves") {
  runtime rt(workers(2));
  mutex m;
  Ranks child;
  join_handle<> awaited = rt.spawn(holds(m, child, "53035"), kBackground);
  child.reached(1);
  join_handle<> waiter = rt.spawn(locks(m), kStandard);
  child.reached(2);
  const auto joins = [](join_handle<> what) -> task<> { co_await std::move(what); };
  join_handle<> joiner = rt.spawn(joins(std::move(awaited)), kUrgent);
  child.reached(3);
  joiner.request_stop();
  CHECK_THROWS_AS(joiner.join(), operation_cancelled);
  child.reached(4);
  waiter.request_stop();
  CHECK_THROWS_AS(waiter.join(), operation_cancelled);
  child.reached(5);
  rt.wait_idle();
}

TEST_CASE("who unlocks is back in its own class, and the next holder is lent what waits still") {
  runtime rt(workers(2));
  mutex m;
  Ranks first;
  Ranks second;
  const auto unlocks = [&]() -> task<> {
    {
      const auto guard = co_await m.lock();
      co_await first.watch("50");
    }
    co_await first.watch("5");
  };
  join_handle<> low = rt.spawn(unlocks(), kBackground);
  first.reached(1);
  mutex other;
  const auto takes_other = [&]() -> task<> {
    const auto guard = co_await other.lock();
    co_await second.watch("4");
    const auto both = co_await m.lock();
    co_await second.watch("04");
  };
  join_handle<> next = rt.spawn(takes_other(), {.qos = qos::utility});
  second.reached(1);
  // Through `other` to the one that waits for `m`, and through it to the holder of that.
  join_handle<> high = rt.spawn(locks(other), kUrgent);
  first.reached(3);
  second.reached(2);
  high.request_stop();
  CHECK_THROWS_AS(high.join(), operation_cancelled);
  second.reached(3);
  low.join();
  next.join();
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE(
    "standard hogs do not come between an urgent task and the mutex a background task holds") {
  runtime rt(one_worker());
  mutex m;
  std::vector<std::string> order;  // one worker: written by one thread
  std::atomic<bool> held{false};
  std::atomic<bool> go{false};
  const auto low = [&]() -> task<> {
    const auto guard = co_await m.lock();
    held = true;
    while (!go) co_await yield();
    for (int i = 0; i < 20; ++i) co_await yield();
    order.emplace_back("low");
  };
  const auto hog = [&]() -> task<> {
    while (!go) co_await yield();
    for (int i = 0; i < 500; ++i) co_await yield();
    order.emplace_back("hog");
  };
  const auto high = [&]() -> task<> {
    go = true;
    const auto guard = co_await m.lock();
    order.emplace_back("high");
  };
  join_handle<> holder = rt.spawn(low(), kBackground);
  eventually("it is held", [&] { return held.load(); });
  std::vector<join_handle<>> hogs;
  for (int i = 0; i < 3; ++i) hogs.push_back(rt.spawn(hog(), kStandard));
  rt.spawn(high(), kUrgent).join();
  holder.join();
  for (auto& each : hogs) each.join();
  CHECK(order == std::vector<std::string>{"low", "high", "hog", "hog", "hog"});
}

TEST_CASE("who holds a mutex and moves to another runtime is lent what waits there") {
  runtime here(one_worker());
  runtime there(one_worker());
  mutex m;
  Ranks ranks;
  const auto moves = [&]() -> task<> {
    const auto guard = co_await m.lock();
    co_await ranks.watch("50");
    co_await resume_on(there.get_scheduler());
    co_await ranks.watch("50");
  };
  join_handle<> holder = here.spawn(moves(), kBackground);
  ranks.reached(1);
  join_handle<> first = here.spawn(locks(m), kUrgent);
  ranks.reached(3);  // what waits where it came from lends nothing across
  join_handle<> second = there.spawn(locks(m), kUrgent);
  ranks.reached(4);
  holder.join();
  first.join();
  second.join();
  CHECK_FALSE(core::any_loans());
}

TEST_CASE("a guard may go to another task, which is then the one that is lent to") {
  runtime rt(workers(2));
  mutex m;
  Ranks owner;
  const auto gives = [&]() -> task<mutex::guard> { co_return co_await m.lock(); };
  const auto takes = [&]() -> task<> {
    join_handle<mutex::guard> child = spawn(gives(), kBackground);
    const mutex::guard guard = co_await std::move(child);
    co_await owner.watch("41");
  };
  join_handle<> all = rt.spawn(takes(), {.qos = qos::utility});
  owner.reached(1);
  join_handle<> waiter = rt.spawn(locks(m), {.qos = qos::user_interactive});
  owner.reached(2);
  all.join();
  waiter.join();
}

TEST_CASE("a guard may outlive the task that locked") {
  runtime rt(workers(2));
  mutex m;
  std::optional<mutex::guard> kept;
  const auto keeps = [&]() -> task<> { kept.emplace(co_await m.lock()); };
  rt.spawn(keeps(), kBackground).join();
  CHECK_FALSE(m.try_lock());
  join_handle<> waiter = rt.spawn(locks(m), kUrgent);
  rt.spawn({.qos = qos::background}, [] {}).join();
  kept.reset();
  waiter.join();
  CHECK(m.try_lock());
}

TEST_CASE("try_lock gives an empty guard while somebody holds the mutex") {
  mutex m;  // outside any runtime
  mutex::guard guard = m.try_lock();
  CHECK(guard);
  CHECK_FALSE(m.try_lock());
  mutex::guard moved = std::move(guard);
  CHECK(moved);
  CHECK_FALSE(guard);  // NOLINT(bugprone-use-after-move): what it promises
  moved.unlock();
  CHECK_FALSE(moved);
  CHECK(m.try_lock());
  CHECK(message_of<std::logic_error>([&] {
          auto lock = m.lock().operator co_await();
          static_cast<void>(lock.await_ready());
        }) != "");
}

TEST_CASE("stop requests race with unlocking, and the mutex is never lost") {
  runtime rt(workers(3));
  mutex m;
  std::atomic<int> got{0};
  std::atomic<int> cancelled{0};
  const auto body = [&]() -> task<> {
    const auto guard = co_await m.lock();
    ++got;
    co_await yield();
  };
  constexpr int kRounds = kSanitized ? 60 : 500;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<join_handle<>> all;
    for (int i = 0; i < 8; ++i) {
      all.push_back(rt.spawn(body(), {.qos = static_cast<qos>((round + i) % 6)}));
    }
    for (int i = 0; i < 8; i += 2) all[static_cast<std::size_t>(i)].request_stop();
    for (auto& each : all) {
      try {
        each.join();
      } catch (const operation_cancelled&) {
        ++cancelled;
      }
    }
  }
  CHECK(got >= 4 * kRounds);
  CHECK(m.try_lock());
  rt.wait_idle();
  CHECK_FALSE(core::any_loans());
}
