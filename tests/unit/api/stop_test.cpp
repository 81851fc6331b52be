// SPDX-License-Identifier: BSL-1.0
// Stop requests reach every suspension: a scripted task is stopped before and at each of its steps,
// through its handle, through an external token, and by stopping its runtime.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <functional>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

/// What a script runs in.
struct Scene {
  runtime& rt;
  Gate closed{};  // stays closed
  std::stop_source source{};
  std::atomic<std::size_t> step{0};  // the step the task is in, or about to enter
  std::atomic<bool> all_passed{false};
};

/// One suspension. `blocks`: it lasts until the task is asked to stop; else it ends by itself.
using Step = std::function<task<>(Scene&, bool blocks)>;

task<> wait_forever() { co_await sleep_for(std::chrono::hours(1)); }
task<> nothing() { co_return; }

struct NamedStep {
  const char* name;
  Step run;
};

task<> yield_step(Scene& scene, bool blocks) {
  do {
    co_await yield();
  } while (blocks && scene.step.load() != 0);
}
task<> sleep_step(Scene&, bool blocks) {
  co_await sleep_for(blocks ? std::chrono::nanoseconds::max() : std::chrono::nanoseconds(1));
}
task<> no_sleep_step(Scene& scene, bool blocks) {
  do {
    co_await sleep_for(std::chrono::seconds(0));
  } while (blocks && scene.step.load() != 0);
}
task<> sleep_until_step(Scene&, bool blocks) {
  const auto now = std::chrono::steady_clock::now();
  co_await sleep_until(blocks ? now + std::chrono::hours(1) : now);
}
task<> gate_step(Scene& scene, bool blocks) {
  if (blocks) {
    co_await scene.closed.pass();
    co_return;
  }
  bool ready = false;
  co_await suspend_until([&ready]() noexcept { return ready; },
                         [&ready](waker self) {
                           ready = true;
                           self.wake();
                         });
}
task<> join_step(Scene& scene, bool blocks) {
  join_handle<> child = blocks ? scene.rt.spawn(gate_step(scene, true)) : spawn(nothing());
  co_await std::move(child);
}
task<> group_step(Scene&, bool blocks) {
  if (blocks) {
    co_await when_all(wait_forever(), wait_forever());
  } else {
    co_await when_all(nothing(), nothing());
  }
}
task<> schedule_step(Scene& scene, bool blocks) {
  do {
    co_await resume_on(scene.rt.get_scheduler());
  } while (blocks && scene.step.load() != 0);
}
task<> nested_step(Scene& scene, bool blocks) { co_await sleep_step(scene, blocks); }

const std::vector<NamedStep>& all_steps() {
  static const std::vector<NamedStep> steps = {
      {"yield", yield_step},
      {"sleep", sleep_step},
      {"sleep of no time", no_sleep_step},
      {"sleep_until", sleep_until_step},
      {"suspend_until", gate_step},
      {"join", join_step},
      {"when_all", group_step},
      {"schedule", schedule_step},
      {"a nested task", nested_step},
  };
  return steps;
}

/// The scripted task: passes `stop_at` steps, then blocks in the next one. Step numbers start at 1.
task<> script(Scene& scene, std::size_t stop_at) {
  for (std::size_t i = 1; i <= all_steps().size(); ++i) {
    scene.step = i;
    co_await all_steps()[i - 1].run(scene, i == stop_at);
  }
  scene.all_passed = true;
}

/// The same, but asks for its own stop just before step `stop_at`.
task<> script_stopped_before(Scene& scene, std::size_t stop_at) {
  for (std::size_t i = 1; i <= all_steps().size(); ++i) {
    if (i == stop_at) scene.source.request_stop();
    scene.step = i;
    co_await all_steps()[i - 1].run(scene, false);
  }
  scene.all_passed = true;
}

enum class Way { handle, token, runtime };

void stop_at_step(std::size_t step, Way way) {
  INFO("stopped at step " << step << ", " << all_steps()[step - 1].name);
  runtime rt(one_worker());
  Scene scene{.rt = rt};
  join_handle<> handle = rt.spawn(script(scene, step), {.stop_token = scene.source.get_token()});
  // The join step spawns its child first, which a runtime that was asked to stop would refuse.
  const bool joins = std::string_view(all_steps()[step - 1].name) == "join";
  eventually("the step is reached",
             [&] { return scene.step == step && (!joins || scene.closed.arrived() == 1); });
  switch (way) {
    case Way::handle: handle.request_stop(); break;
    case Way::token: scene.source.request_stop(); break;
    case Way::runtime: rt.request_stop(); break;
  }
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
  CHECK(scene.step.load() == step);
  CHECK_FALSE(scene.all_passed.load());
  scene.closed.open();  // for the child of the join step, which nobody stopped
  rt.wait_idle();
}

}  // namespace

TEST_CASE("the script passes all its steps when nobody stops it") {
  runtime rt(one_worker());
  Scene scene{.rt = rt};
  rt.spawn(script(scene, 0)).join();
  CHECK(scene.all_passed.load());
}

TEST_CASE("a task is stopped at every step, through its handle") {
  for (std::size_t step = 1; step <= all_steps().size(); ++step) stop_at_step(step, Way::handle);
}

TEST_CASE("a task is stopped at every step, through an external token") {
  for (std::size_t step = 1; step <= all_steps().size(); ++step) stop_at_step(step, Way::token);
}

TEST_CASE("a task is stopped at every step, by stopping its runtime") {
  for (std::size_t step = 1; step <= all_steps().size(); ++step) stop_at_step(step, Way::runtime);
}

TEST_CASE("a task that was asked to stop before a step does not pass it") {
  for (std::size_t step = 1; step <= all_steps().size(); ++step) {
    INFO("stopped before step " << step << ", " << all_steps()[step - 1].name);
    runtime rt(one_worker());
    Scene scene{.rt = rt};
    join_handle<> handle =
        rt.spawn(script_stopped_before(scene, step), {.stop_token = scene.source.get_token()});
    CHECK_THROWS_AS(handle.join(), operation_cancelled);
    CHECK(scene.step.load() == step);
    CHECK_FALSE(scene.all_passed.load());
  }
}

TEST_CASE("a task may catch the cancellation, clean up without waiting, and end with a value") {
  runtime rt(one_worker());
  auto body = []() -> task<int> {
    int caught = 0;
    for (int i = 0; i < 3; ++i) {
      try {
        co_await sleep_for(std::chrono::hours(1));
      } catch (const operation_cancelled&) {
        ++caught;  // every further wait is cancelled too
      }
    }
    co_return caught;
  };
  join_handle<int> handle = rt.spawn(body());
  handle.request_stop();
  CHECK(handle.join() == 3);
}

TEST_CASE("a task that only computes is not disturbed by a stop request") {
  runtime rt(one_worker());
  std::stop_source source;
  auto body = [&source]() -> task<int> {
    source.request_stop();
    auto child = []() -> task<int> { co_return 5; };
    co_return co_await child();
  };
  CHECK(rt.spawn({.stop_token = source.get_token()}, body).join() == 5);
}

TEST_CASE("what is ready needs no suspension: its value arrives though stop was requested") {
  runtime rt(one_worker());
  std::stop_source source;
  auto body = [&source]() -> task<int> {
    join_handle<int> child = spawn(forty_two());
    while (!child.done()) co_await yield();
    Gate open;
    open.open();
    source.request_stop();
    co_await open.pass();
    co_return co_await std::move(child);
  };
  CHECK(rt.spawn({.stop_token = source.get_token()}, body).join() == 42);
}

TEST_CASE("a foreign awaitable cannot be cancelled: the stop waits for its end") {
  runtime rt(one_worker());
  Parked parked;
  auto body = [&parked]() -> task<int> {
    co_await parked;
    const bool stopped = this_task::stop_token().stop_requested();
    if (!stopped) co_return 0;
    co_await yield();
    co_return 1;
  };
  join_handle<int> handle = rt.spawn({}, body);
  eventually("it waits", [&] { return parked.waits(); });
  handle.request_stop();
  CHECK(rt.block_on(forty_two()) == 42);
  CHECK_FALSE(handle.done());
  parked.resume();
  CHECK_THROWS_AS(handle.join(), operation_cancelled);
}

TEST_CASE("a stop callback runs in no task, though it runs between two polls of others") {
  runtime rt(runtime_options{.workers = 1});
  std::atomic<bool> waits{false};
  std::atomic<int> inside{0};
  std::atomic<int> called{0};
  const auto child = [&]() -> task<int> {
    const std::stop_callback on_stop(this_task::stop_token(), [&]() noexcept {
      ++called;
      try {
        static_cast<void>(this_task::id());
        ++inside;
      } catch (const std::logic_error&) {
      }
    });
    waits = true;
    co_await sleep_for(std::chrono::hours(1));
    co_return 1;
  };
  // It waits in when_all, whose withdrawal stops the child.
  const auto parent = [&]() -> task<> { static_cast<void>(co_await when_all(child(), child())); };
  const auto stops = [&]() -> task<> {
    auto stopped = spawn(parent());
    while (!waits) co_await yield();
    stopped.request_stop();
    while (called < 2) co_await yield();
    CHECK_THROWS_AS(co_await std::move(stopped), operation_cancelled);
  };
  rt.spawn(stops()).join();
  CHECK(called == 2);
  CHECK(inside == 0);
}

TEST_CASE("one token stops thousands of tasks in every kind of wait") {
  runtime rt(workers(2));
  Scene scene{.rt = rt};
  scene.step = 1;
  constexpr int kEach = kSanitized ? 30 : 200;
  std::vector<join_handle<>> handles;
  for (int i = 0; i < kEach; ++i) {
    for (const NamedStep& step : all_steps()) {
      handles.push_back(rt.spawn(step.run(scene, true), {.stop_token = scene.source.get_token()}));
    }
  }
  scene.source.request_stop();
  int cancelled = 0;
  for (auto& handle : handles) {
    try {
      handle.join();
    } catch (const operation_cancelled&) {
      ++cancelled;
    }
  }
  CHECK(cancelled == static_cast<int>(handles.size()));
  scene.closed.open();
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
}
