// SPDX-License-Identifier: BSL-1.0
// when_all, tuple and range: results, failures, cancellation; nobody is left behind.
#include "fixtures.hpp"

#include <list>
#include <memory>
#include <numeric>
#include <ranges>

using namespace paceline;
using namespace paceline_test;

namespace {

task<int> number(int value) {
  co_await yield();
  co_return value;
}
task<> nothing() { co_await yield(); }
task<int&> same(int& value) { co_return value; }
task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

/// What became of children that a failure or a stop request reached.
struct Tally {
  std::atomic<int> started{0};
  std::atomic<int> stopped{0};
  std::atomic<int> ended{0};
};

/// Waits until it is asked to stop, and takes a while to obey.
task<int> until_stopped(Tally& tally) {
  ++tally.started;
  try {
    co_await sleep_for(std::chrono::hours(1));
  } catch (const operation_cancelled&) {
    ++tally.stopped;
  }
  ++tally.ended;
  co_return 0;
}

task<int> fails_when(Gate& gate, int code) {
  co_await gate.pass();
  throw code;
}

}  // namespace

TEST_CASE("when_all gives a tuple in the order of its arguments") {
  runtime rt(workers(2));
  int place = 0;
  rt.block_on([](int& target) -> task<> {
    auto [value, none, reference, box] =
        co_await when_all(number(1), nothing(), same(target), boxed(2));
    CHECK(value == 1);
    CHECK(std::is_same_v<decltype(none), std::monostate>);
    CHECK(&reference == &target);
    REQUIRE(box);
    CHECK(*box == 2);
    auto [alone] = co_await when_all(number(3));
    CHECK(alone == 3);
    const std::tuple<> empty = co_await when_all();
    CHECK(empty == std::tuple<>());
  }(place));
}

TEST_CASE("when_all over a range gives a vector in the range's order") {
  runtime rt(workers(2));
  int places[3] = {};
  rt.block_on([](int* targets) -> task<> {
    std::vector<task<int>> numbers;
    for (int i = 0; i < 100; ++i) numbers.push_back(number(i));
    const std::vector<int> results = co_await when_all(numbers);
    CHECK(results.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(results[static_cast<std::size_t>(i)] == i);
    CHECK_FALSE(numbers.front());  // consumed

    std::list<task<>> voids;
    voids.push_back(nothing());
    voids.push_back(nothing());
    const std::vector<std::monostate> none = co_await when_all(std::move(voids));
    CHECK(none.size() == 2);

    std::vector<task<int&>> references;
    for (int i = 0; i < 3; ++i) references.push_back(same(targets[i]));
    const std::vector<std::reference_wrapper<int>> found = co_await when_all(references);
    for (std::size_t i = 0; i < 3; ++i) CHECK(&found[i].get() == &targets[i]);

    std::vector<task<std::unique_ptr<int>>> boxes;
    boxes.push_back(boxed(4));
    const std::vector<std::unique_ptr<int>> unboxed = co_await when_all(boxes);
    REQUIRE(unboxed.size() == 1);
    CHECK(*unboxed[0] == 4);
  }(places));
}

TEST_CASE("when_all takes a view that makes its tasks on the way") {
  runtime rt(one_worker());
  const int sum = rt.block_on([]() -> task<int> {
    auto made = std::views::iota(1, 11) | std::views::transform(number);
    const std::vector<int> results = co_await when_all(made);
    co_return std::accumulate(results.begin(), results.end(), 0);
  }());
  CHECK(sum == 55);
}

TEST_CASE("when_all over an empty range is done at once") {
  runtime rt(one_worker());
  rt.block_on([]() -> task<> {
    std::vector<task<int>> none;
    const std::vector<int> results = co_await when_all(none);
    CHECK(results.empty());
  }());
  rt.wait_idle();
  CHECK(rt.stats().total.spawned == 1);
}

TEST_CASE("ten thousand children all run and all results arrive") {
  runtime rt(workers(2));
  const long sum = rt.block_on([]() -> task<long> {
    std::vector<task<int>> numbers;
    for (int i = 0; i < 10'000; ++i) numbers.push_back(number(i));
    const std::vector<int> results = co_await when_all(numbers);
    co_return std::accumulate(results.begin(), results.end(), 0L);
  }());
  CHECK(sum == 10'000L * 9'999 / 2);
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.spawned == 10'001);
  CHECK(stats.live == 0);
}

TEST_CASE("groups nest, and children may use when_all themselves") {
  runtime rt(workers(2));
  struct Tree {
    static task<int> leaves(int depth) {
      if (depth == 0) co_return 1;
      auto [left, right] = co_await when_all(leaves(depth - 1), leaves(depth - 1));
      co_return left + right;
    }
  };
  CHECK(rt.block_on(Tree::leaves(10)) == 1024);
}

TEST_CASE("children inherit their parent's class") {
  runtime rt(workers(2));
  auto body = []() -> task<bool> {
    const auto same_class = []() -> task<bool> { co_return this_task::qos() == qos::background; };
    auto [a, b] = co_await when_all(same_class(), same_class());
    co_return a&& b;
  };
  CHECK(rt.spawn(body(), {.qos = qos::background}).join());
}

TEST_CASE("the first failure is rethrown after the rest was asked to stop and has ended") {
  std::atomic<int> unhandled{0};
  runtime_options options = workers(2);
  options.on_unhandled = [&](std::exception_ptr, std::string_view) { ++unhandled; };
  runtime rt(options);
  Tally tally;
  Gate gate;
  auto parent = [&]() -> task<int> {
    try {
      co_await when_all(until_stopped(tally), fails_when(gate, 7), until_stopped(tally));
    } catch (int code) {
      co_return tally.ended == 2 ? code : -1;
    }
    co_return 0;
  };
  join_handle<int> handle = rt.spawn({}, parent);
  eventually("everybody waits", [&] { return tally.started == 2 && gate.arrived() == 1; });
  CHECK_FALSE(handle.done());
  gate.open();
  CHECK(handle.join() == 7);
  CHECK(tally.stopped.load() == 2);
  rt.wait_idle();
  CHECK(unhandled.load() == 0);
}

TEST_CASE("when several children fail exactly one failure arrives, in both forms") {
  runtime rt(workers(2));
  Gate gate;
  auto tuple_form = [&]() -> task<int> {
    try {
      co_await when_all(fails_when(gate, 1), fails_when(gate, 2), fails_when(gate, 3));
    } catch (int code) {
      co_return code;
    }
    co_return 0;
  };
  auto range_form = [&]() -> task<int> {
    std::vector<task<int>> children;
    for (int i = 1; i <= 100; ++i) children.push_back(fails_when(gate, i));
    try {
      co_await when_all(children);
    } catch (int code) {
      co_return code;
    }
    co_return 0;
  };
  join_handle<int> tuple = rt.spawn({}, tuple_form);
  join_handle<int> range = rt.spawn({}, range_form);
  eventually("all wait", [&] { return gate.arrived() == 103; });
  gate.open();
  const int from_tuple = tuple.join();
  CHECK((from_tuple >= 1 && from_tuple <= 3));
  const int from_range = range.join();
  CHECK((from_range >= 1 && from_range <= 100));
}

TEST_CASE("cancelling the parent stops all children and waits for them") {
  runtime rt(workers(2));
  Tally tally;
  std::atomic<bool> seen_all_end{false};
  auto parent = [&]() -> task<> {
    std::vector<task<int>> children;
    for (int i = 0; i < 50; ++i) children.push_back(until_stopped(tally));
    const std::vector<int> results = co_await when_all(children);
    // The children obeyed by ending well, so the parent goes on to its next wait.
    seen_all_end = results.size() == 50 && tally.ended == 50;
    co_await yield();
  };
  join_handle<> handle = rt.spawn({}, parent);
  eventually("all children run", [&] { return tally.started == 50; });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(seen_all_end.load());
  CHECK(tally.stopped.load() == 50);
}

TEST_CASE("a parent that was asked to stop before starts none of its children") {
  runtime rt(one_worker());
  std::stop_source source;
  source.request_stop();
  std::atomic<int> live{0};
  Tally tally;
  auto child = [](Counted, Tally& t) -> task<int> { co_return co_await until_stopped(t); };
  auto parent = [&]() -> task<> {
    co_await when_all(child(Counted(live), tally), child(Counted(live), tally));
  };
  CHECK_THROWS_AS(rt.spawn({.stop_token = source.get_token()}, parent).join(), operation_cancelled);
  CHECK(tally.started.load() == 0);
  CHECK(live.load() == 0);
  rt.wait_idle();
  CHECK(rt.stats().total.spawned == 1);
}

TEST_CASE("an empty task in the list is refused, the others are destroyed unstarted") {
  runtime rt(one_worker());
  std::atomic<int> live{0};
  auto child = [](Counted) -> task<int> { co_return 1; };
  const std::string message = message_of<std::invalid_argument>([&] {
    rt.block_on([](task<int> good) -> task<> {
      co_await when_all(std::move(good), task<int>());
    }(child(Counted(live))));
  });
  CHECK(says(message, "when_all"));
  CHECK(live.load() == 0);
  std::vector<task<int>> range;
  range.push_back(child(Counted(live)));
  range.emplace_back();
  CHECK_THROWS_AS(rt.block_on(when_all(range)), std::invalid_argument);
  range.clear();
  CHECK(live.load() == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a group that is never awaited starts nothing and destroys its tasks") {
  std::atomic<int> live{0};
  std::atomic<int> started{0};
  auto child = [](Counted, std::atomic<int>& count) -> task<> {
    ++count;
    co_return;
  };
  {
    const auto group = when_all(child(Counted(live), started), child(Counted(live), started));
    CHECK(live.load() == 2);
  }
  CHECK(live.load() == 0);
  CHECK(started.load() == 0);
}

TEST_CASE("results and arguments of children die exactly once, also when one fails") {
  runtime rt(workers(2));
  std::atomic<int> live{0};
  auto makes = [](std::atomic<int>& count, Counted) -> task<Counted> {
    co_await yield();
    co_return Counted(count);
  };
  auto fails = [](Counted) -> task<Counted> {
    co_await yield();
    throw 3;
  };
  rt.block_on([](auto make, std::atomic<int>& count) -> task<> {
    auto results = co_await when_all(make(count, Counted(count)), make(count, Counted(count)));
    CHECK(count.load() == 2);
  }(makes, live));
  CHECK(live.load() == 0);
  CHECK_THROWS_AS(rt.block_on(when_all(makes(live, Counted(live)), fails(Counted(live)))), int);
  CHECK(live.load() == 0);
}
