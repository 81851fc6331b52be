// SPDX-License-Identifier: BSL-1.0
// Proves hand-off: while a task is away in blocking(), or answers no request, others run on its
// core, and the task goes on afterwards with everything it may do; results and exceptions pass; and
// where nobody waits nothing changes hands.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

/// With hand-off as it comes.
runtime_options handing(std::size_t count) {
  runtime_options options = workers(count);
  options.handoff_after = 10ms;
  return options;
}

/// Blocks the thread until `done`, as a system call would.
void block_until(const std::atomic<bool>& done) {
  while (!done) std::this_thread::sleep_for(100us);
}

task<int> one_after_yield() {
  co_await yield();
  co_return 1;
}

}  // namespace

TEST_CASE("blocking gives what its function gives, inside a task and outside") {
  CHECK(blocking([] { return 5; }) == 5);
  runtime rt(handing(1));
  static int place = 0;
  CHECK(rt.spawn({}, [] { return blocking([] { return 6; }); }).join() == 6);
  CHECK(&*rt.spawn({}, [] { return &blocking([]() -> int& { return place; }); }).join() == &place);
  CHECK_THROWS_AS(rt.spawn({}, [] { blocking([] { throw std::runtime_error("out"); }); }).join(),
                  std::runtime_error);
  rt.spawn({}, [] { blocking([] { blocking([] {}); }); }).join();
}

TEST_CASE("other tasks run while a task blocks the thread of the only worker") {
  runtime rt(handing(1));
  std::atomic<bool> done{false};
  auto away = rt.spawn({}, [&] {
    blocking([&] { block_until(done); });
    return this_task::worker();
  });
  auto other = rt.spawn({}, [&] { done = true; });
  other.join();
  CHECK(away.join() == 0);
  CHECK(rt.stats().handoffs >= 1);
}

TEST_CASE("a task that has lost its thread's worker may do all that a task may do") {
  runtime rt(handing(2));
  auto everything = [&rt](std::atomic<bool>& done) -> task<int> {
    blocking([&] { block_until(done); });
    int total = co_await spawn(one_after_yield());
    const auto [a, b] = co_await when_all(one_after_yield(), one_after_yield());
    total += a + b;
    co_await sleep_for(1ms);
    this_task::set_qos(qos::utility);
    total += await_here(one_after_yield());
    co_await yield();
    total += this_task::qos() == qos::utility ? 1 : 0;
    total += co_await rt.spawn({}, one_after_yield);
    co_return total;
  };
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> done{false};
    std::atomic<int> others{0};
    auto handle = rt.spawn({}, [&] { return everything(done); });
    std::vector<join_handle<>> rest;
    for (int k = 0; k < 8; ++k) {
      rest.push_back(rt.spawn({}, [&] {
        if (++others == 8) done = true;
      }));
    }
    CHECK(handle.join() == 6);
    for (auto& other : rest) other.join();
  }
  CHECK(rt.stats().live == 0);
}

TEST_CASE("the lost thread's own calls right after blocking reach the runtime: spawn, when_all") {
  runtime rt(handing(1));
  // Everything here runs before the task's first suspension, on the thread that has lost its
  // worker.
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> done{false};
    std::atomic<int> ran{0};
    auto handle = rt.spawn({}, [&]() -> task<int> {
      blocking([&] { block_until(done); });
      std::vector<join_handle<>> children;
      for (int k = 0; k < 10; ++k) children.push_back(spawn({}, [&] { ++ran; }));
      preempt_point();
      const int waited = await_here(one_after_yield());
      for (auto& child : children) co_await std::move(child);
      co_return ran + waited;
    });
    auto other = rt.spawn({}, [&] { done = true; });
    CHECK(handle.join() == 11);
    other.join();
  }
}

TEST_CASE("short calls with nobody waiting change no hands") {
  runtime rt(handing(1));
  const auto before = rt.stats().spare_threads;
  rt.spawn({}, [] {
      for (int i = 0; i < 10'000; ++i) blocking([] {});
    }).join();
  CHECK(rt.stats().spare_threads == before);
}

TEST_CASE("a task that never reaches a safepoint loses its core, and ends by itself") {
  for (const std::size_t count : {1, 2}) {
    runtime rt(handing(count));
    std::atomic<bool> done{false};
    std::vector<join_handle<int>> hogs;
    for (std::size_t i = 0; i < 2 * count; ++i) {
      hogs.push_back(rt.spawn({}, [&]() -> task<int> {
        while (!done) {
        }
        co_await yield();
        co_return 1;
      }));
    }
    // Behind all of them.
    auto ticker = [&]() -> task<> {
      for (int i = 0; i < 3; ++i) co_await sleep_for(1ms);
      done = true;
    };
    rt.spawn({}, ticker).join();
    for (auto& hog : hogs) CHECK(hog.join() == 1);
    CHECK(rt.stats().handoffs >= 1);
    CHECK(rt.stats().live == 0);
  }
}

TEST_CASE("statement 9: a task that never suspends stops no timer and no wake on its worker") {
  runtime rt(handing(1));
  std::atomic<int> left{2};
  std::atomic<bool> begun{false};
  auto hog = rt.spawn({}, [&] {
    begun = true;
    while (left != 0) {  // no safepoint: only the watchdog can take its worker
    }
  });
  while (!begun) std::this_thread::yield();
  auto sleeps = [&]() -> task<> {
    for (int i = 0; i < 5; ++i) co_await sleep_for(1ms);
    --left;
  };
  // As from a device: woken by a thread that is no worker.
  auto waits = [&]() -> task<> {
    for (int i = 0; i < 5; ++i) {
      std::atomic<bool> done{false};
      std::thread device;
      const auto is_done = [&]() noexcept { return done.load(std::memory_order_relaxed); };
      const auto start = [&](waker self) {
        device = std::thread([&done, self] {
          done.store(true, std::memory_order_relaxed);
          self.wake();
        });
      };
      co_await suspend_until(is_done, start);
      device.join();
    }
    --left;
  };
  auto timed = rt.spawn(sleeps());
  auto woken = rt.spawn(waits());
  timed.join();
  woken.join();
  hog.join();
  CHECK(rt.stats().handoffs >= 1);
  CHECK(rt.stats().live == 0);
}

TEST_CASE("a hog that talks to the runtime all the time is handed off between two calls, or not") {
  runtime rt(handing(1));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> asked{0};
  auto hog = rt.spawn({}, [&] {
    while (!done) {
      asked += this_task::id() != 0 ? 1 : 0;
      static_cast<void>(this_task::stop_token());
    }
  });
  auto other = rt.spawn({}, [&] { done = true; });
  other.join();
  hog.join();
  CHECK(asked > 0);
}

TEST_CASE("stacks that wait on a thread which loses its worker come back on that thread") {
  runtime rt(handing(1));
  for (int round = 0; round < 10; ++round) {
    std::atomic<bool> release{false};
    std::atomic<int> moved{0};
    std::vector<join_handle<>> waiting;
    for (int i = 0; i < 20; ++i) {
      waiting.push_back(rt.spawn({}, [&] {
        const auto thread = std::this_thread::get_id();
        while (!release) await_here(sleep_for(200us));
        if (std::this_thread::get_id() != thread) ++moved;
      }));
    }
    std::atomic<bool> done{false};
    auto away = rt.spawn({}, [&] { blocking([&] { block_until(done); }); });
    auto other = rt.spawn({}, [&]() -> task<> {
      for (int i = 0; i < 5; ++i) co_await sleep_for(500us);
      done = true;
      release = true;
    });
    other.join();
    away.join();
    for (auto& handle : waiting) handle.join();
    CHECK(moved == 0);
  }
  CHECK(rt.stats().total.weak_live == 0);
}

TEST_CASE("a runtime ends while tasks are away") {
  for (int i = 0; i < 10; ++i) {
    std::atomic<bool> done{false};
    std::atomic<int> ended{0};
    std::thread release;
    {
      runtime rt(handing(2));
      std::atomic<int> away{0};
      for (int k = 0; k < 6; ++k) {
        rt.spawn({}, [&] {
            blocking([&] {
              ++away;
              block_until(done);
            });
            ++ended;
          }).detach();
      }
      eventually("all are away", [&] { return away == 6; });
      release = std::thread([&] { done = true; });
    }
    release.join();
    CHECK(ended == 6);
  }
}

TEST_CASE("a thread that comes back to a worker it has lost does not keep the next hog there") {
  runtime rt(handing(1));
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> stage{0};
    auto stuck = rt.spawn({}, [&] {
      stage = 1;
      while (stage < 2) std::this_thread::sleep_for(100us);  // in the system, undeclared
      static_cast<void>(this_task::id());                    // and back, by any door
    });
    eventually("it is stuck", [&] { return stage == 1; });
    auto hog = rt.spawn({}, [&] {
      stage = 2;
      while (stage < 3) {
      }
    });
    auto last = rt.spawn({}, [&] { stage = 3; });
    last.join();
    hog.join();
    stuck.join();
  }
}

TEST_CASE("tasks that share the thread which has lost its worker take turns") {
  runtime rt(handing(1));
  std::atomic<bool> first_runs{false};
  std::atomic<bool> first_ends{false};
  std::atomic<bool> away{false};
  auto first = rt.spawn({}, [&] {
    first_runs = true;
    while (!away) preempt_point();  // parked, and taken along
    first_ends = true;
  });
  eventually("the first runs", [&] { return first_runs.load(); });
  auto second = rt.spawn({}, [&] {
    const auto handoffs = [&] { return rt.stats().handoffs; };
    const auto before = handoffs();
    std::atomic<bool> done{false};
    rt.spawn({}, [&] { done = true; }).detach();
    blocking([&] { block_until(done); });
    CHECK(handoffs() > before);
    away = true;
    while (!first_ends) preempt_point();
  });
  second.join();
  first.join();
}

TEST_CASE("a weak task that has lost its worker may change its class and wait on its stack") {
  runtime_options options = handing(1);
  options.slice = 200us;
  runtime rt(options);
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> started{0};
    std::atomic<bool> done{false};
    const auto body = [&] {
      ++started;
      while (started < 2) preempt_point();  // the first goes on as a weak one
      blocking([&] { block_until(done); });
      this_task::set_qos(qos::utility);
      const int one = await_here(one_after_yield());
      this_task::set_qos(qos::standard);
      return one + await_here(one_after_yield());
    };
    auto first = rt.spawn({}, body);
    auto second = rt.spawn({}, body);
    auto last = rt.spawn({.qos = qos::background}, [&] { done = true; });
    CHECK(first.join() == 2);
    CHECK(second.join() == 2);
    last.join();
  }
  CHECK(rt.stats().total.weak_live == 0);
}
