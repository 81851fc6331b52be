// SPDX-License-Identifier: BSL-1.0
// task<T>: lazy, awaited once, any result type, exceptions, no stack growth.
#include "fixtures.hpp"

#include <memory>

using namespace paceline;
using namespace paceline_test;

namespace {

task<> set(bool& flag) {
  flag = true;
  co_return;
}
task<int> number(int value) { co_return value; }
task<int&> same(int& value) { co_return value; }
task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }
task<> hold(Counted) { co_return; }

task<int> throw_standard() {
  throw std::out_of_range("told so");
  co_return 0;
}
task<int> throw_int() {
  throw 17;
  co_return 0;
}

/// A result that counts how often it is copied.
struct Copies {
  explicit Copies(int& count) noexcept : copies(&count) {}
  Copies(const Copies& other) noexcept : copies(other.copies) { ++*copies; }
  Copies(Copies&&) noexcept = default;
  int* copies;
};
task<Copies> make_copies(int& count) { co_return Copies(count); }

}  // namespace

TEST_CASE("a task does nothing until it is awaited") {
  runtime rt(one_worker());
  bool early = true;
  bool ran = false;
  rt.block_on([](bool& flag, bool& before) -> task<> {
    task<> lazy = set(flag);
    co_await yield();
    before = flag;
    co_await std::move(lazy);
  }(ran, early));
  CHECK_FALSE(early);
  CHECK(ran);
}

TEST_CASE("a task that is never started destroys its arguments and runs nothing") {
  std::atomic<int> live{0};
  {
    const task<> never = hold(Counted(live));
    CHECK(live.load() == 1);
  }
  CHECK(live.load() == 0);

  task<> replaced = hold(Counted(live));
  replaced = hold(Counted(live));
  CHECK(live.load() == 1);
  replaced = task<>();
  CHECK(live.load() == 0);
}

TEST_CASE("a task that has run has destroyed its arguments once") {
  std::atomic<int> live{0};
  runtime rt(one_worker());
  rt.block_on(hold(Counted(live)));
  CHECK(live.load() == 0);
  rt.block_on([](std::atomic<int>& count) -> task<> { co_await hold(Counted(count)); }(live));
  CHECK(live.load() == 0);
}

TEST_CASE("a task gives values, references, move-only objects and nothing") {
  runtime rt(one_worker());
  int place = 1;
  rt.block_on([](int& target) -> task<> {
    const int five = co_await number(5);
    CHECK(five == 5);
    int& back = co_await same(target);
    CHECK(&back == &target);
    const std::unique_ptr<int> box = co_await boxed(7);
    REQUIRE(box);
    CHECK(*box == 7);
    bool flag = false;
    co_await set(flag);
    CHECK(flag);
  }(place));
}

TEST_CASE("a result is moved to its awaiter, never copied, and destroyed once") {
  runtime rt(one_worker());
  int copies = 0;
  const Copies result = rt.block_on(make_copies(copies));
  CHECK(result.copies == &copies);
  CHECK(copies == 0);

  std::atomic<int> live{0};
  rt.block_on([](std::atomic<int>& count) -> task<> {
    const Counted kept =
        co_await [](std::atomic<int>& c) -> task<Counted> { co_return Counted(c); }(count);
    CHECK(count.load() == 1);
  }(live));
  CHECK(live.load() == 0);

  // A result nobody takes dies with its task.
  rt.spawn([](std::atomic<int>& c) -> task<Counted> { co_return Counted(c); }(live)).detach();
  rt.wait_idle();
  CHECK(live.load() == 0);
}

TEST_CASE("what a task throws arrives where it is awaited") {
  runtime rt(one_worker());
  rt.block_on([]() -> task<> {
    std::string message;
    try {
      co_await throw_standard();
    } catch (const std::out_of_range& error) {
      message = error.what();
    }
    CHECK(message == "told so");
    int code = 0;
    try {
      co_await throw_int();
    } catch (int thrown) {
      code = thrown;
    }
    CHECK(code == 17);
  }());
  CHECK_THROWS_AS(rt.block_on(throw_standard()), std::out_of_range);
  CHECK_THROWS_AS(rt.block_on(throw_int()), int);
  CHECK(rt.block_on(number(1)) == 1);
}

TEST_CASE("awaiting an empty task says what happened to it") {
  runtime rt(one_worker());
  const auto outcome = [&rt](auto body) {
    return message_of<std::logic_error>([&] { rt.block_on(body()); });
  };
  CHECK(says(outcome([]() -> task<> {
               task<int> once = number(1);
               co_await once;
               co_await once;
             }),
             "awaited"));
  CHECK(says(outcome([]() -> task<> {
               task<int> source = number(1);
               const task<int> target = std::move(source);
               co_await std::move(source);  // NOLINT: that is the point
             }),
             "moved from"));
  CHECK(says(outcome([]() -> task<> { co_await task<>(); }), "empty"));
  CHECK(rt.block_on(number(2)) == 2);
}

TEST_CASE("a task says by itself whether it can still be awaited") {
  task<int> source = number(3);
  CHECK(source);
  task<int> target = std::move(source);
  CHECK_FALSE(source);  // NOLINT: moved-from is defined here
  CHECK(target);
  runtime rt(one_worker());
  CHECK(rt.block_on(std::move(target)) == 3);
  CHECK_FALSE(target);
  CHECK_FALSE(task<>());
}

TEST_CASE("an awaited child is part of its parent: same identity, no poll of its own") {
  runtime rt(one_worker());
  auto parent = rt.spawn(
      []() -> task<bool> {
        const task_id id = this_task::id();
        bool same_identity = true;
        for (int i = 0; i < 1000; ++i) {
          same_identity &= co_await [](task_id expected) -> task<bool> {
            co_return this_task::id() == expected&& this_task::name() == "parent" &&
                this_task::qos() == qos::utility;
          }(id);
        }
        co_return same_identity;
      }(),
      {.qos = qos::utility, .name = "parent"});
  CHECK(parent.join());
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.spawned == 1);
  CHECK(stats.total.polls == 1);
}

namespace {

task<long> sum_of(int count) {
  long sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await number(1);
  co_return sum;
}

task<int> depth_of(int levels) {
  if (levels == 0) {
    co_await yield();
    co_return 0;
  }
  co_return 1 + co_await depth_of(levels - 1);
}

task<int> unwind_from(int levels) {
  if (levels == 0) throw std::runtime_error("from the bottom");
  co_return 1 + co_await unwind_from(levels - 1);
}

}  // namespace

TEST_CASE("a million awaits in a row do not grow the stack") {
  runtime_options options = one_worker();
  options.stack_size = 64 * 1024;
  runtime rt(options);
  CHECK(rt.block_on(sum_of(1'000'000)) == 1'000'000);
}

TEST_CASE("ten thousand nested awaits need frames, not stack") {
  runtime_options options = one_worker();
  options.stack_size = 64 * 1024;
  runtime rt(options);
  CHECK(rt.block_on(depth_of(10'000)) == 10'000);
  CHECK_THROWS_AS(rt.block_on(unwind_from(10'000)), std::runtime_error);
  CHECK(rt.block_on(number(4)) == 4);
}
