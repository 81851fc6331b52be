// SPDX-License-Identifier: BSL-1.0
// block_on: any awaitable from an outside thread; refused on every worker (failure L25).
#include "fixtures.hpp"

#include <memory>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

task<int> number(int value) { co_return value; }

/// An awaiter of no particular library: ready at once.
struct Ready {
  int value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value; }
};

/// Awaitable through a free operator co_await.
struct Indirect {
  int value;
};
Ready operator co_await(Indirect indirect) noexcept { return Ready{indirect.value}; }

/// Awaited by lvalue only, and counts how often.
struct Reusable {
  int awaited = 0;
  struct Awaiter {
    Reusable& owner;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) noexcept { return false; }
    int& await_resume() noexcept { return ++owner.awaited; }
  };
  Awaiter operator co_await() & noexcept { return Awaiter{*this}; }
};

struct MoveOnlyAwaitable {
  std::unique_ptr<int> value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::unique_ptr<int> await_resume() noexcept { return std::move(value); }
};

}  // namespace

TEST_CASE("block_on gives a value, a reference, nothing, or rethrows") {
  runtime rt(workers(2));
  CHECK(rt.block_on(number(3)) == 3);
  int place = 0;
  int& back = rt.block_on([](int& target) -> task<int&> { co_return target; }(place));
  CHECK(&back == &place);
  bool ran = false;
  rt.block_on([](bool& flag) -> task<> {
    flag = true;
    co_return;
  }(ran));
  CHECK(ran);
  CHECK(*rt.block_on(
            []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(8); }()) == 8);
  CHECK_THROWS_AS(rt.block_on([]() -> task<> {
    co_await yield();
    throw std::length_error("no");
  }()),
                  std::length_error);
}

TEST_CASE("block_on takes awaitables that are no tasks") {
  runtime rt(one_worker());
  CHECK(rt.block_on(Ready{4}) == 4);
  CHECK(rt.block_on(Indirect{5}) == 5);
  CHECK(*rt.block_on(MoveOnlyAwaitable{std::make_unique<int>(6)}) == 6);
  rt.block_on(yield());
  rt.block_on(sleep_for(std::chrono::microseconds(1)));
  CHECK(rt.block_on(rt.spawn(number(7))) == 7);
  const auto results = rt.block_on(when_all(number(1), number(2)));
  CHECK(results == std::tuple(1, 2));
}

TEST_CASE("block_on takes an awaitable by reference and leaves it to its owner") {
  runtime rt(one_worker());
  Reusable reusable;
  int& back = rt.block_on(reusable);
  CHECK(&back == &reusable.awaited);
  rt.block_on(reusable);
  CHECK(reusable.awaited == 2);
  const Ready constant{9};
  CHECK(rt.block_on(constant) == 9);
  auto nap = sleep_for(std::chrono::microseconds(1));
  rt.block_on(nap);
  rt.block_on(nap);
}

TEST_CASE("block_on refuses an empty task and the runtime is unharmed") {
  runtime rt(one_worker());
  CHECK(says(message_of<std::invalid_argument>([&] { rt.block_on(task<int>()); }), "block_on"));
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("block_on inside a task is a logic_error with advice, never a deadlock") {
  runtime rt(one_worker());
  runtime other(one_worker());
  const auto nested = [](runtime& target) -> task<std::string> {
    std::atomic<int> live{0};
    const std::string message = message_of<std::logic_error>(
        [&] { target.block_on([](Counted) -> task<> { co_return; }(Counted(live))); });
    co_return live.load() == 0 ? message : "the task was not destroyed";
  };
  CHECK(says(rt.block_on(nested(rt)), "co_await"));
  CHECK(says(rt.block_on(nested(other)), "block_on on a worker"));
  CHECK(other.stats().total.spawned == 0);
}

TEST_CASE("wait_idle inside a task is a logic_error too") {
  runtime rt(one_worker());
  runtime other(one_worker());
  const auto nested = [](runtime& target) -> task<std::string> {
    co_return message_of<std::logic_error>([&] { target.wait_idle(); });
  };
  CHECK(says(rt.block_on(nested(rt)), "wait_idle on a worker"));
  CHECK(says(rt.block_on(nested(other)), "wait_idle on a worker"));
}

TEST_CASE("many threads block on one runtime at once") {
  runtime rt(workers(2));
  std::atomic<long> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) sum += rt.block_on(forty_two());
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(sum.load() == 8 * 200 * 42);
}

TEST_CASE("block_on consumes a task given by name") {
  runtime rt(one_worker());
  task<int> named = number(10);
  CHECK(rt.block_on(named) == 10);
  CHECK_FALSE(named);
  CHECK(says(message_of<std::invalid_argument>([&] { rt.block_on(named); }), "empty"));
}

TEST_CASE("a result may be an rvalue reference: it is moved into the caller's hands") {
  struct Gives {
    std::string text = "handed over";
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    std::string&& await_resume() noexcept { return std::move(text); }
  };
  runtime rt(one_worker());
  const std::string result = rt.block_on(Gives{});
  CHECK(result == "handed over");
  CHECK(rt.spawn({}, [] { return Gives{}; }).join() == "handed over");
}
