// SPDX-License-Identifier: BSL-1.0
// sleep_for and sleep_until: never early, any duration, cancelled without loss.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <limits>
#include <thread>

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

/// How long a sleep took, by the steady clock.
template <class Duration>
task<Clock::duration> measured(Duration asked) {
  const auto before = Clock::now();
  co_await sleep_for(asked);
  co_return Clock::now() - before;
}

task<> sleeps_until(Clock::time_point when) { co_await sleep_until(when); }

/// Starts a sleep that must not end by itself, and stops it.
template <class Make>
void expect_endless(runtime& rt, Make make) {
  std::atomic<bool> reached{false};
  auto body = [&reached, &make]() -> task<> {
    auto nap = make();
    reached = true;
    co_await nap;
  };
  join_handle<> handle = rt.spawn({}, body);
  eventually("the task sleeps", [&] { return reached.load(); });
  CHECK(rt.block_on(forty_two()) == 42);  // time passes, the worker has looked at its timers
  CHECK_FALSE(handle.done());
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

}  // namespace

TEST_CASE("a sleep is never shorter than asked, in any unit") {
  runtime rt(workers(2));
  CHECK(rt.block_on(measured(1ns)) >= 1ns);
  CHECK(rt.block_on(measured(16'383ns)) >= 16'383ns);
  CHECK(rt.block_on(measured(100us)) >= 100us);
  CHECK(rt.block_on(measured(3ms)) >= 3ms);
  CHECK(rt.block_on(measured(std::chrono::duration<double, std::milli>(1.5))) >= 1'500us);
  CHECK(rt.block_on(measured(std::chrono::duration<float>(0.002f))) >= 1'999us);
  // A third of a millisecond is rounded up, not down.
  using Third = std::chrono::duration<int, std::ratio<1, 3000>>;
  CHECK(rt.block_on(measured(Third(1))) >= 333'334ns);
}

TEST_CASE("many sleeps of different length end on time or later, none early") {
  runtime rt(workers(2));
  std::vector<join_handle<Clock::duration>> handles;
  std::vector<Clock::duration> asked;
  for (int i = 0; i < 500; ++i) {
    asked.push_back(std::chrono::microseconds((i * 7919) % 20'000));
    handles.push_back(rt.spawn(measured(asked.back())));
  }
  int early = 0;
  for (std::size_t i = 0; i < handles.size(); ++i) early += handles[i].join() < asked[i] ? 1 : 0;
  CHECK(early == 0);
}

TEST_CASE("sleep_until waits for the point in time") {
  runtime rt(one_worker());
  const auto when = Clock::now() + 2ms;
  rt.block_on(sleeps_until(when));
  CHECK(Clock::now() >= when);
  rt.block_on(sleeps_until(Clock::now() - 1h));
  rt.block_on(sleeps_until(Clock::time_point()));
  rt.block_on(sleeps_until(Clock::time_point::min()));
  const auto coarse = std::chrono::time_point_cast<std::chrono::milliseconds>(Clock::now()) + 2ms;
  rt.block_on([](auto point) -> task<> { co_await sleep_until(point); }(coarse));
  CHECK(Clock::now() >= coarse);
}

TEST_CASE("no time, negative time and the least duration give way once, like a yield") {
  runtime rt(one_worker());
  for (const auto none : {0ns, -1ns, -1'000'000'000ns, std::chrono::nanoseconds::min()}) {
    const bool others_ran = rt.block_on([](std::chrono::nanoseconds d) -> task<bool> {
      bool ran = false;
      auto other = [&ran] { ran = true; };
      join_handle<> handle = spawn({}, other);
      co_await sleep_for(d);
      const bool gave_way = ran;
      co_await std::move(handle);
      co_return gave_way;
    }(none));
    CHECK(others_ran);
  }
  rt.block_on(sleep_for(std::chrono::hours::min()));
  rt.block_on(sleep_for(std::chrono::duration<double>(-1e300)));
  rt.block_on(sleep_for(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())));
}

TEST_CASE("a stop request reaches a sleep of no time while it gives way") {
  runtime rt(one_worker());
  const bool cancelled = rt.block_on([]() -> task<bool> {
    auto sleeper = []() -> task<> { co_await sleep_for(0s); };
    join_handle<> handle = spawn(sleeper());
    co_await yield();  // it stands in its sleep now
    handle.request_stop();
    try {
      co_await std::move(handle);
    } catch (const operation_cancelled&) {
      co_return true;
    }
    co_return false;
  }());
  CHECK(cancelled);
}

TEST_CASE("the longest durations last until the task is asked to stop") {
  runtime rt(one_worker());
  expect_endless(rt, [] { return sleep_for(std::chrono::nanoseconds::max()); });
  expect_endless(rt, [] { return sleep_for(std::chrono::hours::max()); });
  expect_endless(rt, [] { return sleep_for(std::chrono::duration<double>(1e300)); });
  expect_endless(rt, [] {
    return sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::infinity()));
  });
  expect_endless(rt, [] { return sleep_until(Clock::time_point::max()); });
  expect_endless(rt, [] { return sleep_for(std::chrono::hours(24 * 365 * 200)); });
}

TEST_CASE("a duration that is not a number is refused") {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(says(
      message_of<std::invalid_argument>([&] { sleep_for(std::chrono::duration<double>(nan)); }),
      "not a number"));
  runtime rt(one_worker());
  CHECK_THROWS_AS(rt.block_on([]() -> task<> {
    co_await sleep_for(std::chrono::duration<float>(std::numeric_limits<float>::quiet_NaN()));
  }()),
                  std::invalid_argument);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a sleep can be kept and awaited again: its deadline stays") {
  runtime rt(one_worker());
  rt.block_on([]() -> task<> {
    const auto start = Clock::now();
    const auto nap = sleep_for(2ms);
    co_await nap;
    CHECK(Clock::now() - start >= 2ms);
    co_await nap;  // passed already
  }());
}

TEST_CASE("sleeping outside a task is a logic_error") {
  const Eager attempt = []() -> Eager { co_await sleep_for(1ms); }();
  REQUIRE(attempt.ended());
  CHECK(says(message_of<std::logic_error>([&] { attempt.rethrow(); }), "sleep outside a task"));
}

TEST_CASE("stopping thousands of sleepers ends them all at once") {
  runtime rt(workers(2));
  std::stop_source source;
  constexpr int kSleepers = 5000;
  std::atomic<int> cancelled{0};
  auto body = [&cancelled](int i) -> task<> {
    try {
      co_await sleep_for(std::chrono::hours(1 + i % 100));
    } catch (const operation_cancelled&) {
      ++cancelled;
    }
  };
  std::vector<join_handle<>> handles;
  for (int i = 0; i < kSleepers; ++i) {
    handles.push_back(rt.spawn({.stop_token = source.get_token()}, body, i));
  }
  source.request_stop();
  for (auto& handle : handles) handle.join();
  CHECK(cancelled.load() == kSleepers);
}

TEST_CASE("stop requests race with expiring timers: each sleep ends once, either way") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 200 : 1000;
  int ended = 0;
  int cancelled = 0;
  for (int i = 0; i < kRounds; ++i) {
    join_handle<Clock::duration> handle =
        rt.spawn(measured(std::chrono::microseconds(20 + i % 60)));
    const auto until = Clock::now() + std::chrono::microseconds(i % 80);
    while (Clock::now() < until) std::this_thread::yield();
    handle.request_stop();
    try {
      (void)handle.join();
      ++ended;
    } catch (const operation_cancelled&) {
      ++cancelled;
    }
  }
  CHECK(ended + cancelled == kRounds);
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
}
