// SPDX-License-Identifier: BSL-1.0
// Awaitables and coroutines of other libraries, in both directions: a task awaits them, and they
// await tasks and schedulers.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <memory>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

/// Resumes before its await_suspend returns, on the same thread.
struct AtOnce {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const { coroutine.resume(); }
  int await_resume() const noexcept { return 3; }
};

/// The same from another thread, which has returned before await_suspend does.
struct AtOnceElsewhere {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const {
    std::thread([coroutine] { coroutine.resume(); }).join();
  }
  int await_resume() const noexcept { return 4; }
};

struct Declines {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  int await_resume() const noexcept { return 5; }
};

struct ThrowsInSuspend {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const { throw std::domain_error("suspend"); }
  void await_resume() const noexcept {}
};

struct ThrowsInReady {
  bool await_ready() const { throw std::domain_error("ready"); }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};

struct ThrowsInResume {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const { coroutine.resume(); }
  void await_resume() const { throw std::domain_error("resume"); }
};

template <class A>
task<std::string> failure_of() {
  std::string message;
  try {
    co_await A{};
  } catch (const std::domain_error& error) {
    message = error.what();
  }
  co_await yield();
  co_await sleep_for(std::chrono::microseconds(1));
  co_return message;
}

task<int> leaf(int value) {
  co_await yield();
  co_await sleep_for(std::chrono::microseconds(1));
  co_return value;
}

Lazy plain(int value) { co_return value; }
Lazy through_tasks(int value) {
  const int one = co_await leaf(value);
  const int two = co_await leaf(value);
  co_return one + two;
}
Lazy fails_after_a_task() {
  co_await leaf(1);
  throw std::domain_error("from the foreign coroutine");
  co_return 0;
}

/// Task and foreign coroutine by turns, `depth` levels of each.
task<int> sandwich(int depth);
Lazy filling(int depth) { co_return co_await sandwich(depth); }
task<int> sandwich(int depth) {
  if (depth == 0) co_return co_await leaf(1);
  const int below = co_await filling(depth - 1);
  co_await yield();
  co_return below + 1;
}

}  // namespace

TEST_CASE("a task awaits an awaiter that resumes it from another thread") {
  runtime rt(workers(2));
  const int sum = rt.block_on([]() -> task<int> {
    int total = 0;
    for (int i = 0; i < 50; ++i) {
      OnNewThread awaiter(i);
      total += co_await awaiter;
    }
    co_return total;
  }());
  CHECK(sum == 49 * 50 / 2);
}

TEST_CASE("a task goes on after an awaiter that resumes before await_suspend returns") {
  runtime rt(one_worker());
  const int sum = rt.block_on([]() -> task<int> {
    int total = 0;
    for (int i = 0; i < 100; ++i) {
      total += co_await AtOnce{};
      if (i % 10 == 0) total += co_await AtOnceElsewhere{};
      total += co_await Declines{};
    }
    co_return total;
  }());
  CHECK(sum == 100 * 3 + 10 * 4 + 100 * 5);
}

TEST_CASE("an awaiter that declines to suspend goes well with every wait after it") {
  runtime rt(one_worker());
  const int sum = rt.block_on([]() -> task<int> {
    int total = co_await Declines{};
    co_await yield();
    total += co_await Declines{};
    co_await sleep_for(std::chrono::microseconds(1));
    total += co_await Declines{};
    auto [a, b] = co_await when_all(leaf(1), leaf(2));
    total += co_await Declines{};
    this_task::set_qos(qos::urgent);
    total += co_await Declines{};
    co_return total + a + b;
  }());
  CHECK(sum == 5 * 5 + 3);
}

TEST_CASE("what a foreign awaiter throws arrives in the task, which goes on") {
  runtime rt(one_worker());
  CHECK(rt.block_on(failure_of<ThrowsInSuspend>()) == "suspend");
  CHECK(rt.block_on(failure_of<ThrowsInReady>()) == "ready");
  CHECK(rt.block_on(failure_of<ThrowsInResume>()) == "resume");
}

TEST_CASE("a task keeps its identity across a foreign wait, whichever thread ends it") {
  runtime rt(workers(2));
  auto body = []() -> task<bool> {
    const task_id id = this_task::id();
    OnNewThread awaiter(1);
    co_await awaiter;
    co_return this_task::id() == id&& this_task::name() == "kept" &&
        this_task::qos() == qos::background;
  };
  CHECK(rt.spawn(body(), {.qos = qos::background, .name = "kept"}).join());
}

TEST_CASE("a task awaits a foreign coroutine that transfers symmetrically") {
  runtime rt(one_worker());
  const int sum = rt.block_on([]() -> task<int> {
    int total = 0;
    for (int i = 0; i < 1000; ++i) total += co_await plain(1);
    co_return total;
  }());
  CHECK(sum == 1000);
}

TEST_CASE("a foreign coroutine inside a task awaits tasks that suspend") {
  runtime rt(workers(2));
  CHECK(rt.block_on([]() -> task<int> {
    const int first = co_await through_tasks(2);
    co_await yield();
    const int second = co_await through_tasks(3);
    co_return first + second;
  }()) == 10);
  CHECK_THROWS_AS(rt.block_on([]() -> task<> { co_await fails_after_a_task(); }()),
                  std::domain_error);
  CHECK(rt.block_on(sandwich(20)) == 21);
}

TEST_CASE("a task inside a foreign coroutine inside a task may change class and runtime") {
  runtime rt(one_worker());
  runtime other(one_worker());
  const auto moves = [](scheduler there, scheduler back) -> Lazy {
    co_await [](scheduler a, scheduler b) -> task<> {
      this_task::set_qos(qos::urgent);
      co_await resume_on(a);
      co_await yield();
      co_await resume_on(b);
      this_task::set_qos(qos::utility);
    }(there, back);
    co_return 6;
  };
  auto body = [&]() -> task<int> {
    const int value = co_await moves(other.get_scheduler(), rt.get_scheduler());
    co_await yield();
    co_return this_task::qos() == qos::utility ? value : 0;
  };
  CHECK(rt.spawn({}, body).join() == 6);
}

TEST_CASE("a stop request passes through foreign coroutines to the task inside") {
  runtime rt(one_worker());
  std::atomic<bool> waits{false};
  const auto sleeps = [](std::atomic<bool>& flag) -> Lazy {
    co_await [](std::atomic<bool>& f) -> task<> {
      f = true;
      co_await sleep_for(std::chrono::hours(1));
    }(flag);
    co_return 1;
  };
  auto body = [&]() -> task<int> { co_return co_await sleeps(waits); };
  join_handle<int> handle = rt.spawn({}, body);
  eventually("it sleeps", [&] { return waits.load(); });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("an eager foreign coroutine started by a task runs its paceline child to the end") {
  runtime rt(one_worker());
  std::atomic<bool> ran{false};
  const auto starts = [](std::atomic<bool>& flag) -> Eager {
    co_await [](std::atomic<bool>& f) -> task<> {
      f = true;
      co_return;
    }(flag);
  };
  const bool ended = rt.block_on([](auto start, std::atomic<bool>& flag) -> task<bool> {
    const Eager started = start(flag);
    const bool at_once = started.ended() && flag;
    co_await leaf(1);
    co_return at_once;
  }(starts, ran));
  CHECK(ran.load());
  CHECK(ended);
}

TEST_CASE("a foreign coroutine reaches a worker through a scheduler and awaits tasks there") {
  runtime rt(workers(2));
  std::atomic<int> on_worker{0};
  std::vector<Eager> visitors;
  constexpr int kVisitors = 200;
  for (int i = 0; i < kVisitors; ++i) {
    visitors.push_back([](scheduler where, std::atomic<int>& count) -> Eager {
      const auto outside = std::this_thread::get_id();
      co_await where.schedule();
      const int value = co_await []() -> task<int> { co_return 1; }();
      if (std::this_thread::get_id() != outside) count += value;
    }(rt.get_scheduler(), on_worker));
  }
  eventually("all visitors are done", [&] { return on_worker == kVisitors; });
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
  for (const Eager& visitor : visitors) visitor.rethrow();
}

TEST_CASE("a paceline suspension in a foreign coroutine outside a task is a logic_error there") {
  runtime rt(one_worker());
  const Eager visitor = [](scheduler where) -> Eager {
    co_await where.schedule();
    co_await leaf(1);
  }(rt.get_scheduler());
  eventually("it has ended", [&] { return visitor.ended(); });
  rt.wait_idle();
  CHECK(says(message_of<std::logic_error>([&] { visitor.rethrow(); }), "outside a task"));
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a foreign coroutine may await the handle of nothing outside a task, and is told") {
  runtime rt(one_worker());
  Gate gate;
  auto waits = [&gate]() -> task<> { co_await gate.pass(); };
  const Eager attempt = [](join_handle<> handle) -> Eager {
    co_await std::move(handle);
  }(rt.spawn({}, waits));
  REQUIRE(attempt.ended());
  CHECK(says(message_of<std::logic_error>([&] { attempt.rethrow(); }), "join outside a task"));
  gate.open();
  rt.wait_idle();
}

TEST_CASE("foreign waits end on any thread while the runtime is asked to stop") {
  constexpr int kRounds = kSanitized ? 20 : 100;
  int ended = 0;
  for (int i = 0; i < kRounds; ++i) {
    Parked parked;
    join_handle<int> handle;
    std::thread resumer;
    {
      runtime rt(workers(2));
      auto body = [&parked]() -> task<int> {
        co_await parked;
        co_return 1;
      };
      handle = rt.spawn({}, body);
      resumer = std::thread([&parked] {
        while (!parked.waits()) std::this_thread::yield();
        parked.resume();
      });
      if (i % 2 == 0) rt.request_stop();
    }
    resumer.join();
    ended += handle.join();
  }
  CHECK(ended == kRounds);
}
