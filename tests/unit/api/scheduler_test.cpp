// SPDX-License-Identifier: BSL-1.0
// scheduler and resume_on: moving between runtimes with everything a task has; dead and empty ones.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <optional>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

/// Where a task finds itself.
struct Place {
  std::size_t worker;
  std::thread::id thread;
};
task<Place> here() { co_return Place{this_task::worker(), std::this_thread::get_id()}; }

std::thread::id thread_of(runtime& rt) { return rt.block_on(here()).thread; }

/// Owns itself: gone as soon as it has run.
struct Stray {
  struct promise_type {
    Stray get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};
Stray stray(scheduler there, std::atomic<long>& ran) {
  co_await there.schedule();
  ran.fetch_add(1);
}

}  // namespace

TEST_CASE("a coroutine that frees itself elsewhere is not touched once it was scheduled") {
  // Under AddressSanitizer a late write to the awaiter is a report; elsewhere it went unseen.
  constexpr long kStrays = kSanitized ? 100'000 : 20'000;
  std::atomic<long> ran{0};
  runtime rt(workers(2));
  for (long i = 0; i < kStrays; ++i) stray(rt.get_scheduler(), ran);
  eventually("every stray has run", [&] { return ran.load() == kStrays; });
  CHECK(ran.load() == kStrays);
}

TEST_CASE("schedulers are values: copied, moved, compared, empty") {
  runtime one(one_worker());
  runtime two(one_worker());
  const scheduler a = one.get_scheduler();
  scheduler b = a;
  CHECK(b == a);
  CHECK(a == one.get_scheduler());
  CHECK_FALSE(a == two.get_scheduler());
  scheduler c = std::move(b);
  CHECK(c == a);
  b = two.get_scheduler();
  CHECK_FALSE(b == a);
  b = c;
  CHECK(b == a);
  scheduler& alias = b;
  b = alias;
  CHECK(b == a);
  CHECK(scheduler() == scheduler());
}

TEST_CASE("an empty scheduler says where to get one") {
  runtime rt(one_worker());
  CHECK(says(message_of<std::logic_error>([] { (void)scheduler().schedule(); }), "get_scheduler"));
  CHECK(says(message_of<std::logic_error>(
                 [&] { rt.block_on([]() -> task<> { co_await resume_on(scheduler()); }()); }),
             "empty"));
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("resume_on to the own runtime gives way like a yield") {
  runtime rt(one_worker());
  const bool gave_way = rt.block_on([](scheduler own) -> task<bool> {
    bool other_ran = false;
    auto other = [&other_ran] { other_ran = true; };
    join_handle<> handle = spawn({}, other);
    co_await resume_on(own);
    const bool ran = other_ran;
    co_await std::move(handle);
    co_return ran;
  }(rt.get_scheduler()));
  CHECK(gave_way);
  rt.wait_idle();
  CHECK(rt.stats().total.spawned == 2);
}

TEST_CASE("a task moves to another runtime and back with name, class, id and results") {
  runtime home(one_worker());
  runtime away(one_worker());
  const auto home_thread = thread_of(home);
  const auto away_thread = thread_of(away);
  struct Trip {
    bool moved = true;
    bool kept = true;
  };
  auto body = [=](scheduler there, scheduler back) -> task<Trip> {
    Trip trip;
    const task_id id = this_task::id();
    const auto look = [&](std::thread::id expected) {
      trip.moved &= std::this_thread::get_id() == expected;
      trip.kept &= this_task::id() == id && this_task::name() == "traveller" &&
                   this_task::qos() == qos::background;
    };
    look(home_thread);
    for (int i = 0; i < 50; ++i) {
      co_await resume_on(there);
      look(away_thread);
      co_await yield();
      look(away_thread);
      co_await sleep_for(std::chrono::microseconds(1));
      look(away_thread);
      co_await there.schedule();
      look(away_thread);
      co_await resume_on(back);
      look(home_thread);
    }
    co_return trip;
  };
  spawn_options options{.qos = qos::background, .name = "traveller"};
  const Trip trip = home.spawn(options, body, away.get_scheduler(), home.get_scheduler()).join();
  CHECK(trip.moved);
  CHECK(trip.kept);
  home.wait_idle();
  away.wait_idle();
  CHECK(home.stats().live == 0);
  CHECK(away.stats().live == 0);
}

TEST_CASE("a moved task is still joined and stopped through its handle") {
  runtime home(one_worker());
  runtime away(one_worker());
  std::atomic<bool> arrived{false};
  auto body = [&arrived](scheduler there) -> task<> {
    co_await resume_on(there);
    arrived = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  join_handle<> handle = home.spawn({}, body, away.get_scheduler());
  eventually("it has arrived", [&] { return arrived.load(); });
  home.wait_idle();
  CHECK(home.stats().live == 0);
  CHECK(away.stats().live == 1);
  CHECK(handle.request_stop());
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("an external token stops a task after it has moved") {
  runtime home(one_worker());
  runtime away(one_worker());
  std::stop_source source;
  std::atomic<bool> arrived{false};
  auto body = [&arrived](scheduler there) -> task<> {
    co_await resume_on(there);
    arrived = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  join_handle<> handle = home.spawn({.stop_token = source.get_token()}, body, away.get_scheduler());
  eventually("it has arrived", [&] { return arrived.load(); });
  source.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("a moved task belongs to its new runtime: that one's stop reaches it and its token") {
  runtime home(one_worker());
  std::optional<runtime> away(std::in_place, one_worker());
  std::stop_token token;
  std::atomic<bool> arrived{false};
  auto body = [&](scheduler there) -> task<> {
    token = this_task::stop_token();
    co_await resume_on(there);
    arrived = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  join_handle<> handle = home.spawn({}, body, away->get_scheduler());
  eventually("it has arrived", [&] { return arrived.load(); });
  home.request_stop();
  home.wait_idle();
  CHECK_FALSE(token.stop_requested());
  CHECK_FALSE(handle.done());
  away->request_stop();
  CHECK(token.stop_requested());
  away.reset();
  CHECK(handle.done());
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("a task's first runtime may die while it lives in the second") {
  std::optional<runtime> home(std::in_place, one_worker());
  runtime away(one_worker());
  Gate gate;
  std::stop_token token;
  auto body = [&](scheduler there) -> task<int> {
    token = this_task::stop_token();
    co_await resume_on(there);
    co_await gate.pass();
    co_return this_task::stop_token() == token ? 5 : 0;
  };
  join_handle<int> handle = home->spawn({.name = "emigrant"}, body, away.get_scheduler());
  eventually("it waits there", [&] { return gate.arrived() == 1; });
  home.reset();
  CHECK_FALSE(handle.done());
  gate.open();
  CHECK(handle.join() == 5);
}

TEST_CASE("children of a group may move away; the group still ends, and stops them") {
  runtime home(workers(2));
  runtime away(one_worker());
  std::atomic<int> arrived{0};
  const auto child = [](scheduler there, std::atomic<int>& count, bool waits) -> task<int> {
    co_await resume_on(there);
    ++count;
    if (waits) co_await sleep_for(std::chrono::hours(1));
    co_return 1;
  };
  const int sum = home.block_on([](auto make, scheduler there, auto& count) -> task<int> {
    auto [a, b] = co_await when_all(make(there, count, false), make(there, count, false));
    co_return a + b;
  }(child, away.get_scheduler(), arrived));
  CHECK(sum == 2);

  arrived = 0;
  auto parent = [&](scheduler there) -> task<> {
    co_await when_all(child(there, arrived, true), child(there, arrived, true));
  };
  join_handle<> handle = home.spawn({}, parent, away.get_scheduler());
  eventually("both have arrived", [&] { return arrived == 2; });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  away.wait_idle();
  CHECK(away.stats().live == 0);
}

TEST_CASE("a scheduler outlives its runtime and then throws runtime_stopped") {
  runtime rt(one_worker());
  scheduler dead;
  {
    runtime gone(one_worker());
    dead = gone.get_scheduler();
  }
  auto body = [](scheduler there) -> task<int> {
    const auto thread = std::this_thread::get_id();
    bool refused = false;
    try {
      co_await resume_on(there);
    } catch (const runtime_stopped&) {
      refused = true;
    }
    co_await yield();
    co_return refused&& std::this_thread::get_id() == thread ? 1 : 0;
  };
  CHECK(rt.spawn({}, body, dead).join() == 1);
  const Eager outside = [](scheduler there) -> Eager { co_await there.schedule(); }(dead);
  REQUIRE(outside.ended());
  CHECK_THROWS_AS(outside.rethrow(), runtime_stopped);
}

TEST_CASE("a stopped runtime takes no more tasks, but finishes what it has") {
  runtime rt(one_worker());
  runtime other(one_worker());
  other.request_stop();
  auto body = [](scheduler there) -> task<> { co_await resume_on(there); };
  const std::string message =
      message_of<runtime_stopped>([&] { rt.spawn({}, body, other.get_scheduler()).join(); });
  CHECK(says(message, "schedule"));
  other.wait_idle();
  CHECK(other.stats().total.spawned == 0);
}

TEST_CASE("a task that was asked to stop is not moved") {
  runtime rt(one_worker());
  runtime other(one_worker());
  std::stop_source source;
  source.request_stop();
  auto body = [](scheduler there) -> task<> { co_await resume_on(there); };
  join_handle<> handle = rt.spawn({.stop_token = source.get_token()}, body, other.get_scheduler());
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(other.stats().total.spawned == 0);
}

TEST_CASE("tasks commute between two runtimes by the thousand, joined and stopped meanwhile") {
  runtime a(workers(2));
  runtime b(workers(2));
  constexpr int kTasks = kSanitized ? 100 : 500;
  auto commute = [](scheduler there, scheduler back) -> task<int> {
    for (int i = 0; i < 20; ++i) {
      co_await resume_on(there);
      this_task::set_qos(static_cast<qos>(i % 6));
      co_await resume_on(back);
    }
    co_return 1;
  };
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < kTasks; ++i) {
    handles.push_back(a.spawn({.name = "commuter"}, commute, b.get_scheduler(), a.get_scheduler()));
  }
  int ended = 0;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (i % 5 == 0) handles[i].request_stop();
    try {
      ended += handles[i].join();
    } catch (const operation_cancelled&) {
      ++ended;
    }
  }
  CHECK(ended == kTasks);
  a.wait_idle();
  b.wait_idle();
  CHECK(a.stats().live == 0);
  CHECK(b.stats().live == 0);
}
