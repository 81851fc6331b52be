// SPDX-License-Identifier: BSL-1.0
// this_task and yield: what a task may ask about itself, change, and hand out.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <set>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

/// Calls every function of this_task; the messages of those that threw std::logic_error.
std::vector<std::string> refusals() {
  std::vector<std::string> messages;
  const auto attempt = [&](auto call) { messages.push_back(message_of<std::logic_error>(call)); };
  attempt([] { (void)this_task::id(); });
  attempt([] { (void)this_task::name(); });
  attempt([] { (void)this_task::qos(); });
  attempt([] { (void)this_task::worker(); });
  attempt([] { (void)this_task::stop_token(); });
  attempt([] { (void)this_task::waker(); });
  attempt([] { this_task::set_qos(qos::urgent); });
  return messages;
}

}  // namespace

TEST_CASE("outside a task every question is a logic_error that names the call") {
  std::vector<std::string> messages = refusals();
  const char* names[] = {"id", "name", "qos", "worker", "stop_token", "waker", "set_qos"};
  REQUIRE(messages.size() == std::size(names));
  for (std::size_t i = 0; i < std::size(names); ++i) {
    CHECK(says(messages[i], std::string("this_task::") + names[i]));
    CHECK(says(messages[i], "outside a task"));
  }
  std::thread([&] { messages = refusals(); }).join();
  CHECK(messages.size() == std::size(names));
}

TEST_CASE("a foreign coroutine on a worker is no task either") {
  runtime rt(one_worker());
  std::vector<std::string> messages;
  std::atomic<bool> asked{false};
  const Eager visitor = [](scheduler where, std::vector<std::string>& into,
                           std::atomic<bool>& done) -> Eager {
    co_await where.schedule();
    into = refusals();
    done = true;
  }(rt.get_scheduler(), messages, asked);
  eventually("it has asked", [&] { return asked.load(); });
  CHECK(messages.size() == 7);
  rt.wait_idle();
  visitor.rethrow();
}

TEST_CASE("yield outside a task is a logic_error") {
  const Eager attempt = []() -> Eager { co_await yield(); }();
  REQUIRE(attempt.ended());
  CHECK(says(message_of<std::logic_error>([&] { attempt.rethrow(); }), "yield outside a task"));
}

TEST_CASE("a task knows its id, name, class and worker") {
  runtime rt(workers(2));
  struct Self {
    task_id id;
    std::string name;
    paceline::qos qos;
    std::size_t worker;
  };
  auto ask = []() -> task<Self> {
    co_await yield();
    co_return Self{this_task::id(), std::string(this_task::name()), this_task::qos(),
                   this_task::worker()};
  };
  for (std::size_t core = 0; core < 2; ++core) {
    join_handle<Self> handle =
        rt.spawn(ask(), {.qos = qos::user_initiated, .name = "self-aware", .core = core});
    const task_id id = handle.id();
    const Self self = handle.join();
    CHECK(self.id == id);
    CHECK(self.name == "self-aware");
    CHECK(self.qos == qos::user_initiated);
    CHECK(self.worker == core);
  }
}

TEST_CASE("yield lets every other ready task of the class run once") {
  runtime rt(one_worker());
  const bool fair = rt.block_on([]() -> task<bool> {
    constexpr int kOthers = 100;
    int ran = 0;
    auto other = [&ran] { ++ran; };
    std::vector<join_handle<>> handles;
    for (int i = 0; i < kOthers; ++i) handles.push_back(spawn({}, other));
    const int before = ran;
    co_await yield();
    const bool all = before == 0 && ran == kOthers;
    for (auto& handle : handles) co_await std::move(handle);
    co_return all;
  }());
  CHECK(fair);
}

TEST_CASE("set_qos changes the class from now on and keeps everything else") {
  runtime rt(workers(2));
  auto body = []() -> task<bool> {
    const task_id id = this_task::id();
    bool kept = true;
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < qos_count; ++i) {
        this_task::set_qos(static_cast<qos>(i));
        kept &= this_task::qos() == static_cast<qos>(i);
        co_await yield();
        kept &= this_task::qos() == static_cast<qos>(i) && this_task::id() == id &&
                this_task::name() == "changes" && !this_task::stop_token().stop_requested();
        co_await sleep_for(std::chrono::microseconds(1));
        kept &= this_task::qos() == static_cast<qos>(i);
      }
    }
    this_task::set_qos(this_task::qos());
    co_return kept;
  };
  CHECK(rt.spawn(body(), {.name = "changes"}).join());
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
}

TEST_CASE("set_qos refuses values outside the enum and changes nothing") {
  runtime rt(one_worker());
  rt.block_on([]() -> task<> {
    this_task::set_qos(qos::utility);
    const std::string message = message_of<std::invalid_argument>(
        [] { this_task::set_qos(static_cast<paceline::qos>(6)); });
    CHECK(says(message, "6"));
    CHECK(this_task::qos() == qos::utility);
    co_await yield();
    CHECK(this_task::qos() == qos::utility);
  }());
}

TEST_CASE("a task that changed its class is still stopped and joined through its handle") {
  runtime rt(workers(2));
  std::atomic<bool> changed{false};
  auto body = [&changed]() -> task<> {
    this_task::set_qos(qos::background);
    changed = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  join_handle<> handle = rt.spawn({}, body);
  eventually("it has changed its class", [&] { return changed.load(); });
  handle.request_stop();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("stop requests race with changes of class and are never lost") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 100 : 500;
  auto body = []() -> task<> {
    for (std::size_t i = 0;; ++i) {
      this_task::set_qos(static_cast<qos>(i % qos_count));
      if (i % 7 == 6) co_await sleep_for(std::chrono::hours(1));
    }
  };
  int cancelled = 0;
  for (int i = 0; i < kRounds; ++i) {
    join_handle<> handle = rt.spawn({}, body);
    handle.request_stop();
    try {
      handle.join();
    } catch (const operation_cancelled&) {
      ++cancelled;
    }
  }
  CHECK(cancelled == kRounds);
}

TEST_CASE("the stop token follows the task's own stop request") {
  runtime rt(one_worker());
  std::stop_token token;
  std::atomic<bool> handed{false};
  auto body = [&]() -> task<> {
    token = this_task::stop_token();
    const bool one_state = token == this_task::stop_token();
    handed = true;
    if (one_state) co_await sleep_for(std::chrono::hours(1));
  };
  join_handle<> handle = rt.spawn({}, body);
  eventually("the token is out", [&] { return handed.load(); });
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  std::atomic<int> callbacks{0};
  const std::stop_callback before(token, [&] { ++callbacks; });
  CHECK(handle.request_stop());
  CHECK(token.stop_requested());
  CHECK(callbacks.load() == 1);
  const std::stop_callback after(token, [&] { ++callbacks; });
  CHECK(callbacks.load() == 2);
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(token.stop_requested());  // it may outlive its task
}

TEST_CASE("a token asked for after the stop request is stopped from the start") {
  runtime rt(one_worker());
  auto body = []() -> task<bool> {
    std::stop_token token;
    try {
      co_await sleep_for(std::chrono::hours(1));
    } catch (const operation_cancelled&) {
      token = this_task::stop_token();
    }
    co_return token.stop_requested();
  };
  join_handle<bool> handle = rt.spawn(body());
  handle.request_stop();
  CHECK(handle.join());
}

TEST_CASE("stopping the runtime reaches every token, and those of later tasks not at all") {
  std::stop_token first;
  std::stop_token second;
  std::atomic<int> handed{0};
  auto body = [&handed](std::stop_token& out) -> task<> {
    out = this_task::stop_token();
    ++handed;
    co_await sleep_for(std::chrono::hours(1));
  };
  {
    runtime rt(workers(2));
    rt.spawn({}, body, std::ref(first)).detach();
    rt.spawn({}, body, std::ref(second)).detach();
    eventually("both tokens are out", [&] { return handed == 2; });
    CHECK_FALSE(first.stop_requested());
    rt.request_stop();
    CHECK(first.stop_requested());
    CHECK(second.stop_requested());
  }
  runtime next(one_worker());
  CHECK_FALSE(
      next.block_on([]() -> task<bool> { co_return this_task::stop_token().stop_requested(); }()));
}

TEST_CASE("a task that asks for its token while the runtime stops gets a stopped one or is told") {
  constexpr int kRounds = kSanitized ? 50 : 300;
  int told = 0;
  for (int i = 0; i < kRounds; ++i) {
    runtime rt(workers(2));
    std::atomic<bool> begun{false};
    auto body = [&begun]() -> task<bool> {
      const std::stop_token token = this_task::stop_token();
      begun = true;
      while (!token.stop_requested()) std::this_thread::yield();
      co_return true;
    };
    join_handle<bool> handle = rt.spawn({}, body);
    if (i % 2 == 0) {
      while (!begun) std::this_thread::yield();
    }
    rt.request_stop();
    told += handle.join() ? 1 : 0;
  }
  CHECK(told == kRounds);
}
