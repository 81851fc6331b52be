// SPDX-License-Identifier: BSL-1.0
// Proves that plain code inside a task may wait: values, exceptions and stop requests arrive, ten
// thousand stacks wait at once, thieves and foreign threads wake them, and misuse says what to do.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/sanitized.hpp"
#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

task<int> answer_after_yield() {
  co_await yield();
  co_return 42;
}

/// Ordinary code that knows nothing of coroutines, some calls deep.
template <class F>
auto deep(int depth, F&& f) -> decltype(f()) {
  if (depth == 0) return f();
  volatile char here[64] = {};
  here[0] = 1;
  static_cast<void>(here[0]);
  return deep(depth - 1, f);
}

/// A coroutine of another library, entered and left by symmetric transfer.
struct Lazy {
  struct promise_type {
    struct Back {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> done) noexcept {
        return done.promise().awaiter;
      }
      void await_resume() noexcept {}
    };
    Lazy get_return_object() {
      return Lazy{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    Back final_suspend() noexcept { return {}; }
    void return_value(int given) { value = given; }
    void unhandled_exception() { std::terminate(); }
    std::coroutine_handle<> awaiter;
    int value = 0;
  };
  explicit Lazy(std::coroutine_handle<promise_type> its) : frame(its) {}
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) {
    frame.promise().awaiter = awaiter;
    return frame;
  }
  int await_resume() {
    const int value = frame.promise().value;
    frame.destroy();
    return value;
  }
  std::coroutine_handle<promise_type> frame;
};

/// Resumed by a thread that waits until the task has had time to come to rest.
struct Elsewhere {
  explicit Elsewhere(bool waits_first, std::vector<std::thread>& all)
      : waits(waits_first), threads(&all) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> frame) {
    if (waits) await_here(answer_after_yield());
    threads->emplace_back([frame] { frame.resume(); });
  }
  int await_resume() { return 7; }
  bool waits;
  std::vector<std::thread>* threads;
};

Lazy foreign(bool waits, std::vector<std::thread>& threads) {
  const int before = await_here(answer_after_yield());
  const int value = co_await Elsewhere(waits, threads);
  co_return before + value;
}

}  // namespace

TEST_CASE("code of another library's coroutines and awaiters may wait on the stack") {
  runtime rt(workers(1));
  for (const bool waits : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      std::vector<std::thread> threads;
      auto body = [&]() -> task<int> { co_return co_await foreign(waits, threads); };
      CHECK(rt.spawn({}, body).join() == 49);
      for (auto& thread : threads) thread.join();
    }
  }
}

TEST_CASE("plain code waits for a task, a sleep and a handle") {
  runtime rt(workers(2));
  const int sum = rt.spawn({}, [] {
                      int total = deep(30, [] { return await_here(answer_after_yield()); });
                      await_here(sleep_for(1ms));
                      auto handle = spawn(answer_after_yield());
                      total += await_here(std::move(handle));
                      return total;
                    }).join();
  CHECK(sum == 84);
  CHECK(rt.stats().total.weak_live == 0);
}

TEST_CASE("values that only move and references come back, and exceptions") {
  runtime rt(workers(1));
  static int place = 5;
  struct Kinds {
    static task<std::unique_ptr<int>> moved() {
      co_await yield();
      co_return std::make_unique<int>(3);
    }
    static task<int&> referred() {
      co_await yield();
      co_return place;
    }
    static task<> fails() {
      co_await yield();
      throw std::runtime_error("deep inside");
    }
  };
  auto handle = rt.spawn({}, [] {
    CHECK(*await_here(Kinds::moved()) == 3);
    CHECK(&await_here(Kinds::referred()) == &place);
    CHECK_THROWS_AS(await_here(Kinds::fails()), std::runtime_error);
  });
  handle.join();
}

TEST_CASE("ten thousand stacks wait at once on two workers and all come back") {
  const int count = kSanitized ? 500 : 10'000;
  runtime_options options = workers(2);
  options.stack_size = 64 * 1024;
  runtime rt(options);
  std::atomic<int> waiting{0};
  std::atomic<int> back{0};
  std::vector<join_handle<>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(rt.spawn({}, [&] {
      ++waiting;
      await_here(sleep_until(std::chrono::steady_clock::time_point::max()));
    }));
  }
  eventually("all wait", [&] {
    return waiting == count && rt.stats().total.weak_live == static_cast<std::uint64_t>(count);
  });
  for (auto& handle : all) handle.request_stop();
  for (auto& handle : all) {
    try {
      handle.join();
    } catch (const operation_cancelled&) {
      ++back;
    }
  }
  CHECK(back == count);
  CHECK(rt.stats().total.weak_live == 0);
}

TEST_CASE("stacks that wait are woken from other threads, however the workers steal") {
  runtime rt(workers(3));
  std::atomic<int> rounds{0};
  std::vector<join_handle<>> all;
  for (int i = 0; i < 50; ++i) {
    all.push_back(rt.spawn({}, [&] {
      for (int k = 0; k < 40; ++k) {
        await_here(yield());
        if (k % 8 == 0) await_here(sleep_for(100us));
        ++rounds;
      }
    }));
  }
  for (auto& handle : all) handle.join();
  CHECK(rounds == 50 * 40);
  CHECK(rt.stats().total.weak_live == 0);
}

TEST_CASE("await_here outside a task, and under a guard, says what to do and awaits nothing") {
  std::string outside;
  try {
    await_here(answer_after_yield());
  } catch (const std::logic_error& error) {
    outside = error.what();
  }
  CHECK(outside.find("await_here") != std::string::npos);
  CHECK(outside.find("spawn") != std::string::npos);
  runtime rt(workers(1));
  const std::string guarded = rt.spawn({}, [] {
                                  const nopreempt guard;
                                  try {
                                    await_here(answer_after_yield());
                                  } catch (const std::logic_error& error) {
                                    return std::string(error.what());
                                  }
                                  return std::string();
                                }).join();
  CHECK(guarded.find("nopreempt") != std::string::npos);
}

TEST_CASE("a stack that waits cannot be taken to another runtime, and says so") {
  runtime here(workers(1));
  runtime there(workers(1));
  auto handle = here.spawn({}, [&] {
    CHECK_THROWS_AS(await_here(resume_on(there.get_scheduler())), std::logic_error);
    return 1;
  });
  CHECK(handle.join() == 1);
}

TEST_CASE("a runtime that ends resumes the stacks that wait, so that their destructors run") {
  std::atomic<int> destroyed{0};
  {
    runtime rt(workers(2));
    std::atomic<int> waiting{0};
    for (int i = 0; i < 20; ++i) {
      rt.spawn({}, [&] {
          struct Guard {
            std::atomic<int>& count;
            ~Guard() { ++count; }
          } guard{destroyed};
          ++waiting;
          await_here(sleep_until(std::chrono::steady_clock::time_point::max()));
        }).detach();
    }
    eventually("all wait", [&] { return waiting == 20; });
  }
  CHECK(destroyed == 20);
}
