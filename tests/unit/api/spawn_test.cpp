// SPDX-License-Identifier: BSL-1.0
// Starting tasks: both forms of spawn, free and member, from inside and outside, and their misuse.
#include "fixtures.hpp"

#include <functional>
#include <memory>
#include <set>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

task<int> number(int value) { co_return value; }
task<> hold(Counted) { co_return; }
task<> nothing() { co_return; }

int twice(int value) { return 2 * value; }
task<int> twice_later(int value) {
  co_await yield();
  co_return 2 * value;
}

}  // namespace

TEST_CASE("spawn runs a task from outside and gives its result at the join") {
  runtime rt(workers(2));
  CHECK(rt.spawn(number(4)).join() == 4);
  int place = 0;
  int& back = rt.spawn([](int& target) -> task<int&> { co_return target; }(place)).join();
  CHECK(&back == &place);
  CHECK(*rt.spawn([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }())
             .join() == 5);
}

TEST_CASE("the free spawn starts a task on the runtime of the task that calls it") {
  runtime one(one_worker());
  runtime other(workers(2));
  const int result = one.block_on([]() -> task<int> {
    join_handle<int> child = spawn(number(8));
    co_return co_await std::move(child);
  }());
  CHECK(result == 8);
  one.wait_idle();
  CHECK(one.stats().total.spawned == 2);
  CHECK(other.stats().total.spawned == 0);
}

TEST_CASE("the member spawn reaches another runtime from inside a task") {
  runtime one(one_worker());
  runtime other(one_worker());
  const int result = one.block_on([](runtime& target) -> task<int> {
    join_handle<int> child = target.spawn(number(9));
    co_return co_await std::move(child);
  }(other));
  CHECK(result == 9);
  other.wait_idle();
  CHECK(other.stats().total.spawned == 1);
}

TEST_CASE("spawn takes any function with arguments and owns copies of them") {
  runtime rt(workers(2));
  CHECK(rt.spawn({}, twice, 21).join() == 42);
  CHECK(rt.spawn({}, twice_later, 21).join() == 42);
  CHECK(rt.spawn({}, &twice_later, 4).join() == 8);

  std::string text = "argument";
  auto length = [](const std::string& owned) -> task<std::size_t> {
    co_await yield();
    co_return owned.size();
  };
  join_handle<std::size_t> handle = rt.spawn({}, length, text);
  text = "changed meanwhile, and much longer than before";
  CHECK(handle.join() == 8);

  auto box = std::make_unique<int>(6);
  CHECK(
      rt.spawn({}, [](std::unique_ptr<int> owned) { return *owned; }, std::move(box)).join() == 6);

  int place = 1;
  int& back =
      rt.spawn(
            {}, [](std::reference_wrapper<int> target) -> int& { return target; }, std::ref(place))
          .join();
  CHECK(&back == &place);

  bool ran = false;
  rt.spawn({}, [&ran] { ran = true; }).join();
  CHECK(ran);

  struct Counter {
    int value = 3;
    int get(int more) const { return value + more; }
  };
  CHECK(rt.spawn({}, &Counter::get, Counter{}, 4).join() == 7);

  const std::function<task<int>()> wrapped = [] { return number(11); };
  CHECK(rt.spawn({}, wrapped).join() == 11);
}

TEST_CASE("a capturing coroutine lambda is owned by its task") {
  runtime rt(workers(2));
  std::atomic<int> live{0};
  Gate gate;
  join_handle<std::string> handle;
  {
    const std::string text(100, 'x');
    auto body = [text, counted = Counted(live), &gate]() -> task<std::string> {
      co_await gate.pass();
      co_return text;
    };
    handle = rt.spawn({}, std::move(body));
  }
  gate.open();
  CHECK(handle.join() == std::string(100, 'x'));
  CHECK(live.load() == 0);

  // The same from inside a task, with the free function.
  CHECK(rt.block_on([](std::atomic<int>& count) -> task<int> {
    auto body = [kept = std::make_shared<int>(3), counted = Counted(count)]() -> task<int> {
      co_await yield();
      co_return *kept;
    };
    join_handle<int> child = spawn({}, std::move(body));
    co_return co_await std::move(child);
  }(live)) == 3);
  CHECK(live.load() == 0);
}

TEST_CASE("a function that throws before it makes its coroutine fails its task, not its spawner") {
  runtime rt(one_worker());
  auto refuses = [](int) -> task<int> { throw std::domain_error("no coroutine"); };
  join_handle<int> handle = rt.spawn({}, refuses, 1);
  CHECK_THROWS_AS(handle.join(), std::domain_error);
}

TEST_CASE("spawning an empty task is refused and harms nothing") {
  runtime rt(one_worker());
  const std::string outside = message_of<std::invalid_argument>([&] { rt.spawn(task<int>()); });
  CHECK(says(outside, "spawn"));
  CHECK(says(outside, "empty"));
  const std::string inside = message_of<std::invalid_argument>([&] {
    rt.block_on([]() -> task<> {
      task<int> once = number(1);
      co_await once;
      spawn(std::move(once)).detach();
    }());
  });
  CHECK(says(inside, "awaited"));
  CHECK(rt.stats().total.spawned == 1);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a null function is refused with advice") {
  runtime rt(one_worker());
  task<int> (*null_pointer)(int) = nullptr;
  CHECK(says(message_of<std::invalid_argument>([&] { rt.spawn({}, null_pointer, 1); }), "null"));
  const std::function<void()> empty;
  CHECK(says(message_of<std::invalid_argument>([&] { rt.spawn({}, empty); }), "null"));
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("the free spawn outside a worker says which spawn to use") {
  const std::string message = message_of<std::logic_error>([] { spawn(nothing()); });
  CHECK(says(message, "runtime::spawn"));
  std::string on_thread;
  std::thread([&] {
    on_thread = message_of<std::logic_error>([] { spawn(spawn_options{}, nothing); });
  }).join();
  CHECK(says(on_thread, "outside a worker"));
}

TEST_CASE("spawn after stop throws runtime_stopped and destroys the task") {
  std::atomic<int> live{0};
  runtime rt(one_worker());
  rt.request_stop();
  const std::string message =
      message_of<runtime_stopped>([&] { rt.spawn(hold(Counted(live)), {.name = "late"}); });
  CHECK(says(message, "asked to stop"));
  CHECK(live.load() == 0);
  CHECK_THROWS_AS(rt.spawn({}, [counted = Counted(live)] {}), runtime_stopped);
  CHECK(live.load() == 0);
  CHECK_THROWS_AS(rt.block_on(hold(Counted(live))), runtime_stopped);
  CHECK(live.load() == 0);
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.spawned == 0);
  CHECK(stats.live == 0);
}

TEST_CASE("spawn after stop from inside a task throws runtime_stopped there") {
  std::atomic<int> live{0};
  runtime rt(one_worker());
  const bool refused = rt.block_on([](runtime& self, std::atomic<int>& count) -> task<bool> {
    self.request_stop();
    try {
      spawn(hold(Counted(count))).detach();
    } catch (const runtime_stopped&) {
      co_return count.load() == 0;
    }
    co_return false;
  }(rt, live));
  CHECK(refused);
}

TEST_CASE("a refused spawn leaves no trace: bad options start nothing") {
  runtime rt(one_worker());
  std::atomic<int> live{0};
  const std::string long_name(256, 'n');
  CHECK_THROWS_AS(rt.spawn(hold(Counted(live)), {.name = long_name}), std::invalid_argument);
  CHECK_THROWS_AS(rt.spawn(hold(Counted(live)), {.core = 1}), std::invalid_argument);
  CHECK_THROWS_AS(rt.spawn(hold(Counted(live)), {.qos = static_cast<qos>(6)}),
                  std::invalid_argument);
  CHECK(live.load() == 0);
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("ids are unique and never zero, whoever spawns") {
  runtime rt(workers(2));
  std::mutex mutex;
  std::set<task_id> ids;
  std::atomic<int> duplicates{0};
  const auto note = [&](task_id id) {
    const std::lock_guard lock(mutex);
    if (id == 0 || !ids.insert(id).second) ++duplicates;
  };
  auto spawn_some = [&]() -> task<> {
    for (int i = 0; i < 500; ++i) note(spawn(nothing()).id());
    co_return;
  };
  std::vector<join_handle<>> spawners;
  for (int i = 0; i < 4; ++i) {
    spawners.push_back(rt.spawn({}, spawn_some));
    note(spawners.back().id());
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) note(rt.spawn(nothing()).id());
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& spawner : spawners) spawner.join();
  rt.wait_idle();
  CHECK(duplicates.load() == 0);
  CHECK(ids.size() == 4 * 500 + 4 + 2 * 500);
  CHECK(rt.stats().total.spawned == ids.size());
}
