// SPDX-License-Identifier: BSL-1.0
// dump_tasks: every live task with name, state, class, worker and what it waits for; also while
// tasks run, end and spawn.
#include "fixtures.hpp"
#include "foreign.hpp"

#include <sstream>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

std::string dump(const runtime& rt) {
  std::ostringstream out;
  rt.dump_tasks(out);
  return out.str();
}

/// The line of the task with that name.
std::string line_of(const std::string& text, std::string_view name) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.find(name) != std::string::npos) return line;
  }
  return {};
}

task<> forever() { co_await sleep_for(std::chrono::hours(1)); }

}  // namespace

TEST_CASE("an idle runtime dumps no task") {
  runtime rt(workers(2));
  CHECK(says(dump(rt), "0 live tasks"));
  rt.block_on(forty_two());
  rt.wait_idle();
  CHECK(says(dump(rt), "0 live tasks"));
}

TEST_CASE("a dump tells what each task waits for") {
  runtime rt(one_worker());
  Gate gate;
  Parked parked;
  auto at_gate = [&gate]() -> task<> { co_await gate.pass(); };
  auto in_group = [&gate]() -> task<> {
    auto child = [](Gate& g) -> task<> { co_await g.pass(); };
    co_await when_all(child(gate), child(gate));
  };
  auto in_join = [&gate]() -> task<> {
    auto child = [](Gate& g) -> task<> { co_await g.pass(); };
    join_handle<> handle = spawn(child(gate), {.name = "joined"});
    co_await std::move(handle);
  };
  auto abroad = [&parked]() -> task<> { co_await parked; };
  join_handle<> sleeper = rt.spawn(forever(), {.qos = qos::background, .name = "sleeper"});
  rt.spawn({.name = "at the gate"}, at_gate).detach();
  rt.spawn({.qos = qos::urgent, .name = "grouping"}, in_group).detach();
  rt.spawn({.name = "joining"}, in_join).detach();
  rt.spawn({.name = "abroad"}, abroad).detach();
  eventually("all wait", [&] { return gate.arrived() == 4 && parked.waits(); });
  rt.spawn(forty_two(), {.qos = qos::background}).join();  // behind the sleeper, and every poll
  const std::string text = dump(rt);

  CHECK(says(line_of(text, "sleeper"), "waiting"));
  CHECK(says(line_of(text, "sleeper"), "background"));
  CHECK(says(line_of(text, "sleeper"), "in sleep"));
  CHECK(says(line_of(text, "sleeper"), std::to_string(sleeper.id())));
  CHECK(says(line_of(text, "at the gate"), "in waker"));
  CHECK(says(line_of(text, "at the gate"), "standard"));
  CHECK(says(line_of(text, "grouping"), "in when_all"));
  CHECK(says(line_of(text, "grouping"), "urgent"));
  CHECK(says(line_of(text, "joining"), "in join"));
  CHECK(says(line_of(text, "joined"), "in waker"));
  CHECK(says(line_of(text, "abroad"), "in a foreign awaitable"));
  CHECK(says(text, "8 live tasks"));
  CHECK(times(text, "worker   0") == 8);

  sleeper.request_stop();
  CHECK_THROWS_AS(sleeper.join(), operation_cancelled);
  gate.open();
  parked.resume();
  rt.wait_idle();
  CHECK(says(dump(rt), "0 live tasks"));
}

TEST_CASE("a dump tells running tasks from ready ones, and finds a task on its own worker") {
  runtime rt(one_worker());
  const std::string text = rt.spawn({.name = "asking"}, [&rt] {
                               spawn(forty_two(), {.name = "queued"}).detach();
                               return dump(rt);
                             }).join();
  CHECK(says(line_of(text, "asking"), "running"));
  CHECK(says(line_of(text, "queued"), "ready"));
  CHECK(says(text, "2 live tasks"));
  rt.wait_idle();
}

TEST_CASE("a dump finds all of many thousand tasks, of every class") {
  runtime rt(workers(2));
  Gate gate;
  auto body = [&gate]() -> task<> { co_await gate.pass(); };
  constexpr std::size_t kTasks = 10'000;
  for (std::size_t i = 0; i < kTasks; ++i) {
    rt.spawn({.qos = static_cast<qos>(i % qos_count)}, body).detach();
  }
  eventually("all wait", [&] { return gate.arrived() == kTasks; });
  for (std::size_t worker = 0; worker < 2; ++worker) {  // the last poll of each is over
    rt.spawn(forty_two(), {.core = worker}).join();
  }
  const std::string text = dump(rt);
  CHECK(says(text, "10000 live tasks"));
  CHECK(times(text, "in waker") == kTasks);
  CHECK(times(text, "urgent") == (kTasks + 5) / 6);
  gate.open();
  rt.wait_idle();
}

TEST_CASE("names of any bytes come out as they went in") {
  runtime rt(one_worker());
  const std::string longest(255, 'm');
  join_handle<> a = rt.spawn(forever(), {.name = longest});
  join_handle<> b = rt.spawn(forever(), {.name = "{} %s {0}"});
  join_handle<> c = rt.spawn(forever(), {.name = "\xc3\xa4\xc3\xb6\xc3\xbc"});
  const std::string text = dump(rt);
  CHECK(says(text, longest));
  CHECK(says(text, "{} %s {0}"));
  CHECK(says(text, "\xc3\xa4\xc3\xb6\xc3\xbc"));
}

TEST_CASE("dumps run while tasks start, wait, change, move and end, and lose nobody a wake") {
  runtime rt(workers(2));
  runtime other(one_worker());
  std::atomic<bool> end{false};
  std::atomic<int> dumps{0};
  std::atomic<int> strange{0};
  std::vector<std::thread> watchers;
  for (int t = 0; t < 2; ++t) {
    watchers.emplace_back([&] {
      while (!end) {
        const std::string text = dump(rt);
        if (text.find("live task") == std::string::npos) ++strange;
        (void)dump(other);
        ++dumps;
      }
    });
  }
  constexpr int kRounds = kSanitized ? 20 : 200;
  int sum = 0;
  auto busy = [](scheduler there, scheduler back, int i) -> task<int> {
    co_await yield();
    this_task::set_qos(static_cast<qos>(i % 6));
    co_await sleep_for(std::chrono::microseconds(i % 50));
    join_handle<int> child =
        spawn(forty_two(), {.name = "a child with a name that needs the heap"});
    co_await resume_on(there);
    auto [a, b] = co_await when_all(forty_two(), forty_two());
    co_await resume_on(back);
    co_return a + b + co_await std::move(child);
  };
  for (int round = 0; round < kRounds; ++round) {
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 20; ++i) {
      const std::string name =
          "named task " + std::to_string(i) + " of round " + std::to_string(round);
      handles.push_back(
          rt.spawn({.name = name}, busy, other.get_scheduler(), rt.get_scheduler(), i));
    }
    for (auto& handle : handles) sum += handle.join();
  }
  eventually("dumps were taken", [&] { return dumps > 10; });
  end = true;
  for (auto& watcher : watchers) watcher.join();
  CHECK(sum == kRounds * 20 * 3 * 42);
  CHECK(strange.load() == 0);
  rt.wait_idle();
  CHECK(says(dump(rt), "0 live tasks"));
}

std::atomic<int> dump_test_sink{0};

// What must be found in the stacks: extern, and no tail calls.
[[gnu::noinline]] void waits_deep_inside(Gate& gate) {
  auto pass = [](Gate& at) -> task<> { co_await at.pass(); };
  await_here(pass(gate));
  dump_test_sink += 1;
}
[[gnu::noinline]] void visits_something(Gate& gate, int depth) {
  if (depth == 0) {
    waits_deep_inside(gate);
  } else {
    visits_something(gate, depth - 1);
  }
  dump_test_sink += 1;
}
[[gnu::noinline]] void computes_with_safepoints(const std::atomic<bool>& go_on) {
  while (go_on.load(std::memory_order_relaxed)) preempt_point();
  dump_test_sink += 1;
}

TEST_CASE("a dump shows the call stack of a task that waits on its stack") {
  runtime rt(one_worker());
  Gate gate;
  auto deep = rt.spawn({.name = "deep"}, [&gate] { visits_something(gate, 2); });
  eventually("it waits", [&] { return gate.arrived() == 1; });
  rt.block_on(forty_two());
  for (int i = 0; i < 3; ++i) {
    const std::string text = dump(rt);
    INFO(text);
    CHECK(says(line_of(text, "deep  "), "in waker, on its stack"));
    CHECK(times(text, "visits_something") == 3);
    CHECK(text.find("waits_deep_inside") < text.find("visits_something"));
    CHECK(says(text, "1 live task"));
  }
  gate.open();
  deep.join();
  CHECK_FALSE(says(dump(rt), "#0"));
}

TEST_CASE("a dump shows the call stacks of preempted tasks") {
  runtime_options options = workers(1);
  options.slice = std::chrono::microseconds(100);
  runtime rt(options);
  std::atomic<bool> go_on{true};
  auto one = rt.spawn({.name = "first hog"}, [&] { computes_with_safepoints(go_on); });
  auto two = rt.spawn({.name = "second hog"}, [&] { computes_with_safepoints(go_on); });
  // One of them runs, the other one is parked; at times neither is to be seen for a moment.
  eventually("one is preempted", [&] {
    const std::string text = dump(rt);
    return says(text, "preempted") && says(text, "computes_with_safepoints");
  });
  CHECK(rt.stats().total.demotions_safepoint > 0);
  go_on = false;
  one.join();
  two.join();
  rt.wait_idle();
  CHECK(says(dump(rt), "0 live tasks"));
}

TEST_CASE("dumps look at stacks that are parked, resumed, moved and ended all the time") {
  runtime_options options = workers(2);
  options.slice = std::chrono::microseconds(100);
  options.handoff_after = std::chrono::milliseconds(1);
  runtime rt(options);
  std::atomic<bool> end{false};
  std::atomic<std::size_t> stacks{0};
  std::thread watcher([&] {
    while (!end) stacks += times(dump(rt), "#0 ");
  });
  const std::size_t rounds = kSanitized ? 10 : 60;
  std::size_t ended = 0;
  for (std::size_t round = 0; round < rounds || stacks < 20; ++round) {
    Gate gate;
    std::vector<join_handle<>> handles;
    for (int i = 0; i < 6; ++i) {
      handles.push_back(rt.spawn({.name = "waiting"}, [&gate] { visits_something(gate, 1); }));
      handles.push_back(rt.spawn({.name = "computing"}, [i] {
        for (int j = 0; j < 2000; ++j) {
          dump_test_sink += i;
          preempt_point();
        }
      }));
      handles.push_back(rt.spawn({.name = "away"}, [] {
        blocking([] {
          for (int j = 0; j < 20'000; ++j) dump_test_sink += 1;
        });
      }));
    }
    gate.open();
    for (auto& handle : handles) handle.join();
    ended += handles.size();
  }
  end = true;
  watcher.join();
  CHECK(ended >= rounds * 18);
  rt.wait_idle();
  CHECK(says(dump(rt), "0 live tasks"));
  CHECK(rt.stats().total.weak_live == 0);
}
