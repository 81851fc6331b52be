// SPDX-License-Identifier: BSL-1.0
// The end of a runtime (failures L1, L3): with everything pending, at every moment, on its own
// worker. Nothing is lost, nothing leaks, nothing hangs.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <memory>
#include <optional>
#include <thread>

#include "support/alive.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

constexpr int kMany = 1000;

task<> holds_while_sleeping(Counted, std::atomic<int>& cancelled) {
  try {
    co_await sleep_for(std::chrono::hours(1));
  } catch (const operation_cancelled&) {
    ++cancelled;
    throw;
  }
}

/// A scripted sequence that touches every part; notes how far it came.
task<> scripted(Counted, std::atomic<int>& step, Gate& gate) {
  const auto next = [&step] { ++step; };
  next();  // 1
  co_await yield();
  next();
  co_await sleep_for(std::chrono::microseconds(20));
  next();  // 3
  join_handle<int> child = spawn(forty_two());
  next();
  co_await std::move(child);
  next();  // 5
  co_await when_all(forty_two(), forty_two());
  next();
  this_task::set_qos(qos::urgent);
  next();  // 7
  const std::stop_token token = this_task::stop_token();
  next();
  co_await gate.pass();
  next();  // 9
  spawn(forty_two(), {.name = "orphan"}).detach();
  next();
  co_await sleep_until(std::chrono::steady_clock::now() + std::chrono::hours(1));
  next();  // never
}
constexpr int kSteps = 10;

/// Was the task stopped? Either a wait was cancelled or a spawn was refused.
bool stopped(join_handle<>& handle) {
  try {
    handle.join();
  } catch (const operation_cancelled&) {
    return true;
  } catch (const runtime_stopped&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a runtime with a thousand sleepers cancels and awaits them all") {
  std::atomic<int> live{0};
  std::atomic<int> cancelled{0};
  {
    runtime rt(workers(2));
    for (int i = 0; i < kMany; ++i) {
      rt.spawn(holds_while_sleeping(Counted(live), cancelled)).detach();
    }
    eventually("all sleep", [&] { return rt.stats().total.polls >= kMany; });
  }
  CHECK(live.load() == 0);
  CHECK(cancelled.load() == kMany);
}

TEST_CASE("a runtime destroyed before its tasks have started runs each to its first wait") {
  std::atomic<int> live{0};
  std::atomic<int> cancelled{0};
  {
    runtime rt(one_worker());
    Gate gate;
    std::atomic<bool> busy{false};
    auto hog = [&] {
      busy = true;
      while (!gate.is_open()) std::this_thread::yield();
    };
    rt.spawn({}, hog).detach();
    eventually("the worker is busy", [&] { return busy.load(); });
    for (int i = 0; i < kMany; ++i) {
      rt.spawn(holds_while_sleeping(Counted(live), cancelled)).detach();
    }
    gate.open();
  }
  CHECK(live.load() == 0);
  CHECK(cancelled.load() == kMany);
}

TEST_CASE("a runtime with waiting joins, groups and gates ends them all") {
  std::atomic<int> live{0};
  std::atomic<int> cancelled{0};
  Gate never;
  auto waits = [&](Counted) -> task<> {
    try {
      co_await never.pass();
    } catch (const operation_cancelled&) {
      ++cancelled;
      throw;
    }
  };
  auto joins = [&](Counted) -> task<> {
    join_handle<> child = spawn({}, waits, Counted(live));
    co_await std::move(child);
  };
  auto groups = [&](Counted) -> task<> {
    std::vector<task<>> children;
    for (int i = 0; i < 3; ++i) children.push_back(waits(Counted(live)));
    co_await when_all(children);
  };
  {
    runtime rt(workers(2));
    for (int i = 0; i < 100; ++i) {
      rt.spawn({}, waits, Counted(live)).detach();
      rt.spawn({}, joins, Counted(live)).detach();
      rt.spawn({}, groups, Counted(live)).detach();
    }
    eventually("all wait", [&] { return never.arrived() == 100 + 100 + 300; });
  }
  CHECK(live.load() == 0);
  CHECK(cancelled.load() == 100 + 100 + 300);
}

TEST_CASE("a thousand foreign coroutines in the inboxes all run before the runtime ends") {
  std::atomic<int> ran{0};
  std::vector<Eager> visitors;
  {
    runtime rt(one_worker());
    std::atomic<bool> busy{false};
    std::atomic<bool> release{false};
    auto hog = [&] {
      busy = true;
      while (!release) std::this_thread::yield();
    };
    rt.spawn({}, hog).detach();
    eventually("the worker is busy", [&] { return busy.load(); });
    for (int i = 0; i < kMany; ++i) {
      visitors.push_back([](scheduler where, std::atomic<int>& count) -> Eager {
        co_await where.schedule();
        ++count;
      }(rt.get_scheduler(), ran));
    }
    CHECK(ran.load() == 0);
    release = true;
  }
  CHECK(ran.load() == kMany);
  for (const Eager& visitor : visitors) {
    CHECK(visitor.ended());
    visitor.rethrow();
  }
}

TEST_CASE("a shutdown may begin at every step of a task's life") {
  for (const std::size_t count : {1u, 2u}) {
    for (int k = 0; k <= kSteps; ++k) {
      INFO("shutdown at step " << k << " with " << count << " workers");
      const std::size_t threads = thread_count();
      std::atomic<int> live{0};
      std::atomic<int> step{0};
      Gate gate;
      join_handle<> handle;
      {
        runtime rt(workers(count));
        handle = rt.spawn(scripted(Counted(live), step, gate), {.name = "scripted"});
        if (k > 8) gate.open();
        eventually("the step is reached", [&] { return step >= k; });
      }
      CHECK(handle.done());
      CHECK(stopped(handle));
      CHECK(step.load() <= kSteps);
      CHECK(live.load() == 0);
      CHECK(threads_fall_to(threads));
    }
  }
}

TEST_CASE("a shutdown may begin at any instant: many tasks, no particular moment") {
  constexpr int kRounds = kSanitized ? 30 : 200;
  for (int i = 0; i < kRounds; ++i) {
    std::atomic<int> live{0};
    std::atomic<int> steps{0};
    Gate gate;
    std::vector<join_handle<>> handles;
    {
      runtime rt(workers(2));
      for (int n = 0; n < 20; ++n) {
        handles.push_back(rt.spawn(scripted(Counted(live), steps, gate)));
      }
      if (i % 2 == 0) gate.open();
      const int until = i % (20 * kSteps / 2);
      while (steps < until && steps < 20 * 7) std::this_thread::yield();
    }
    for (auto& handle : handles) CHECK(stopped(handle));
    CHECK(live.load() == 0);
  }
}

TEST_CASE(
    "outside threads spawn while the runtime stops: accepted tasks run, the rest is refused") {
  constexpr int kRounds = kSanitized ? 10 : 40;
  for (int i = 0; i < kRounds; ++i) {
    runtime rt(workers(2));
    std::atomic<int> accepted{0};
    std::atomic<int> ran{0};
    std::atomic<int> refused{0};
    auto body = [&ran] { ++ran; };
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int n = 0; n < 1'000'000; ++n) {
          try {
            rt.spawn({}, body).detach();
            ++accepted;
          } catch (const runtime_stopped&) {
            ++refused;
            return;
          }
        }
      });
    }
    eventually("spawning has begun", [&] { return accepted > 10 * i; });
    rt.request_stop();
    for (auto& thread : threads) thread.join();
    rt.wait_idle();
    CHECK(ran.load() == accepted.load());
    CHECK(refused.load() == 3);
  }
}

TEST_CASE("a task that spawns without end is told when the runtime stops") {
  std::atomic<int> spawned{0};
  std::atomic<bool> told{false};
  auto breeder = [&]() -> task<> {
    for (;;) {
      try {
        spawn(forty_two()).detach();
        ++spawned;
      } catch (const runtime_stopped&) {
        told = true;
        throw;
      }
      if (spawned % 16 == 0) co_await yield();
    }
  };
  std::atomic<int> unhandled{0};
  runtime_options options = workers(2);
  options.on_unhandled = [&](std::exception_ptr, std::string_view) { ++unhandled; };
  {
    runtime rt(options);
    rt.spawn({}, breeder).detach();
    eventually("it breeds", [&] { return spawned > 100; });
  }
  // It was told by its spawn or cancelled in its yield; to end by either is no failure.
  CHECK(unhandled.load() == 0);
}

TEST_CASE("a runtime may be destroyed on its own worker: the last worker cleans up") {
  const std::size_t threads = thread_count();
  std::atomic<int> live{0};
  std::atomic<int> cancelled{0};
  std::atomic<bool> ended{false};
  for (const std::size_t count : {1u, 2u}) {
    ended = false;
    auto rt = std::make_unique<runtime>(workers(count));
    runtime& alias = *rt;
    for (int i = 0; i < 20; ++i) {
      alias.spawn(holds_while_sleeping(Counted(live), cancelled)).detach();
    }
    auto suicidal = [&ended](std::unique_ptr<runtime> own, Counted) -> task<> {
      co_await yield();
      own.reset();  // does not wait: we still run
      bool stopped = false;
      try {
        co_await yield();
      } catch (const operation_cancelled&) {
        stopped = true;
      }
      ended = stopped;
    };
    alias.spawn({}, suicidal, std::move(rt), Counted(live)).detach();
    eventually("the last task has ended", [&] { return ended && live == 0; });
    CHECK(threads_fall_to(threads));
  }
  CHECK(cancelled.load() == 40);
}

TEST_CASE("the handle of a task that destroyed its own runtime still gives the result") {
  const std::size_t threads = thread_count();
  auto rt = std::make_unique<runtime>(workers(2));
  runtime& alias = *rt;
  auto suicidal = [](std::unique_ptr<runtime> own) -> task<int> {
    own.reset();
    co_return 9;
  };
  join_handle<int> handle = alias.spawn({}, suicidal, std::move(rt));
  CHECK(handle.join() == 9);
  CHECK(threads_fall_to(threads));
}

TEST_CASE("a task of one runtime may own and destroy another") {
  runtime outer(one_worker());
  const int result = outer.block_on([]() -> task<int> {
    auto inner = std::make_unique<runtime>(workers(2));
    join_handle<int> child = inner->spawn(forty_two());
    join_handle<> sleeper =
        inner->spawn([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }());
    const int value = co_await std::move(child);
    inner.reset();
    co_return sleeper.done() ? value : 0;
  }());
  CHECK(result == 42);
}

TEST_CASE("tasks whose tokens are out end while the runtime tells the tokens") {
  // The first token's callback holds the stopping thread until the second task, frame and all, is
  // gone: the list of tokens must survive that.
  std::atomic<int> live{0};
  std::atomic<bool> told{false};
  std::atomic<int> armed{0};
  auto holds_up = [&]() -> task<> {
    auto wait_for_other = [&] {
      told = true;
      while (live != 0) std::this_thread::yield();
    };
    const std::stop_callback callback(this_task::stop_token(), wait_for_other);
    ++armed;
    try {
      co_await sleep_for(std::chrono::hours(1));
    } catch (const operation_cancelled&) {
    }
  };
  auto ends_meanwhile = [&](Counted) -> task<> {
    const std::stop_token token = this_task::stop_token();
    ++armed;
    while (!told) std::this_thread::yield();
    co_return;
  };
  {
    runtime rt(workers(2));
    rt.spawn({}, ends_meanwhile, Counted(live)).detach();
    eventually("one token is out", [&] { return armed == 1; });
    rt.spawn({}, holds_up).detach();
    eventually("both tokens are out", [&] { return armed == 2; });
  }
  CHECK(live.load() == 0);
  CHECK(told.load());
}
