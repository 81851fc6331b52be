// SPDX-License-Identifier: BSL-1.0
// Waiting, stopping, reading and ending while allocations fail, one after the other (failure L7).
// Most of it allocates nothing at all, which the last test pins down.
#include <array>
#include <iterator>
#include <optional>
#include <sstream>
#include <thread>

#include "scenario.hpp"

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

task<> for_ever() { co_await sleep_for(std::chrono::hours(1)); }

/// Joins a task that must have been cancelled.
int cancelled(join_handle<>& handle) {
  try {
    handle.join();
  } catch (const operation_cancelled&) {
    return 42;
  }
  return 0;
}

int sleeping(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    co_await sleep_for(std::chrono::microseconds(5));
    co_await sleep_until(std::chrono::steady_clock::now() + std::chrono::microseconds(5));
    co_await sleep_for(std::chrono::seconds(0));
    co_return 42;
  });
}

int waiting_for_a_wake(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    bool ready = false;
    co_await suspend_until([&ready]() noexcept { return ready; },
                           [&ready](waker self) {
                             ready = true;
                             self.wake();
                           });
    co_return 42;
  });
}

int joining_inside(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    join_handle<int> early = spawn(forty_two());
    while (!early.done()) co_await yield();
    join_handle<int> late = spawn(forty_two());
    const int sum = co_await std::move(early) + 0;
    co_return (sum + co_await std::move(late)) / 2;
  });
}

int stopping_by_handle(Stage& stage) {
  join_handle<> handle = stage.rt.spawn(for_ever(), {.name = kLongName});
  stage.armed();
  handle.request_stop();
  return cancelled(handle);
}

int stopping_by_token(Stage& stage) {
  std::stop_source source;
  std::array<join_handle<>, 3> handles;
  for (auto& each : handles) {
    each = stage.rt.spawn(for_ever(), {.stop_token = source.get_token()});
  }
  stage.armed();
  source.request_stop();
  int stopped = 0;
  for (auto& each : handles) stopped += cancelled(each);
  return stopped / 3;
}

int stopping_what_has_a_token_out(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    auto child = []() -> task<int> {
      const std::stop_token token = this_task::stop_token();
      std::atomic<int> called{0};  // by whoever requests the stop
      const std::stop_callback callback(token, [&called] { called = 42; });
      try {
        co_await sleep_for(std::chrono::hours(1));
      } catch (const operation_cancelled&) {
      }
      while (called == 0) std::this_thread::yield();  // the task may go on before it is called
      co_return called.load();
    };
    join_handle<int> handle = spawn(child());
    co_await yield();
    handle.request_stop();
    co_return co_await std::move(handle);
  });
}

int stopping_a_group(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    auto fails = []() -> task<> {
      co_await yield();
      throw 42;
    };
    int caught = 0;
    try {
      co_await when_all(for_ever(), fails(), for_ever());
    } catch (int value) {
      caught = value;
    }
    co_return caught;
  });
}

int stopping_a_runtime(Stage& stage) {
  std::optional<runtime> mortal(std::in_place, workers(2));
  std::array<join_handle<>, 3> handles;
  for (auto& each : handles) each = mortal->spawn(for_ever(), {.name = kLongName});
  stage.armed();
  mortal->request_stop();
  mortal.reset();
  int stopped = 0;
  for (auto& each : handles) stopped += cancelled(each);
  return stopped / 3;
}

int refused_after_stop(Stage& stage) {
  runtime mortal(one_worker());
  mortal.request_stop();
  task<int> late = forty_two();
  stage.armed();
  int told = 0;
  try {
    mortal.spawn(std::move(late), {.name = kLongName}).detach();
  } catch (const runtime_stopped&) {
    told = 42;
  }
  return told;
}

int misused(Stage& stage) {
  task<int> good = forty_two();
  stage.armed();
  int told = 0;
  try {
    stage.rt.spawn(std::move(good), {.core = 1'000});
  } catch (const std::invalid_argument&) {
    told = 42;
  }
  return told;
}

int reading(Stage& stage) {
  Gate gate;
  auto body = [&gate]() -> task<int> {
    co_await gate.pass();
    co_return this_task::name() == kLongName ? 42 : 0;
  };
  join_handle<int> waiting = stage.rt.spawn({.name = kLongName}, body);
  eventually("it waits", [&] { return gate.arrived() == 1; });
  std::exception_ptr failure;
  stage.armed();
  try {
    for (int i = 0; i < 3; ++i) (void)stage.rt.stats();
    const scheduler where = stage.rt.get_scheduler();
    const scheduler copy = where;
    std::ostringstream out;
    stage.rt.dump_tasks(out);
  } catch (...) {
    failure = std::current_exception();
  }
  stage.disarmed();
  gate.open();
  const int value = waiting.join();
  if (failure) std::rethrow_exception(failure);
  return value;
}

int trimming(Stage& stage) {
  stage.armed();
  stage.rt.trim();
  stage.rt.wait_idle();
  const int value = stage.rt.block_on(forty_two());
  stage.rt.trim();
  return value;
}

const Scenario scenarios[] = {
    {"sleep_for and sleep_until", sleeping},
    {"suspend_until and a wake", waiting_for_a_wake},
    {"join from inside", joining_inside},
    {"request_stop through a handle", stopping_by_handle},
    {"request_stop of a source", stopping_by_token},
    {"a stop_callback on the task's own token", stopping_what_has_a_token_out},
    {"a group that fails", stopping_a_group},
    {"request_stop and end of a runtime", stopping_a_runtime},
    {"a spawn after stop", refused_after_stop},
    {"a spawn with bad options", misused},
    {"dump_tasks, stats, schedulers, names", reading},
    {"trim and wait_idle", trimming},
};

}  // namespace

TEST_CASE("waits, stops, reads and ends survive the failure of any allocation and leak nothing") {
  CHECK(expect_survival(scenarios) > 0);
}

TEST_CASE("what waits or stops needs no memory: it works when there is none left at all") {
  runtime rt(workers(2));
  Gate gate;
  std::stop_source source;
  auto waits = [&gate]() -> task<int> {
    co_await sleep_for(std::chrono::microseconds(1));
    co_await yield();
    co_await gate.pass();
    co_await sleep_for(std::chrono::microseconds(1));
    co_return 42;
  };
  std::vector<join_handle<int>> waiting;
  std::vector<join_handle<>> stopped;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(rt.spawn({}, waits));
    stopped.push_back(rt.spawn(for_ever()));
    stopped.push_back(rt.spawn(for_ever(), {.stop_token = source.get_token()}));
  }
  eventually("all have come to the gate", [&] { return gate.arrived() == waiting.size(); });
  int sum = 0;
  int ended = 0;
  {
    const fault::Armed nothing_left(Call::allocation, 1, ENOMEM, true);
    source.request_stop();
    for (auto& each : stopped) each.request_stop();
    gate.open();
    for (auto& each : waiting) sum += each.join();
    for (auto& each : stopped) ended += cancelled(each);
    rt.wait_idle();
    rt.request_stop();
  }
  CHECK(sum == 10 * 42);
  CHECK(ended == 20 * 42);
  CHECK(rt.stats().live == 0);
}
