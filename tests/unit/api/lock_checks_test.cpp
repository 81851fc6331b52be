// SPDX-License-Identifier: BSL-1.0
// Proves the lock checks: a task that is parked while it holds a lock, or while a static variable
// waits for it, is named and ends the process instead of hanging it; tasks that do neither, or that
// release what they took, run as they always do.
#include "fixtures.hpp"

#include <atomic>
#include <csignal>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "exec/lock_checks.hpp"
#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

std::atomic<int> lock_checks_sink{0};

// What must be found in the reports: extern, and no tail calls.
[[gnu::noinline]] void takes_it(std::mutex& lock) {
  lock.lock();
  lock_checks_sink += 1;
}

namespace {

// Where LLVM's library has functions of its own, not the system's: what it calls is in between, and
// its shared_mutex and call_once are out of sight.
#ifdef _LIBCPP_VERSION
constexpr bool kSeesTheSystemsOwn = false;
#else
constexpr bool kSeesTheSystemsOwn = true;
#endif

std::mutex plain;
std::recursive_mutex again;
std::shared_mutex shared;

runtime_options hasty() {
  runtime_options options = workers(1);
  options.slice = 100us;
  return options;
}

/// Takes safepoints until one was answered by giving way.
void give_way(runtime& rt) {
  const auto before = rt.stats().total.demotions_safepoint;
  while (rt.stats().total.demotions_safepoint == before) preempt_point();
}

/// Runs `body(rt)` as a task named "careless" beside others, checked, in a child process.
template <class Body>
ChildEnd checked(Body body) {
  return in_child([&] {
    core::check_locks = &core::stop_if_locks_held;
    runtime rt(hasty());
    std::atomic<bool> done{false};
    auto careless = rt.spawn({.name = "careless"}, [&] {
      body(rt);
      done = true;
    });
    auto other = [&]() -> task<> {
      while (!done) co_await yield();
    };
    rt.spawn({.name = "other"}, other).join();
    careless.join();
  });
}

void check_named(const ChildEnd& end, const char* kind) {
  INFO(end.text);
  CHECK(end.signal == SIGABRT);
  CHECK(says(end.text, "'careless' is about to be parked"));
  CHECK(says(end.text, kind));
  CHECK(times(end.text, "is about to be parked") == 1);
}

void check_fine(const ChildEnd& end) {
  INFO(end.text);
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 0);
}

}  // namespace

TEST_CASE("a task that gives way with a mutex is named, with who took it") {
  const auto end = checked([](runtime& rt) {
    takes_it(plain);
    give_way(rt);
  });
  check_named(end, "a mutex");
  CHECK(says(end.text, kSeesTheSystemsOwn ? "takes_it" : "mutex"));
}

TEST_CASE("locks of all kinds are seen, and those that were tried") {
  check_named(checked([](runtime& rt) {
                const std::lock_guard lock(again);
                {
                  const std::lock_guard inner(again);
                }
                give_way(rt);
              }),
              "a mutex");
  if (kSeesTheSystemsOwn) {
    check_named(checked([](runtime& rt) {
                  const std::shared_lock lock(shared);
                  give_way(rt);
                }),
                "a reader-writer lock");
  }
  check_named(checked([](runtime& rt) {
                const std::unique_lock lock(plain, std::try_to_lock);
                if (lock) give_way(rt);
              }),
              "a mutex");
}

TEST_CASE("a static variable whose initialiser gives way is told, and does not hang") {
  check_named(checked([](runtime& rt) {
                static const int once = (give_way(rt), 1);
                lock_checks_sink += once;
              }),
              "a static variable's initialiser");
  if (!kSeesTheSystemsOwn) return;
  check_named(checked([](runtime& rt) {
                static std::once_flag flag;
                std::call_once(flag, [&] { give_way(rt); });
              }),
              "an initialiser of std::call_once");
}

TEST_CASE("waiting on the stack is checked like giving way") {
  check_named(checked([](runtime&) {
                const std::lock_guard lock(plain);
                await_here(sleep_for(1ms));
              }),
              "a mutex");
}

TEST_CASE("whoever releases its locks in time, or keeps safepoints off, is left alone") {
  check_fine(checked([](runtime& rt) {
    for (int i = 0; i < 100; ++i) {
      const std::lock_guard lock(plain);
      const std::shared_lock reads(shared);
      static const int once = lock_checks_sink.load();
      lock_checks_sink += once;
    }
    if (plain.try_lock()) plain.unlock();
    give_way(rt);
    {
      const nopreempt guard;
      const std::lock_guard lock(plain);
      for (int i = 0; i < 1000; ++i) preempt_point();
    }
    await_here(sleep_for(1ms));
  }));
}

TEST_CASE("a task is not blamed for locks of other threads and tasks") {
  const auto end = in_child([] {
    core::check_locks = &core::stop_if_locks_held;
    const std::lock_guard outside(plain);  // this thread runs no task
    runtime rt(hasty());
    std::atomic<int> gave{0};
    auto keeper = [&gave]() -> task<> {
      shared.lock();
      while (gave < 2) co_await sleep_for(1ms);  // and is there to give way to
      shared.unlock();                           // the same thread: there is one worker
    };
    auto keeps = rt.spawn({.name = "keeper"}, keeper);
    std::vector<join_handle<>> innocent;
    for (int i = 0; i < 2; ++i)
      innocent.push_back(rt.spawn({}, [&] {
        give_way(rt);
        ++gave;
      }));
    for (auto& handle : innocent) handle.join();
    keeps.join();
  });
  check_fine(end);
}
