// SPDX-License-Identifier: BSL-1.0
// task_group: names and shares, who belongs to a group, what refuses, and what a runtime does with
// many of them.
#include <atomic>
#include <chrono>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

task<std::string> my_group() { co_return std::string(this_task::group()); }
task<std::string> of_a_child() {
  auto child = spawn(my_group());
  co_return co_await std::move(child);
}
task<> waits(Gate& gate) { co_await gate.pass(); }

task<> works(std::atomic<std::uint64_t>& done, const std::atomic<bool>& stop) {
  while (!stop.load()) {
    done.fetch_add(1);
    co_await yield();
  }
}

}  // namespace

TEST_CASE("a group has a name of 1 to 255 bytes and shares of 1 to 10,000") {
  const task_group usual("usual");
  CHECK(usual.name() == "usual");
  CHECK(usual.options().shares == 100);
  CHECK(!usual.options().fair);
  const std::string longest(255, 'g');
  const task_group other(longest, {.shares = 10'000, .fair = true});
  CHECK(other.name() == longest);
  CHECK(other.options().shares == 10'000);
  CHECK(other.options().fair);

  CHECK(says(message_of<std::invalid_argument>([] { task_group(""); }), "without a name"));
  const std::string huge(10'000, 'g');
  const std::string message = message_of<std::invalid_argument>([&] { task_group{huge}; });
  CHECK(says(message, "10000"));
  CHECK(says(message, "255"));
  for (const std::uint32_t shares : {0u, 10'001u, ~0u}) {
    const std::string text =
        message_of<std::invalid_argument>([&] { task_group("bad", {.shares = shares}); });
    CHECK(says(text, std::to_string(shares)));
    CHECK(says(text, "1 to 10000"));
    CHECK(says(text, "bad"));
  }
}

TEST_CASE("copies of a handle are the same group, equal names are not") {
  const task_group first("one");
  task_group copy = first;
  const task_group second("one");
  CHECK(copy == first);
  CHECK(!(first == second));
  copy = second;
  CHECK(copy == second);
  const task_group& self = copy;
  copy = self;
  CHECK(copy.name() == "one");
  const task_group moved = std::move(copy);
  CHECK(moved == second);
  CHECK(copy == second);  // NOLINT: moving is copying
}

TEST_CASE("a task belongs to the group it was spawned with, and hands it on") {
  runtime rt(workers(2));
  const task_group group("render");
  CHECK(rt.spawn(my_group()).join().empty());
  CHECK(rt.spawn(my_group(), {.group = group}).join() == "render");
  CHECK(rt.spawn(of_a_child(), {.group = group}).join() == "render");
  CHECK(rt.spawn(my_group(), {.group = group, .core = 1}).join() == "render");
  // By await, by when_all, by a change of class and of group.
  const auto all = [](const task_group& another) -> task<std::vector<std::string>> {
    std::vector<std::string> seen;
    seen.push_back(co_await my_group());
    auto [left, right] = co_await when_all(my_group(), of_a_child());
    seen.push_back(left);
    seen.push_back(right);
    this_task::set_qos(qos::utility);
    co_await yield();
    seen.push_back(std::string(this_task::group()));
    auto child = spawn(of_a_child());
    seen.push_back(co_await std::move(child));
    auto stranger = spawn(of_a_child(), {.group = another});
    seen.push_back(co_await std::move(stranger));
    co_return seen;
  };
  const task_group other("other");
  const std::vector<std::string> seen =
      rt.spawn({.group = group}, [&] { return all(other); }).join();
  const std::vector<std::string> wanted{"render", "render", "render", "render", "render", "other"};
  CHECK(seen == wanted);
  CHECK_THROWS_AS(this_task::group(), std::logic_error);
  CHECK(rt.block_on(my_group()).empty());
}

TEST_CASE("a group in the options of a spawn inside co_await is released once") {
  runtime rt(one_worker());
  std::optional<task_group> group(std::in_place, "temporary");
  const auto body = [](const task_group& its) -> task<std::string> {
    const std::string first = co_await spawn(my_group(), {.group = its});
    co_return first + co_await spawn(my_group(), {.name = "named", .group = task_group("inner")});
  };
  CHECK(rt.spawn({}, [&] { return body(*group); }).join() == "temporaryinner");
  group.reset();
  spawn_options options{.group = task_group("kept")};
  spawn_options copy = options;
  options = copy;
  CHECK(rt.spawn(my_group(), copy).join() == "kept");
  CHECK(rt.spawn(my_group(), options).join() == "kept");
}

TEST_CASE("a group whose handle is gone lives on with its tasks") {
  Gate gate;
  runtime rt(one_worker());
  std::vector<join_handle<std::string>> handles;
  {
    const task_group group("orphan");
    for (int i = 0; i < 3; ++i) {
      handles.push_back(rt.spawn({.group = group}, [&gate]() -> task<std::string> {
        co_await gate.pass();
        co_return co_await of_a_child();
      }));
    }
  }
  gate.open();
  for (auto& each : handles) CHECK(each.join() == "orphan");
}

TEST_CASE("a group serves one runtime until that ends") {
  const task_group group("mine");
  runtime second(one_worker());
  {
    runtime first(one_worker());
    CHECK(first.spawn(my_group(), {.group = group}).join() == "mine");
    const std::string message =
        message_of<std::logic_error>([&] { second.spawn(my_group(), {.group = group}); });
    CHECK(says(message, "mine"));
    CHECK(says(message, "another runtime"));
    CHECK(second.stats().total.spawned == 0);
  }
  CHECK(second.spawn(my_group(), {.group = group}).join() == "mine");
}

TEST_CASE("a task that moves to another runtime leaves its group for good") {
  runtime first(one_worker());
  runtime second(one_worker());
  const task_group group("left behind");
  const auto moves = [](scheduler there, scheduler back) -> task<std::string> {
    std::string seen = std::string(this_task::group());
    for (const scheduler& where : {there, back}) {
      co_await where.schedule();
      auto child = spawn(my_group());
      seen += '/';
      seen += this_task::group();
      seen += co_await std::move(child);
    }
    co_return seen;
  };
  auto moving = first.spawn(moves(second.get_scheduler(), first.get_scheduler()), {.group = group});
  CHECK(moving.join() == "left behind//");
}

TEST_CASE("sixty-three groups fit, a further one is refused, and places of the dead are free") {
  Gate gate;
  runtime rt(one_worker());
  std::vector<task_group> groups;
  for (int i = 0; i < 63; ++i) {
    groups.emplace_back("group " + std::to_string(i));
    CHECK(rt.spawn(my_group(), {.group = groups.back()}).join() == groups.back().name());
  }
  const task_group further("further");
  const std::string message =
      message_of<std::length_error>([&] { rt.spawn(my_group(), {.group = further}); });
  CHECK(says(message, "further"));
  CHECK(says(message, "63"));
  // A handle holds a place, and so does a task.
  join_handle<> waiting = rt.spawn(waits(gate), {.group = groups[7]});
  groups.erase(groups.begin() + 7);
  CHECK_THROWS_AS(rt.spawn(my_group(), {.group = further}), std::length_error);
  groups.erase(groups.begin() + 20);
  CHECK(rt.spawn(my_group(), {.group = further}).join() == "further");
  CHECK_THROWS_AS(rt.spawn(my_group(), {.group = task_group("more")}), std::length_error);
  gate.open();
  waiting.join();
  CHECK(rt.spawn(my_group(), {.group = task_group("more")}).join() == "more");
  CHECK(rt.spawn(my_group(), {.group = groups.front()}).join() == "group 0");
}

TEST_CASE("thousands of short-lived groups come and go, with children on several workers") {
  runtime rt(workers(2));
  for (int i = 0; i < 2'000; ++i) {
    const std::string name = "request " + std::to_string(i);
    CHECK(rt.spawn(of_a_child(), {.group = task_group(name)}).join() == name);
  }
  CHECK(rt.stats().live == 0);
}

TEST_CASE(
    "places change hands while tasks without handles go on, and nobody is in another's group") {
  runtime rt(workers(2));
  std::vector<task_group> keep_places;
  for (int i = 0; i < 61; ++i) {
    keep_places.emplace_back("kept");
    rt.spawn(my_group(), {.group = keep_places.back()}).join();
  }
  // Two places for four threads: they take each other's as soon as nobody has them.
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&rt, &wrong, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string name = std::to_string(t) + " " + std::to_string(i);
        std::optional<task_group> group(std::in_place, name);
        try {
          if (rt.spawn(my_group(), {.group = *group}).join() != name) ++wrong;
        } catch (const std::length_error&) {
          continue;
        }
        auto last = rt.spawn(of_a_child(), {.group = *group});
        group.reset();
        if (last.join() != name) ++wrong;
      }
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(wrong == 0);
}

TEST_CASE("threads that spawn into a new group at the same time all find it") {
  runtime rt(workers(2));
  for (int round = 0; round < 200; ++round) {
    const task_group group("shared");
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        if (rt.spawn(my_group(), {.group = group}).join() == "shared") ++right;
      });
    }
    for (std::thread& each : threads) each.join();
    CHECK(right == 3);
  }
}

TEST_CASE("a group that two runtimes want at the same time serves one of them") {
  runtime first(one_worker());
  runtime second(one_worker());
  for (int round = 0; round < 200; ++round) {
    const task_group group("wanted");
    std::atomic<int> served{0};
    std::atomic<int> refused{0};
    const auto wants = [&](runtime& rt) {
      try {
        if (rt.spawn(my_group(), {.group = group}).join() == "wanted") ++served;
      } catch (const std::logic_error&) {
        ++refused;
      }
    };
    std::thread other([&] { wants(second); });
    wants(first);
    other.join();
    CHECK(served == 1);
    CHECK(refused == 1);
  }
  // Whoever was refused has kept no place for it.
  for (runtime* rt : {&first, &second}) {
    std::vector<task_group> groups;
    for (int i = 0; i < 63; ++i) {
      groups.emplace_back("group");
      CHECK(rt->spawn(my_group(), {.group = groups.back()}).join() == "group");
    }
  }
}

TEST_CASE("a dump tells the group of each task") {
  Gate gate;
  runtime rt(one_worker());
  const task_group group("search");
  join_handle<> grouped = rt.spawn(waits(gate), {.name = "in", .group = group});
  join_handle<> alone = rt.spawn(waits(gate), {.name = "out"});
  eventually("both tasks wait", [&] { return gate.arrived() == 2; });
  std::ostringstream out;
  rt.dump_tasks(out);
  CHECK(times(out.str(), "group search") == 1);
  CHECK(times(out.str(), "2 live tasks") == 1);
  gate.open();
  grouped.join();
  alone.join();
}

TEST_CASE("stopping a runtime reaches the tasks of groups") {
  Gate never;
  std::atomic<int> cancelled{0};
  {
    runtime rt(workers(2));
    const task_group group("stopped");
    for (int i = 0; i < 100; ++i) {
      rt.spawn({.group = group}, [&]() -> task<> {
          try {
            co_await never.pass();
          } catch (const operation_cancelled&) {
            cancelled.fetch_add(1);
            throw;
          }
        }).detach();
    }
    eventually("all tasks wait", [&] { return never.arrived() == 100; });
  }
  CHECK(cancelled == 100);
}

TEST_CASE("idle workers take tasks of a group") {
  runtime rt(workers(2));
  const task_group group("busy");
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> done{0};
  // The first task keeps its worker for itself; who wants to run must be stolen.
  join_handle<> keeper = rt.spawn({.group = group, .core = 0}, [&]() -> task<> {
    auto child = spawn(works(done, stop));
    auto other = spawn(works(done, stop));
    while (done.load() < 1'000) {
    }
    stop = true;
    co_await std::move(child);
    co_await std::move(other);
  });
  keeper.join();
  CHECK(done >= 1'000);
  CHECK(rt.stats().total.tasks_stolen >= 1);
}

TEST_CASE("groups with many tasks and one with few all finish, preempted and stolen") {
  runtime_options options = workers(2);
  options.slice = 100us;
  runtime rt(options);
  std::vector<join_handle<int>> handles;
  const std::vector<task_group> groups{task_group("a", {.shares = 1}), task_group("b"),
                                       task_group("c", {.fair = true})};
  for (int i = 0; i < 300; ++i) {
    spawn_options spawning{.qos = i % 2 == 0 ? qos::standard : qos::utility};
    if (i % 4 != 3) spawning.group = groups[static_cast<std::size_t>(i % 4)];
    handles.push_back(rt.spawn(spawning, [i]() -> task<int> {
      int sum = 0;
      for (int round = 0; round < 20; ++round) {
        for (int spin = 0; spin < 200 * (i % 7); ++spin) {
          sum += spin % 3;
          preempt_point();
        }
        co_await yield();
        auto [one, two] = co_await when_all(forty_two(), forty_two());
        if (one + two != 84) throw std::logic_error("wrong");
      }
      co_return sum >= 0 ? 1 : 0;
    }));
  }
  int ended = 0;
  for (auto& each : handles) ended += each.join();
  CHECK(ended == 300);
  CHECK(rt.stats().live == 0);
}
