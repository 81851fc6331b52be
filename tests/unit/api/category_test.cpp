// SPDX-License-Identifier: BSL-1.0
// Categories: which class they stand for, and that the class before comes back.
#include "fixtures.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

task<qos> my_class() { co_return this_task::qos(); }

task<qos> after_a_yield() {
  co_await yield();
  co_return this_task::qos();
}

task<qos> throws() {
  co_await yield();
  throw std::runtime_error("the child's");
}

constexpr task_category kAll[] = {task_category::performance_critical,
                                  task_category::latency_sensitive, task_category::batch_processing,
                                  task_category::background_cleanup};
constexpr qos kMeant[] = {qos::user_initiated, qos::user_interactive, qos::utility,
                          qos::background};
constexpr auto kNoCategory = static_cast<task_category>(4);

}  // namespace

TEST_CASE("a task goes on in the class of the category it takes") {
  runtime rt(one_worker());
  for (int i = 0; i < 4; ++i) {
    const auto body = [](task_category category) -> task<qos> {
      co_await with_category(category);
      co_return this_task::qos();
    };
    CHECK(rt.spawn(body(kAll[i])).join() == kMeant[i]);
  }
}

TEST_CASE("a child runs under its category, and so does what it spawns; then the class is back") {
  runtime rt(workers(2));
  for (int i = 0; i < 4; ++i) {
    const auto child = []() -> task<std::pair<qos, qos>> {
      const qos own = co_await after_a_yield();
      join_handle<qos> spawned = spawn(my_class());
      const qos inherited = co_await std::move(spawned);
      co_return std::pair(own, inherited);
    };
    const auto body = [&](task_category category) -> task<std::pair<qos, qos>> {
      const auto seen = co_await with_category(category, child());
      if (this_task::qos() != qos::standard) throw std::logic_error("the class is not back");
      co_return seen;
    };
    const auto [own, inherited] = rt.spawn(body(kAll[i])).join();
    CHECK(own == kMeant[i]);
    CHECK(inherited == kMeant[i]);
  }
}

TEST_CASE("statement 67: when what runs under a category throws, the class before is back") {
  runtime rt(one_worker());
  const auto body = []() -> task<std::vector<qos>> {
    std::vector<qos> seen;
    try {
      co_await with_category(task_category::background_cleanup, throws());
    } catch (const std::runtime_error&) {
      seen.push_back(this_task::qos());
    }
    const big_little_scheduler scheduler;
    try {
      scheduler.schedule_task(task_category::latency_sensitive, [&] {
        seen.push_back(this_task::qos());
        throw std::runtime_error("the function's");
      });
    } catch (const std::runtime_error&) {
      seen.push_back(this_task::qos());
    }
    co_await yield();
    seen.push_back(this_task::qos());
    co_return seen;
  };
  const auto seen = rt.spawn(body(), {.qos = qos::utility}).join();
  CHECK(seen == std::vector{qos::utility, qos::user_interactive, qos::utility, qos::utility});
}

TEST_CASE("statement 67: nested categories come back in order") {
  runtime rt(one_worker());
  const auto body = []() -> task<std::vector<qos>> {
    std::vector<qos> seen;
    const big_little_scheduler outer;
    outer.schedule_task(task_category::performance_critical, [&] {
      seen.push_back(this_task::qos());
      outer.schedule_task(task_category::background_cleanup, [&] {
        seen.push_back(this_task::qos());
        outer.schedule_task(task_category::background_cleanup,
                            [&] { seen.push_back(this_task::qos()); });
        seen.push_back(this_task::qos());
      });
      seen.push_back(this_task::qos());
    });
    seen.push_back(this_task::qos());
    const auto inner = [&]() -> task<> {
      seen.push_back(co_await with_category(task_category::batch_processing, after_a_yield()));
      seen.push_back(this_task::qos());
    };
    co_await with_category(task_category::latency_sensitive, inner());
    seen.push_back(this_task::qos());
    co_return seen;
  };
  CHECK(rt.spawn(body()).join() == std::vector{qos::user_initiated, qos::background,
                                               qos::background, qos::background,
                                               qos::user_initiated, qos::standard, qos::utility,
                                               qos::user_interactive, qos::standard});
}

TEST_CASE("schedule_task gives the function's result, of any kind") {
  runtime rt(one_worker());
  const auto body = []() -> task<int> {
    const big_little_scheduler scheduler({.batch_processing = qos::urgent});
    int number = 1;
    int& same =
        scheduler.schedule_task(task_category::batch_processing, [&]() -> int& { return number; });
    same += scheduler.schedule_task(task_category::batch_processing,
                                    [] { return this_task::qos() == qos::urgent ? 10 : 0; });
    const qos of_task =
        co_await scheduler.schedule_task(task_category::batch_processing, after_a_yield);
    if (of_task == qos::urgent && this_task::qos() == qos::standard) same += 100;
    co_return number;
  };
  CHECK(rt.spawn(body()).join() == 111);
}

TEST_CASE("a stop request ends the wait for the category's turn and the child's, class restored") {
  runtime rt(one_worker());
  Gate never;
  std::atomic<bool> restored{false};
  const auto waits = [&]() -> task<> { co_await never.pass(); };
  const auto body = [&]() -> task<> {
    bool cancelled = false;
    try {
      co_await with_category(task_category::background_cleanup, waits());
    } catch (const operation_cancelled&) {
      cancelled = true;
    }
    restored = cancelled && this_task::qos() == qos::standard;
    co_await with_category(task_category::batch_processing);
  };
  join_handle<> handle = rt.spawn(body());
  eventually("the child waits", [&] { return never.arrived() == 1; });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(restored.load());
}

TEST_CASE("outside a task, without a task or with no such category it is an error that says so") {
  const big_little_scheduler scheduler;
  bool called = false;
  const auto f = [&] { called = true; };
  CHECK(says(message_of<std::logic_error>(
                 [&] { scheduler.schedule_task(task_category::batch_processing, f); }),
             "this_task"));
  CHECK(says(message_of<std::invalid_argument>([&] { scheduler.schedule_task(kNoCategory, f); }),
             "task_category"));
  CHECK(says(message_of<std::invalid_argument>([&] { with_category(kNoCategory); }),
             "task_category"));
  CHECK_FALSE(called);
  runtime rt(one_worker());
  const auto empty = []() -> task<qos> {
    co_return co_await with_category(task_category::batch_processing, task<qos>());
  };
  CHECK_THROWS_AS(rt.spawn(empty()).join(), std::invalid_argument);
  const auto bad_table = [&]() -> task<qos> {
    const big_little_scheduler wrong({.background_cleanup = static_cast<qos>(77)});
    try {
      wrong.schedule_task(task_category::background_cleanup, f);
    } catch (const std::invalid_argument&) {
      co_return this_task::qos();
    }
    co_return qos::urgent;
  };
  CHECK(rt.spawn(bad_table()).join() == qos::standard);
  CHECK_FALSE(called);
}

TEST_CASE("a runtime that stops ends a child under its category, and leaves nothing of it") {
  std::atomic<int> live{0};
  {
    runtime rt(workers(2));
    const auto child = [](Counted) -> task<> { co_await sleep_for(std::chrono::hours(1)); };
    const auto body = [&]() -> task<> {
      co_await with_category(task_category::background_cleanup, child(Counted(live)));
    };
    join_handle<> handle = rt.spawn(body());
    rt.request_stop();
    CHECK_THROWS_AS(handle.join(), operation_cancelled);
  }
  CHECK(live.load() == 0);
}
