// SPDX-License-Identifier: BSL-1.0
// A task inside a foreign awaitable whose completion comes while the same task waits for something
// else, further in: it must not be forgotten.
#include "fixtures.hpp"

#include <coroutine>
#include <exception>

using namespace paceline;
using namespace paceline_test;

namespace {

/// Foreign, and frees itself.
struct Fire {
  struct promise_type {
    Fire get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct Bench {
  std::atomic<bool> open{false};  // lets the inner task go on
  std::atomic<bool> inner_waits{false};
  waker inner;
  std::coroutine_handle<> outer;  // of the foreign awaitable
};

task<> wait_inside(Bench& bench) {
  const auto is_open = [&bench]() noexcept { return bench.open.load(); };
  const auto arm = [&bench](waker self) {
    bench.inner = self;
    bench.inner_waits = true;
  };
  auto until_open = suspend_until(is_open, arm);
  co_await std::move(until_open);
}

Fire side(Bench& bench) { co_await wait_inside(bench); }

/// Suspends, and starts a foreign coroutine that waits within the same task.
struct Sandwich {
  Bench& bench;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    bench.outer = handle;
    side(bench);
  }
  void await_resume() const noexcept {}
};

task<int> outside_in(Bench& bench) {
  Sandwich sandwich{bench};
  co_await sandwich;
  co_return 7;
}

task<> nothing() { co_return; }

}  // namespace

TEST_CASE("a foreign completion that comes while the task waits further in is not forgotten") {
  for (const std::size_t count : {1u, 2u}) {
    Bench bench;
    runtime rt(workers(count));
    join_handle<int> handle = rt.spawn(outside_in(bench));
    eventually("the task waits inside", [&] { return bench.inner_waits.load(); });
    bench.outer.resume();  // the outer wait is over; the inner one is not
    // Every worker has polled since, so the bit of that completion is spent.
    for (std::size_t w = 0; w < count; ++w) {
      for (int i = 0; i < 3; ++i) rt.spawn(nothing(), {.core = w}).join();
    }
    REQUIRE_FALSE(handle.done());
    bench.open = true;
    bench.inner.wake();
    eventually("the task goes on", [&] { return handle.done(); });
    CHECK(handle.join() == 7);
  }
}
