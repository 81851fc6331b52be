// SPDX-License-Identifier: BSL-1.0
// Wakers: late, twice, never, from anywhere; a wake carries what was written before it (W6, W7).
#include "fixtures.hpp"

#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

/// Suspends until `ready`, and hands its waker out through `out`.
task<int> waits_for(std::atomic<bool>& ready, std::atomic<bool>& armed, waker& out,
                    const int& data) {
  co_await suspend_until([&ready]() noexcept { return ready.load(std::memory_order_relaxed); },
                         [&](waker self) {
                           out = self;
                           armed = true;
                         });
  co_return data;
}

task<waker> my_waker() { co_return this_task::waker(); }

waker signalled_waker;
std::atomic<bool> signalled{false};
void on_signal(int) {
  signalled.store(true, std::memory_order_relaxed);
  signalled_waker.wake();
}

}  // namespace

TEST_CASE("a default waker wakes nobody and says so") {
  const waker none;
  CHECK_FALSE(none);
  none.wake();
  CHECK(none == waker());
  runtime rt(one_worker());
  const waker some = rt.block_on(my_waker());
  CHECK(some);
  CHECK(some != none);
}

TEST_CASE("a wake makes a waiting task look again") {
  runtime rt(workers(2));
  std::atomic<bool> ready{false};
  std::atomic<bool> armed{false};
  waker wake_it;
  int data = 0;
  join_handle<int> handle = rt.spawn(waits_for(ready, armed, wake_it, data));
  eventually("it is armed", [&] { return armed.load(); });
  // Too early: it looks, finds nothing, and stays.
  wake_it.wake();
  rt.block_on(forty_two());
  CHECK_FALSE(handle.done());
  data = 7;
  ready.store(true, std::memory_order_relaxed);  // only the wake orders the two for the task
  wake_it.wake();
  CHECK(handle.join() == 7);
}

TEST_CASE("a task is not suspended at all if it is ready already, and arm is not called") {
  runtime rt(one_worker());
  const bool armed = rt.block_on([]() -> task<bool> {
    bool called = false;
    co_await suspend_until([]() noexcept { return true; }, [&called](waker) { called = true; });
    co_return called;
  }());
  CHECK_FALSE(armed);
}

TEST_CASE(
    "a task may wake itself while it arms, and a waker may be called from arm on any thread") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 200 : 2000;
  const int rounds = rt.block_on([]() -> task<int> {
    int passed = 0;
    for (int i = 0; i < kRounds; ++i) {
      std::atomic<bool> ready{false};
      std::thread helper;
      co_await suspend_until([&ready]() noexcept { return ready.load(std::memory_order_relaxed); },
                             [&](waker self) {
                               if (i % 10 != 0) {
                                 ready = true;
                                 self.wake();
                                 return;
                               }
                               helper = std::thread([&ready, self] {
                                 ready.store(true, std::memory_order_relaxed);
                                 self.wake();
                               });
                             });
      if (helper.joinable()) helper.join();
      ++passed;
    }
    co_return passed;
  }());
  CHECK(rounds == kRounds);
}

TEST_CASE("an exception from arm leaves the await and the task goes on") {
  runtime rt(one_worker());
  const int code = rt.block_on([]() -> task<int> {
    int caught = 0;
    try {
      co_await suspend_until([]() noexcept { return false; }, [](waker) { throw 9; });
    } catch (int thrown) {
      caught = thrown;
    }
    co_await yield();
    co_await sleep_for(std::chrono::microseconds(1));
    co_return caught;
  }());
  CHECK(code == 9);
}

TEST_CASE("wakes come twice, a hundred times, and from many threads; the task ends once") {
  runtime rt(workers(2));
  std::atomic<bool> ready{false};
  std::atomic<bool> armed{false};
  waker wake_it;
  const int data = 1;
  join_handle<int> handle = rt.spawn(waits_for(ready, armed, wake_it, data));
  eventually("it is armed", [&] { return armed.load(); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&ready, wake_it] {
      for (int i = 0; i < 500; ++i) wake_it.wake();
      ready.store(true, std::memory_order_relaxed);
      for (int i = 0; i < 500; ++i) wake_it.wake();
    });
  }
  CHECK(handle.join() == 1);
  for (auto& thread : threads) thread.join();
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.live == 0);
  CHECK(stats.total.completed == 1);
  // The start and one resumption; all other wakes found nothing to do.
  CHECK(stats.total.polls == 2);
}

TEST_CASE("a task that is never woken can still be stopped") {
  runtime rt(one_worker());
  std::atomic<bool> ready{false};
  std::atomic<bool> armed{false};
  waker wake_it;
  const int data = 0;
  join_handle<int> handle = rt.spawn(waits_for(ready, armed, wake_it, data));
  eventually("it is armed", [&] { return armed.load(); });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  wake_it.wake();  // what arm registered may still wake, to no effect
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a signal handler may wake a task") {
  runtime rt(workers(2));
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = &on_signal;
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  constexpr int kRounds = 200;
  int woken = 0;
  for (int i = 0; i < kRounds; ++i) {
    signalled = false;
    std::atomic<bool> armed{false};
    const int data = 1;
    join_handle<int> handle = rt.spawn(waits_for(signalled, armed, signalled_waker, data));
    eventually("it is armed", [&] { return armed.load(); });
    std::raise(SIGUSR1);
    woken += handle.join();
  }
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK(woken == kRounds);
}

TEST_CASE("wakes of a task that has ended are counted as stale and wake nobody") {
  runtime rt(one_worker());
  const waker late = rt.block_on(my_waker());
  rt.wait_idle();
  const runtime_stats before = rt.stats();
  for (int i = 0; i < 10; ++i) late.wake();
  rt.wait_idle();
  const runtime_stats after = rt.stats();
  CHECK(after.total.stale_wakes == before.total.stale_wakes + 10);
  CHECK(after.total.polls == before.total.polls);
  CHECK(after.total.wakes == before.total.wakes);
}

TEST_CASE("a stale waker does not poll the next tenant of the slot") {
  runtime rt(one_worker());
  std::vector<waker> stale;
  for (int i = 0; i < 50; ++i) stale.push_back(rt.block_on(my_waker()));
  // New tenants of the same slots, all waiting.
  Gate gate;
  auto body = [&gate]() -> task<> { co_await gate.pass(); };
  std::vector<join_handle<>> handles;
  for (int i = 0; i < 64; ++i) handles.push_back(rt.spawn({}, body));
  eventually("all wait", [&] { return gate.arrived() == 64; });
  rt.block_on(forty_two());
  rt.trim();
  const std::uint64_t polls = rt.stats().total.polls;
  for (const waker& each : stale) each.wake();
  CHECK(rt.block_on(forty_two()) == 42);
  // Two polls of that task, none of the tenants.
  CHECK(rt.stats().total.polls == polls + 2);
  gate.open();
  for (auto& handle : handles) handle.join();
}

TEST_CASE("a waker outlives its runtime, also when another one has taken its place") {
  waker orphan;
  std::atomic<bool> ready{false};
  std::atomic<bool> armed{false};
  const int data = 0;
  {
    runtime rt(workers(2));
    rt.spawn(waits_for(ready, armed, orphan, data)).detach();
    eventually("it is armed", [&] { return armed.load(); });
  }
  orphan.wake();
  runtime next(workers(2));
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) orphan.wake();
  }).join();
  CHECK(next.block_on(forty_two()) == 42);
  next.wait_idle();
  CHECK(next.stats().total.completed == 1);
}

TEST_CASE("threads go on waking while runtimes come and go") {
  constexpr int kRounds = kSanitized ? 20 : 100;
  std::mutex mutex;
  std::vector<waker> known;
  std::atomic<bool> end{false};
  std::vector<std::thread> pests;
  for (int t = 0; t < 2; ++t) {
    pests.emplace_back([&] {
      while (!end) {
        std::vector<waker> mine;
        {
          const std::lock_guard lock(mutex);
          mine = known;
        }
        for (const waker& each : mine) each.wake();
        std::this_thread::yield();
      }
    });
  }
  int right = 0;
  for (int i = 0; i < kRounds; ++i) {
    runtime rt(workers(1 + static_cast<std::size_t>(i % 3)));
    const waker made = rt.block_on(my_waker());
    {
      const std::lock_guard lock(mutex);
      if (known.size() > 50) known.clear();
      known.push_back(made);
    }
    right += rt.block_on(forty_two());
  }
  end = true;
  for (auto& pest : pests) pest.join();
  CHECK(right == kRounds * 42);
}

TEST_CASE("every wake carries what its thread wrote before it, however wakes coalesce") {
  // The task's only worker is held up while several threads write a plain number each and wake it.
  // It is let go by a relaxed flag, so nothing but the wakes, of which only the first sets the bit,
  // orders what they wrote before what the task reads (and TSan watches).
  runtime rt(one_worker());
  constexpr int kRounds = kSanitized ? 50 : 500;
  constexpr int kWriters = 3;
  std::array<int, kWriters> notes{};
  std::atomic<int> written{0};
  std::atomic<int> armed{0};
  std::atomic<int> read{0};
  waker wake_it;
  auto reads = [&]() -> task<int> {
    int right = 0;
    for (int i = 1; i <= kRounds; ++i) {
      co_await suspend_until(
          [&, i]() noexcept { return written.load(std::memory_order_relaxed) == i * kWriters; },
          [&, i](waker mine) {
            wake_it = mine;
            armed.store(i, std::memory_order_release);
          });
      for (const int note : notes) right += note == i ? 1 : 0;
      read.store(i, std::memory_order_release);
    }
    co_return right;
  };
  join_handle<int> reader = rt.spawn({}, reads);
  for (int i = 1; i <= kRounds; ++i) {
    eventually("the task waits", [&] { return armed.load(std::memory_order_acquire) == i; });
    std::atomic<bool> holding{false};
    std::atomic<bool> let_go{false};
    auto hold = [&] {
      holding.store(true, std::memory_order_relaxed);
      while (!let_go.load(std::memory_order_relaxed)) std::this_thread::yield();
    };
    join_handle<> held = rt.spawn({}, hold);
    eventually("the worker is held up", [&] { return holding.load(std::memory_order_relaxed); });
    std::vector<std::thread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        notes[static_cast<std::size_t>(w)] = i;
        written.fetch_add(1, std::memory_order_relaxed);
        wake_it.wake();
      });
    }
    for (auto& writer : writers) writer.join();
    let_go.store(true, std::memory_order_relaxed);
    held.join();
    eventually("the task has read", [&] { return read.load(std::memory_order_acquire) == i; });
  }
  CHECK(reader.join() == kRounds * kWriters);
  CHECK(rt.stats().total.coalesced_wakes >= kRounds);
}
