// SPDX-License-Identifier: BSL-1.0
// spawn_options: name, class, core and stop token; their limits, and their life inside co_await.
#include "fixtures.hpp"

#include <array>
#include <limits>
#include <sstream>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

task<std::string> my_name() { co_return std::string(this_task::name()); }
task<qos> my_class() { co_return this_task::qos(); }
task<> forever() { co_await sleep_for(std::chrono::hours(1)); }

/// Yields `polls` times; true if every poll was on worker `core`.
task<bool> stays_on(std::size_t core, int polls) {
  bool stayed = true;
  for (int i = 0; i < polls; ++i) {
    stayed &= this_task::worker() == core;
    co_await yield();
  }
  co_return stayed&& this_task::worker() == core;
}

}  // namespace

TEST_CASE("a name of up to 255 bytes is copied and kept") {
  runtime rt(one_worker());
  CHECK(rt.spawn(my_name()).join().empty());
  CHECK(rt.spawn(my_name(), {.name = ""}).join().empty());
  CHECK(rt.spawn(my_name(), {.name = "short"}).join() == "short");
  const std::string longest(255, 'l');
  CHECK(rt.spawn(my_name(), {.name = longest}).join() == longest);

  std::string passing = "a name whose bytes change after the spawn";
  join_handle<std::string> handle = rt.spawn(my_name(), {.name = passing});
  const std::string before = passing;
  passing.assign(passing.size(), '?');
  CHECK(handle.join() == before);
}

TEST_CASE("a longer name is refused with both lengths in the message") {
  runtime rt(one_worker());
  for (const std::size_t length : {std::size_t{256}, std::size_t{10'000}}) {
    const std::string name(length, 'n');
    const std::string message =
        message_of<std::invalid_argument>([&] { rt.spawn(my_name(), {.name = name}); });
    CHECK(says(message, std::to_string(length)));
    CHECK(says(message, "255"));
  }
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a task has the class it was given, else its spawner's, else standard") {
  runtime rt(one_worker());
  for (std::size_t i = 0; i < qos_count; ++i) {
    const auto given = static_cast<qos>(i);
    CHECK(rt.spawn(my_class(), {.qos = given}).join() == given);
  }
  CHECK(rt.spawn(my_class()).join() == qos::standard);

  auto parent = []() -> task<std::pair<qos, qos>> {
    join_handle<qos> inherits = spawn(my_class());
    const qos inherited = co_await std::move(inherits);
    join_handle<qos> differs = spawn(my_class(), {.qos = qos::urgent});
    const qos given = co_await std::move(differs);
    co_return std::pair(inherited, given);
  };
  const auto [inherited, given] = rt.spawn(parent(), {.qos = qos::background}).join();
  CHECK(inherited == qos::background);
  CHECK(given == qos::urgent);
}

TEST_CASE("a value outside the enum is no class") {
  runtime rt(one_worker());
  for (const int bad : {6, 7, 255}) {
    const std::string message = message_of<std::invalid_argument>(
        [&] { rt.spawn(my_class(), {.qos = static_cast<qos>(bad)}); });
    CHECK(says(message, std::to_string(bad)));
    CHECK(says(message, "enumerators"));
  }
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a pinned task is polled only on its worker, though others are idle") {
  runtime rt(workers(3));
  std::vector<join_handle<bool>> pinned;
  for (std::size_t core = 0; core < 3; ++core) {
    for (int i = 0; i < 20; ++i) pinned.push_back(rt.spawn(stays_on(core, 50), {.core = core}));
  }
  // And from inside, whichever worker spawns.
  const auto spawner = []() -> task<int> {
    std::vector<join_handle<bool>> children;
    for (int i = 0; i < 60; ++i) {
      const auto core = static_cast<std::size_t>(i % 3);
      children.push_back(spawn(stays_on(core, 20), {.core = core}));
    }
    int stayed = 0;
    for (auto& child : children) stayed += co_await std::move(child) ? 1 : 0;
    co_return stayed;
  };
  CHECK(rt.block_on(spawner()) == 60);
  int stayed = 0;
  for (auto& handle : pinned) stayed += handle.join() ? 1 : 0;
  CHECK(stayed == 60);
}

TEST_CASE("a pinned task waits for its busy worker instead of being stolen") {
  runtime rt(workers(2));
  std::atomic<bool> busy{false};
  std::atomic<bool> release{false};
  auto hog = [&] {
    busy = true;
    while (!release) std::this_thread::yield();
  };
  join_handle<> hogging = rt.spawn({.core = 0}, hog);
  eventually("worker 0 is busy", [&] { return busy.load(); });
  std::vector<join_handle<bool>> waiting;
  for (int i = 0; i < 10; ++i) waiting.push_back(rt.spawn(stays_on(0, 3), {.core = 0}));
  // The other worker has run a lot meanwhile, and looked around for work.
  for (int i = 0; i < 100; ++i) rt.spawn(my_class(), {.core = 1}).join();
  for (auto& handle : waiting) CHECK_FALSE(handle.done());
  release = true;
  hogging.join();
  for (auto& handle : waiting) CHECK(handle.join());
}

TEST_CASE("a pinned task comes back to its worker after every kind of wait") {
  runtime rt(workers(2));
  Gate gate;
  auto body = [&gate](std::size_t core) -> task<bool> {
    bool stayed = this_task::worker() == core;
    co_await sleep_for(std::chrono::milliseconds(1));
    stayed &= this_task::worker() == core;
    co_await gate.pass();
    stayed &= this_task::worker() == core;
    join_handle<qos> other = spawn(my_class(), {.core = 1 - core});
    co_await std::move(other);
    stayed &= this_task::worker() == core;
    this_task::set_qos(qos::utility);
    co_await yield();
    co_return stayed&& this_task::worker() == core;
  };
  std::vector<join_handle<bool>> handles;
  for (std::size_t i = 0; i < 20; ++i) {
    handles.push_back(rt.spawn({.core = i % 2}, body, i % 2));
  }
  eventually("all wait at the gate", [&] { return gate.arrived() == 20; });
  gate.open();
  for (auto& handle : handles) CHECK(handle.join());
}

TEST_CASE("a core that does not exist is refused with the range") {
  runtime rt(workers(2));
  for (const std::size_t core : {std::size_t{2}, std::size_t{1'000'000}, ~std::size_t{0}}) {
    const std::string message =
        message_of<std::invalid_argument>([&] { rt.spawn(my_class(), {.core = core}); });
    CHECK(says(message, std::to_string(core)));
    CHECK(says(message, "2 workers"));
  }
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a stop token stops the task when its source is asked to") {
  runtime rt(workers(2));
  std::stop_source source;
  join_handle<> first = rt.spawn(forever(), {.stop_token = source.get_token()});
  join_handle<> second = rt.spawn(forever(), {.stop_token = source.get_token()});
  join_handle<> other = rt.spawn(forever());
  source.request_stop();
  CHECK_THROWS_AS(first.join(), operation_cancelled);
  CHECK_THROWS_AS(second.join(), operation_cancelled);
  CHECK_FALSE(other.done());
  other.request_stop();
  CHECK_THROWS_AS(other.join(), operation_cancelled);
}

TEST_CASE("a token that is stopped already lets the task start and ends its first wait") {
  runtime rt(one_worker());
  std::stop_source source;
  source.request_stop();
  bool started = false;
  auto body = [&started]() -> task<> {
    started = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  CHECK_THROWS_AS(rt.spawn({.stop_token = source.get_token()}, body).join(), operation_cancelled);
  CHECK(started);
  auto reads = []() -> task<bool> { co_return this_task::stop_token().stop_requested(); };
  CHECK(rt.spawn({.stop_token = source.get_token()}, reads).join());
}

TEST_CASE("a stop request races with spawn and end of its task") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 300 : 2000;
  int cancelled = 0;
  int finished = 0;
  for (int i = 0; i < kRounds; ++i) {
    std::stop_source source;
    std::thread stopper([&] { source.request_stop(); });
    join_handle<int> handle = rt.spawn(forty_two(), {.stop_token = source.get_token()});
    try {
      finished += handle.join() == 42 ? 1 : 0;
    } catch (const operation_cancelled&) {
      ++cancelled;
    }
    stopper.join();
  }
  CHECK(finished + cancelled == kRounds);
}

TEST_CASE("a token's source may die before, during or after its task") {
  runtime rt(one_worker());
  join_handle<> handle;
  {
    std::stop_source source;
    handle = rt.spawn(forever(), {.stop_token = source.get_token()});
  }
  CHECK_FALSE(handle.done());
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(rt.spawn(forty_two(), {.stop_token = {}}).join() == 42);
  std::stop_source late;
  CHECK(rt.spawn(forty_two(), {.stop_token = late.get_token()}).join() == 42);
  CHECK(late.request_stop());
}

TEST_CASE("options written inside a co_await expression are destroyed once") {
  // g++-12 copies the members of such a temporary bit by bit and destroys both: a plain stop_token
  // would be released twice, its state freed while the source still uses it.
  runtime rt(one_worker());
  std::stop_source source;
  const int sum = rt.block_on([](std::stop_source& stop) -> task<int> {
    int total = 0;
    for (int i = 0; i < 1000; ++i) {
      total += co_await spawn(
          forty_two(),
          {.qos = qos::utility, .name = "inside an expression", .stop_token = stop.get_token()});
    }
    co_return total;
  }(source));
  CHECK(sum == 42 * 1000);
  CHECK(source.stop_possible());
  std::atomic<int> callbacks{0};
  const std::stop_callback counted(source.get_token(), [&] { ++callbacks; });
  CHECK(source.request_stop());
  CHECK(callbacks.load() == 1);
}

TEST_CASE("options can be kept, copied, assigned and used again") {
  runtime rt(one_worker());
  std::stop_source source;
  const spawn_options original{
      .qos = qos::background, .name = "kept", .stop_token = source.get_token()};
  spawn_options copy = original;
  spawn_options assigned;
  assigned = copy;
  copy = spawn_options{};
  CHECK(rt.spawn(my_class(), original).join() == qos::background);
  CHECK(rt.spawn(my_name(), assigned).join() == "kept");
  CHECK(rt.spawn(my_name(), copy).join().empty());
  join_handle<> stopped = rt.spawn(forever(), assigned);
  source.request_stop();
  CHECK_THROWS_AS(stopped.join(), operation_cancelled);
}

TEST_CASE("a nice value outside its range is refused with a message, and nothing is spawned") {
  runtime rt(workers(1));
  const auto nothing = []() -> task<> { co_return; };
  for (const int nice :
       {-21, 20, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    const std::string message =
        message_of<std::invalid_argument>([&] { rt.spawn(nothing(), {.nice = nice}); });
    INFO(message);
    REQUIRE(message.find("-20 to 19") != std::string::npos);
  }
  rt.spawn(nothing(), {.nice = -20}).join();
  rt.spawn(nothing(), {.nice = 19}).join();
  REQUIRE(rt.stats().total.spawned == 2);
}

TEST_CASE("statement 56: a task with an affinity never runs outside it, wherever it was spawned") {
  runtime rt(workers(4));
  const auto spawner = [](affinity set) -> task<int> {
    // Spawned from each worker, those outside the set too.
    int stayed = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      spawn_options options;
      options.affinity = set;
      join_handle<bool> handle = spawn(
          [](affinity allowed) -> task<bool> {
            bool inside = true;
            for (int poll = 0; poll < 20; ++poll) {
              inside &= allowed.contains(this_task::worker());
              co_await yield();
            }
            co_return inside;
          }(set),
          options);
      const bool inside = co_await std::move(handle);
      stayed += inside ? 1 : 0;
    }
    co_return stayed;
  };
  for (const affinity& set : {affinity{1}, affinity{0, 2}, affinity{1, 2, 3}, affinity{3, 700}}) {
    for (std::size_t from = 0; from < rt.workers(); ++from) {
      CHECK(rt.spawn(spawner(set), {.core = from}).join() == 20);
    }
  }
}

TEST_CASE("every task of an affinity runs once, on one of its workers") {
  runtime rt(workers(3));
  std::array<std::atomic<int>, 3> runs{};
  const auto note = [](std::array<std::atomic<int>, 3>& all) -> task<> {
    ++all[this_task::worker()];
    co_return;
  };
  for (int i = 0; i < 60; ++i) rt.spawn(note(runs), {.affinity = affinity{0, 2}}).join();
  CHECK(runs[1] == 0);
  CHECK(runs[0] + runs[2] == 60);
}

TEST_CASE("statement 55: an affinity without a worker is refused and nothing is spawned") {
  runtime rt(workers(2));
  const std::string disjoint =
      message_of<std::invalid_argument>([&] { rt.spawn(my_name(), {.affinity = affinity{2, 3}}); });
  CHECK(says(disjoint, "2 workers"));
  const std::string contradiction = message_of<std::invalid_argument>(
      [&] { rt.spawn(my_name(), {.affinity = affinity{0}, .core = 1}); });
  CHECK(says(contradiction, "leaves out"));
  CHECK(rt.stats().total.spawned == 0);
  CHECK(rt.spawn(my_name(), {.name = "in", .affinity = affinity{1, 9}}).join() == "in");
}
