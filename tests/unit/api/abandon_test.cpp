// SPDX-License-Identifier: BSL-1.0
// shutdown_policy::abandon: tasks that ignore the request to stop are named, left behind, and
// nobody waits for them.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <memory>
#include <optional>
#include <thread>

#include "support/alive.hpp"
#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

runtime_options abandoning(std::size_t count) {
  runtime_options options = workers(count);
  options.name = "impatient";
  options.on_shutdown = shutdown_policy::abandon;
  options.preemption = preemption_mode::off;  // a hog keeps its worker: that is what is abandoned
  options.shutdown_deadline = std::chrono::milliseconds(20);
  return options;
}

// What an abandoned frame refers to lives for ever, as the frame does.
template <class T>
T& immortal() {
  static T& object = *new T;
  return object;
}

struct Never : Parked {};
struct Released : Parked {};

template <class P>
task<int> ignores_stop() {
  co_await immortal<P>();
  co_return 1;
}

}  // namespace

TEST_CASE("tasks that obey are awaited, and nothing is reported") {
  StderrCapture capture;
  std::atomic<int> ended{0};
  auto body = [&ended]() -> task<> {
    try {
      co_await sleep_for(std::chrono::hours(1));
    } catch (const operation_cancelled&) {
      ++ended;
      throw;
    }
  };
  {
    runtime_options options = abandoning(2);
    options.shutdown_deadline = std::chrono::minutes(1);
    runtime rt(options);
    for (int i = 0; i < 50; ++i) rt.spawn({}, body).detach();
  }
  CHECK(capture.text() == "");
  CHECK(ended.load() == 50);
}

TEST_CASE("a task suspended for ever is abandoned by name, and its join says so") {
  const std::size_t threads = thread_count();
  StderrCapture capture;
  join_handle<int> handle;
  std::string joined_meanwhile;
  std::thread joiner;
  task_id id = 0;
  {
    runtime rt(abandoning(2));
    handle = rt.spawn(ignores_stop<Never>(), {.name = "deaf"});
    id = handle.id();
    eventually("it waits", [] { return immortal<Never>().waits(); });
    joiner =
        std::thread([&] { joined_meanwhile = message_of<task_abandoned>([&] { handle.join(); }); });
    rt.spawn(forty_two()).join();
  }
  joiner.join();
  CHECK(says(joined_meanwhile, "deaf"));
  CHECK(says(joined_meanwhile, "abandoned"));
  const std::string report = capture.text();
  CHECK(says(report, "task " + std::to_string(id) + " 'deaf' still lives at shutdown"));
  CHECK(says(report, "suspended"));
  CHECK(says(report, "'impatient' abandoned 1 task"));
  CHECK(threads_fall_to(threads));
}

TEST_CASE("what an abandoned task waited for may still come, and wakes nobody") {
  std::optional<StderrCapture> capture(std::in_place);
  join_handle<int> handle;
  {
    runtime rt(abandoning(1));
    handle = rt.spawn(ignores_stop<Released>(), {.name = "late"});
    eventually("it waits", [] { return immortal<Released>().waits(); });
  }
  CHECK(times(capture->text(), "'late'") == 1);
  capture.reset();
  immortal<Released>().resume();
  runtime next(one_worker());
  CHECK(next.block_on(forty_two()) == 42);
  CHECK_NOTHROW(handle.request_stop());
  CHECK_THROWS_AS(handle.join(), task_abandoned);
}

TEST_CASE("a hog is left running; it ends by itself and its handle gives the result then") {
  const std::size_t threads = thread_count();
  StderrCapture capture;
  std::atomic<bool> busy{false};
  std::atomic<bool> release{false};
  std::atomic<bool> behind_ran{false};
  join_handle<int> hog;
  join_handle<> behind;
  {
    runtime rt(abandoning(1));
    auto hog_body = [&] {
      busy = true;
      while (!release) std::this_thread::yield();
      return 6;
    };
    auto behind_body = [&behind_ran] { behind_ran = true; };
    hog = rt.spawn({.name = "hog"}, hog_body);
    eventually("it runs", [&] { return busy.load(); });
    behind = rt.spawn({.name = "behind the hog"}, behind_body);
  }
  // The runtime is gone, its one worker still busy.
  CHECK_FALSE(hog.done());
  CHECK(behind.done());
  CHECK_THROWS_AS(behind.join(), task_abandoned);
  release = true;
  CHECK(hog.join() == 6);
  CHECK_FALSE(behind_ran.load());
  CHECK(threads_fall_to(threads));
  const std::string report = capture.text();
  CHECK(says(report, "'hog' still lives at shutdown and is abandoned (running)"));
  CHECK(says(report, "'behind the hog'"));
  CHECK(says(report, "abandoned 2 tasks"));
}

TEST_CASE("a task that awaits an abandoned one in another runtime is told") {
  runtime rt(one_worker());
  const std::size_t threads = thread_count();
  StderrCapture capture;
  std::atomic<bool> busy{false};
  std::atomic<bool> release{false};
  join_handle<bool> outer;
  {
    runtime impatient(abandoning(1));
    auto hog = [&] {
      busy = true;
      while (!release) std::this_thread::yield();
    };
    impatient.spawn({}, hog).detach();
    eventually("it runs", [&] { return busy.load(); });
    auto waits = [](join_handle<int> inner) -> task<bool> {
      try {
        co_await std::move(inner);
      } catch (const task_abandoned&) {
        co_return true;
      }
      co_return false;
    };
    outer = rt.spawn({}, waits, impatient.spawn(forty_two(), {.name = "inner"}));
    rt.block_on(forty_two());
  }
  CHECK(outer.join());
  release = true;
  CHECK(threads_fall_to(threads));
  CHECK(says(capture.text(), "'inner'"));
}

TEST_CASE("a detached abandoned task is reported once and goes to no hook") {
  std::atomic<int> unhandled{0};
  StderrCapture capture;
  // Not on the stack: nobody joins the task that looks at them last.
  static std::atomic<bool> busy{false};
  static std::atomic<bool> release{false};
  const std::size_t threads = thread_count();
  {
    runtime_options options = abandoning(1);
    options.on_unhandled = [&](std::exception_ptr, std::string_view) { ++unhandled; };
    runtime rt(options);
    auto hog = [&] {
      busy = true;
      while (!release) std::this_thread::yield();
    };
    rt.spawn({.name = "hog"}, hog).detach();
    eventually("it runs", [&] { return busy.load(); });
    rt.spawn(forty_two(), {.name = "detached"}).detach();
  }
  release = true;
  CHECK(threads_fall_to(threads));
  const std::string report = capture.text();
  CHECK(times(report, "'detached'") == 1);
  CHECK(times(report, "'hog'") == 1);
  CHECK(unhandled.load() == 0);
}

TEST_CASE("an abandoned runtime's threads end although stacks wait on them for ever") {
  const std::size_t threads = thread_count();
  struct Never {
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> frame) {
      static std::atomic<void*> kept{nullptr};  // or the leak checker would find its frame
      kept = frame.address();
    }
    void await_resume() {}
  };
  StderrCapture capture;
  {
    runtime_options options = abandoning(1);
    options.preemption = preemption_mode::automatic;
    runtime rt(options);
    std::atomic<bool> done{false};
    std::atomic<bool> waits{false};
    rt.spawn({.name = "stuck"}, [&] {
        blocking([&] {
          while (!done) std::this_thread::yield();
        });
        waits = true;
        await_here(Never());
      }).detach();
    rt.spawn({}, [&] { done = true; }).join();
    eventually("it waits on the thread that has lost its worker", [&] { return waits.load(); });
    CHECK(rt.stats().handoffs >= 1);
  }
  CHECK(threads_fall_to(threads));
  CHECK(says(capture.text(), "'stuck'"));
}

namespace {

struct NeverOver {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> frame) {
    // Or the leak checker would find its frame.
    static std::atomic<void*> kept[8];
    static std::atomic<unsigned> next{0};
    kept[next++ % 8] = frame.address();
  }
  void await_resume() {}
};

/// A task of each kind that can hold a runtime, and one that obeys.
void let_them_hold(runtime& rt, const std::atomic<bool>& release) {
  std::atomic<int> begun{0};
  auto obeys = []() -> task<> { co_await sleep_for(std::chrono::hours(1)); };
  rt.spawn({.name = "obedient"}, obeys).detach();
  auto suspended = []() -> task<> { co_await NeverOver(); };
  rt.spawn({.name = "coroutine"}, suspended).detach();
  rt.spawn({.name = "call stack"}, [&begun] {
      ++begun;
      await_here(NeverOver());
    }).detach();
  rt.spawn({.name = "taken from"}, [&begun, &release] {
      ++begun;
      while (!release) std::this_thread::yield();
    }).detach();
  eventually("they hold", [&] { return begun == 2; });
  rt.spawn({}, [] {}).join();
  for (const char* name : {"first hog", "second hog"}) {
    rt.spawn({.name = name}, [&begun, &release] {
        ++begun;
        while (!release) preempt_point();
      }).detach();
  }
  eventually("the hogs take turns", [&] { return begun == 4; });
}

runtime_options impatient(shutdown_policy policy) {
  runtime_options options = abandoning(1);
  options.on_shutdown = policy;
  options.preemption = preemption_mode::automatic;
  options.slice = std::chrono::microseconds(100);
  options.handoff_after = std::chrono::milliseconds(20);  // of those who never answer, no others
  options.shutdown_deadline = std::chrono::seconds(1);  // whoever obeys needs a moment beside hogs
  return options;
}

}  // namespace

TEST_CASE("the report of an abandoned runtime names every kind of holder") {
  const std::size_t threads = thread_count();
  StderrCapture capture;
  static std::atomic<bool> release;  // the abandoned still look at it
  release = false;
  {
    runtime rt(impatient(shutdown_policy::abandon));
    let_them_hold(rt, release);
  }
  release = true;
  CHECK(threads_fall_to(threads));
  const std::string report = capture.text();
  CHECK(says(report, "'coroutine' still lives at shutdown and is abandoned (suspended)"));
  CHECK(says(report, "'call stack' still lives at shutdown and is abandoned (suspended, on its"));
  CHECK(says(report, "'taken from' still lives at shutdown and is abandoned (detached"));
  CHECK(times(report, "hog' still lives at shutdown and is abandoned (") == 2);
  CHECK(says(report, "(preempted)"));
  CHECK_FALSE(says(report, "obedient"));
  CHECK(says(report, "abandoned 5 tasks"));
}

TEST_CASE("shutdown_policy::terminate names every holder and ends the process") {
  if (kThreadSanitizer) return;  // starts no threads after a fork
  const auto end = in_child([] {
    std::atomic<bool> release{false};
    runtime rt(impatient(shutdown_policy::terminate));
    let_them_hold(rt, release);
  });
  CHECK(end.signal == SIGABRT);
  INFO(end.text);
  CHECK(says(end.text, "'coroutine' still lives at shutdown (suspended)"));
  CHECK(says(end.text, "'call stack' still lives at shutdown (suspended, on its stack)"));
  CHECK(says(end.text, "'taken from' still lives at shutdown (detached"));
  CHECK(times(end.text, "hog' still lives at shutdown (") == 2);
  CHECK(says(end.text, "'impatient' ends the process: 5 tasks"));
}

TEST_CASE("with shutdown_policy::terminate tasks that obey end a runtime as ever") {
  if (kThreadSanitizer) return;  // starts no threads after a fork
  const auto end = in_child([] {
    runtime rt(impatient(shutdown_policy::terminate));
    auto obeys = []() -> task<> { co_await sleep_for(std::chrono::hours(1)); };
    for (int i = 0; i < 20; ++i) rt.spawn({}, obeys).detach();
  });
  CHECK(end.signal == 0);
  CHECK(end.text == "");
}

TEST_CASE("shutdown_policy::terminate without a deadline is refused by name") {
  runtime_options options = workers(1);
  options.on_shutdown = shutdown_policy::terminate;
  CHECK(says(message_of<std::invalid_argument>([&] { runtime rt(options); }), "terminate needs"));
}
