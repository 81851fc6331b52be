// SPDX-License-Identifier: BSL-1.0
// join_handle: waiting from inside and outside, giving up, outliving the runtime, misuse.
#include "fixtures.hpp"

#include <memory>
#include <optional>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

task<int> number(int value) { co_return value; }
task<int> after(Gate& gate, int value) {
  co_await gate.pass();
  co_return value;
}
task<int> fails() {
  co_await yield();
  throw std::range_error("failed");
}
task<> forever() { co_await sleep_for(std::chrono::hours(1)); }

}  // namespace

TEST_CASE("a handle is awaited before or after its task has ended") {
  runtime rt(one_worker());
  rt.block_on([]() -> task<> {
    join_handle<int> early = spawn(number(1));
    CHECK_FALSE(early.done());
    const int first = co_await std::move(early);
    CHECK(first == 1);
    join_handle<int> late = spawn(number(2));
    co_await yield();
    CHECK(late.done());
    const int second = co_await std::move(late);
    CHECK(second == 2);
    CHECK_FALSE(late);  // NOLINT: consumed is defined here
  }());
}

TEST_CASE("join blocks an outside thread until the task has ended") {
  runtime rt(workers(2));
  Gate gate;
  join_handle<int> handle = rt.spawn(after(gate, 3));
  eventually("the task waits", [&] { return gate.arrived() == 1; });
  CHECK_FALSE(handle.done());
  std::atomic<int> result{0};
  std::thread joiner([&] { result = handle.join(); });
  CHECK(result.load() == 0);
  gate.open();
  joiner.join();
  CHECK(result.load() == 3);
  CHECK_FALSE(handle);
}

TEST_CASE("join and co_await rethrow what the task threw, once") {
  std::atomic<int> unhandled{0};
  runtime_options options = one_worker();
  options.on_unhandled = [&](std::exception_ptr, std::string_view) { ++unhandled; };
  runtime rt(options);
  join_handle<int> handle = rt.spawn(fails());
  CHECK_THROWS_AS(handle.join(), std::range_error);
  CHECK_FALSE(handle);
  CHECK(rt.block_on([]() -> task<bool> {
    join_handle<int> child = spawn(fails());
    try {
      co_await std::move(child);
    } catch (const std::range_error&) {
      co_return true;
    }
    co_return false;
  }()));
  rt.wait_idle();
  CHECK(unhandled.load() == 0);
}

TEST_CASE("join on a worker says what to do instead, and keeps the handle") {
  runtime rt(one_worker());
  runtime other(one_worker());
  const auto attempt = [](join_handle<int>& handle) -> task<std::string> {
    co_return message_of<std::logic_error>([&] { handle.join(); });
  };
  Gate gate;
  join_handle<int> own = rt.spawn(after(gate, 4));
  CHECK(says(rt.block_on(attempt(own)), "co_await"));
  CHECK(says(other.block_on(attempt(own)), "co_await"));
  REQUIRE(own);
  gate.open();
  CHECK(own.join() == 4);
}

TEST_CASE("every use of an empty handle is a logic_error that names the call") {
  join_handle<int> empty;
  CHECK_FALSE(empty);
  CHECK(says(message_of<std::logic_error>([&] { empty.join(); }), "join_handle::join"));
  CHECK(says(message_of<std::logic_error>([&] { empty.request_stop(); }), "request_stop"));
  CHECK(says(message_of<std::logic_error>([&] { (void)empty.done(); }), "done"));
  CHECK(says(message_of<std::logic_error>([&] { (void)empty.id(); }), "id"));
  CHECK(says(message_of<std::logic_error>([&] { empty.detach(); }), "detach"));
  runtime rt(one_worker());
  CHECK(says(message_of<std::logic_error>([&] {
               rt.block_on(
                   [](join_handle<int>& handle) -> task<> { co_await std::move(handle); }(empty));
             }),
             "co_await"));
  join_handle<int> source = rt.spawn(number(1));
  join_handle<int> target = std::move(source);
  CHECK_THROWS_AS(source.join(), std::logic_error);  // NOLINT: that is the point
  CHECK(target.join() == 1);
  CHECK_THROWS_AS(target.join(), std::logic_error);
}

TEST_CASE("detaching and dropping a handle let the task go on") {
  runtime rt(one_worker());
  Gate gate;
  std::atomic<int> ended{0};
  const auto body = [](Gate& g, std::atomic<int>& count) -> task<> {
    co_await g.pass();
    ++count;
  };
  join_handle<> detached = rt.spawn(body(gate, ended));
  detached.detach();
  CHECK_FALSE(detached);
  {
    const join_handle<> dropped = rt.spawn(body(gate, ended));
  }
  gate.open();
  rt.wait_idle();
  CHECK(ended.load() == 2);
}

TEST_CASE("assigning over a live handle detaches its task") {
  runtime rt(one_worker());
  Gate gate;
  std::atomic<int> ended{0};
  const auto body = [](Gate& g, std::atomic<int>& count) -> task<> {
    co_await g.pass();
    ++count;
  };
  join_handle<> handle = rt.spawn(body(gate, ended));
  const task_id first = handle.id();
  handle = rt.spawn(body(gate, ended));
  CHECK(handle.id() != first);
  join_handle<>& alias = handle;
  handle = std::move(alias);  // onto itself
  REQUIRE(handle);
  gate.open();
  handle.join();
  rt.wait_idle();
  CHECK(ended.load() == 2);
}

TEST_CASE("request_stop through the handle ends the task's wait, and is true the first time") {
  runtime rt(one_worker());
  join_handle<> handle = rt.spawn(forever());
  CHECK(handle.request_stop());
  CHECK_FALSE(handle.request_stop());
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("cancelling a join detaches the awaited task, which goes on") {
  runtime rt(one_worker());
  Gate gate;
  std::atomic<bool> ended{false};
  std::atomic<bool> waiting{false};
  auto child_body = [&]() -> task<> {
    co_await gate.pass();
    ended = true;
  };
  auto parent_body = [&]() -> task<> {
    join_handle<> child = spawn({}, child_body);
    waiting = true;
    co_await std::move(child);
  };
  join_handle<> parent = rt.spawn({}, parent_body);
  eventually("both wait", [&] { return waiting && gate.arrived() == 1; });
  parent.request_stop();
  CHECK_THROWS_AS(parent.join(), operation_cancelled);
  CHECK_FALSE(ended.load());
  gate.open();
  rt.wait_idle();
  CHECK(ended.load());
}

TEST_CASE("a result nobody joins is destroyed with the handle, before or after the end") {
  std::atomic<int> live{0};
  runtime rt(one_worker());
  const auto make = [](std::atomic<int>& count) -> task<Counted> { co_return Counted(count); };
  {
    join_handle<Counted> handle = rt.spawn(make(live));
    rt.wait_idle();
    CHECK(handle.done());
    CHECK(live.load() == 1);
  }
  CHECK(live.load() == 0);
  {
    const join_handle<Counted> handle = rt.spawn(make(live));
  }
  rt.wait_idle();
  CHECK(live.load() == 0);
}

TEST_CASE("a handle may outlive its runtime") {
  std::optional<runtime> rt(std::in_place, one_worker());
  join_handle<int> ended = rt->spawn(number(5));
  join_handle<int> failed = rt->spawn(fails());
  rt->wait_idle();
  join_handle<> stopped = rt->spawn(forever());
  rt.reset();
  CHECK(ended.done());
  CHECK(ended.id() != 0);
  CHECK_NOTHROW(ended.request_stop());
  CHECK(ended.join() == 5);
  CHECK_THROWS_AS(failed.join(), std::range_error);
  CHECK(stopped.done());
  CHECK_THROWS_AS(stopped.join(), operation_cancelled);
}

TEST_CASE("a handle travels: spawned here, awaited in another runtime") {
  runtime one(one_worker());
  runtime two(one_worker());
  Gate gate;
  join_handle<int> handle = one.spawn(after(gate, 6));
  join_handle<int> outer = two.spawn([](join_handle<int> inner) -> task<int> {
    co_return co_await std::move(inner);
  }(std::move(handle)));
  eventually("the inner task waits", [&] { return gate.arrived() == 1; });
  gate.open();
  CHECK(outer.join() == 6);
}

TEST_CASE("joins race with ends from many threads without losing a result") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 500 : 5000;
  std::atomic<long> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        join_handle<int> handle = rt.spawn(number(1));
        if (i % 3 == 0) continue;  // dropped at any moment of the task's life
        sum += handle.join();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const long joined = kRounds - (kRounds + 2) / 3;
  CHECK(sum.load() == 3 * joined);
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
}
