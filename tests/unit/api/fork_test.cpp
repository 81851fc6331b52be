// SPDX-License-Identifier: BSL-1.0
// fork (failure L16): in the child every use of the parent's runtime is refused, nothing hangs; the
// parent notices nothing; the runtime holds no descriptors a child could inherit.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <optional>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "support/alive.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// Runs `body` in a forked child and gives its result (0..100), or 1000 + the signal that ended it.
/// A child that hangs is ended by SIGALRM.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    int result = 99;
    try {
      result = body();
    } catch (...) {
    }
    ::_exit(result);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// Does `call` throw std::logic_error that speaks of fork?
template <class F>
bool refused(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const std::logic_error& error) {
    return std::string_view(error.what()).find("fork") != std::string_view::npos;
  }
  return false;
}

task<> nothing() { co_return; }

}  // namespace

TEST_CASE("in a forked child every use of the parent's runtime is a logic_error") {
  runtime rt(workers(2));
  rt.block_on(forty_two());
  Gate gate;
  auto waits = [&gate]() -> task<> { co_await gate.pass(); };
  join_handle<> handle = rt.spawn({}, waits);
  eventually("it waits", [&] { return gate.arrived() == 1; });
  join_handle<int> ended = rt.spawn(forty_two());
  while (!ended.done()) std::this_thread::yield();
  const scheduler where = rt.get_scheduler();

  CHECK(in_child([&] {
          if (!refused([&] { rt.spawn(nothing()); })) return 1;
          if (!refused([&] { rt.spawn({.name = "named"}, [] {}); })) return 2;
          if (!refused([&] { rt.block_on(nothing()); })) return 3;
          if (!refused([&] { rt.wait_idle(); })) return 4;
          if (!refused([&] { handle.join(); })) return 5;
          const Eager visitor = [](scheduler there) -> Eager { co_await there.schedule(); }(where);
          if (!visitor.ended() || !refused([&] { visitor.rethrow(); })) return 6;
          return 0;
        }) == 0);
  // What needs no worker does not hang either, and what has ended is there.
  CHECK(in_child([&] {
          (void)rt.stats();
          std::ostringstream out;
          rt.dump_tasks(out);
          if (rt.workers() != 2) return 1;
          if (ended.join() != 42) return 2;
          rt.trim();
          rt.request_stop();
          return 0;
        }) == 0);

  CHECK_FALSE(handle.done());
  gate.open();
  handle.join();
  CHECK(ended.join() == 42);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("in a forked child the runtime's destructor returns, in the parent it works as ever") {
  std::optional<runtime> rt(std::in_place, workers(2));
  join_handle<> handle = rt->spawn([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }());
  CHECK(in_child([&] {
          rt.reset();
          handle = {};
          return 7;
        }) == 7);
  CHECK(rt->block_on(forty_two()) == 42);
  rt.reset();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("a task that forks is refused in the child and goes on in the parent") {
  runtime rt(workers(2));
  const int code = rt.block_on([]() -> task<int> {
    const int result = in_child([] {
      if (!refused([] { spawn(nothing()); })) return 1;
      if (this_task::id() == 0) return 2;
      return 5;
    });
    co_await yield();
    join_handle<int> child = spawn(forty_two());
    const int value = co_await std::move(child);
    co_return value == 42 ? result : -1;
  }());
  CHECK(code == 5);
}

TEST_CASE("children forked while other threads spawn and end tasks never hang") {
  runtime rt(workers(2));
  std::atomic<bool> end{false};
  std::atomic<long> joined{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!end) {
        joined +=
            rt.spawn(forty_two(), {.name = "a name that does not fit into the string"}).join();
        runtime brief(one_worker());
        joined += brief.block_on(forty_two());
      }
    });
  }
  constexpr int kForks = kSanitized ? 20 : 200;
  int right = 0;
  for (int i = 0; i < kForks; ++i) {
    right += in_child([&] {
               std::ostringstream out;
               rt.dump_tasks(out);
               rt.trim();
               return refused([&] { rt.spawn(nothing(), {.name = "x"}); }) ? 3 : 4;
             }) == 3
                 ? 1
                 : 0;
  }
  end = true;
  for (auto& thread : threads) thread.join();
  CHECK(right == kForks);
  CHECK(joined.load() > 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

// TSan refuses new threads in a child of a process with threads.
#if !defined(__SANITIZE_THREAD__)
TEST_CASE("a mutex works in a child that was forked while others locked theirs") {
  constexpr int kForks = kSanitized ? 10 : 100;
  std::vector<mutex> mutexes(256);
  std::atomic<bool> end{false};
  std::thread locker([&] {
    while (!end) {
      for (mutex& each : mutexes) auto guard = each.try_lock();
    }
  });
  for (int i = 0; i < kForks; ++i) {
    const int result = in_child([&] {
      for (mutex& each : mutexes) auto guard = each.try_lock();
      return 7;
    });
    CHECK(result == 7);
  }
  end = true;
  locker.join();
}

TEST_CASE("a forked child may create a runtime of its own") {
  runtime rt(workers(2));
  rt.block_on(forty_two());
  CHECK(in_child([] {
          int sum = 0;
          for (int i = 0; i < 3; ++i) {
            runtime own(workers(2));
            sum += own.block_on(forty_two());
          }
          return sum == 3 * 42 ? 8 : 9;
        }) == 8);
  CHECK(rt.block_on(forty_two()) == 42);
}
#endif

TEST_CASE("a forked child may exec another program, also from inside a task") {
  runtime rt(workers(2));
  // Busy meanwhile, so that the fork meets the workers anywhere.
  std::atomic<bool> end{false};
  auto busy = [&end]() -> task<> {
    while (!end) co_await yield();
  };
  join_handle<> background = rt.spawn({}, busy);
  const auto exec = [](const char* script) {
    return in_child([script] {
      ::execl("/bin/sh", "sh", "-c", script, static_cast<char*>(nullptr));
      return 98;
    });
  };
  for (int i = 0; i < 5; ++i) CHECK(exec("exit 7") == 7);
  const int from_task = rt.block_on([](auto run) -> task<int> {
    co_await yield();
    const int code = run("exit 11");
    co_await yield();
    co_return code;
  }(exec));
  CHECK(from_task == 11);
  end = true;
  background.join();
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a runtime opens no descriptor, so none is inherited") {
  {
    runtime(workers(0)).block_on(forty_two());
  }
  const std::size_t before = descriptor_count();
  runtime rt(workers(0));
  rt.block_on(sleep_for(std::chrono::microseconds(10)));
  rt.block_on(forty_two());
  CHECK(descriptor_count() == before);
  CHECK(in_child([&] { return static_cast<int>(descriptor_count() - before); }) == 0);
}
