// SPDX-License-Identifier: BSL-1.0
// Proves what one core runs, in which order: budgets, the shares of the classes, foreign
// coroutines, stolen tasks between own ones, and the end of a task. One thread; real coroutines.
#include "exec/executor_runtime.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include <paceline/detail/bridge.hpp>
#include <paceline/this_task.hpp>

#include "support/catch.hpp"
#include "unit/exec/desk.hpp"

using namespace paceline::core;
using paceline::task;
using paceline_test::Desk;
using paceline_test::Home;
using paceline_test::say;

namespace {

/// Suspends until somebody completes it, as any exact awaiter does.
struct Gate : paceline::detail::Suspension, paceline::detail::NativeAwaiter {
  explicit Gate(Gate*& here) : Suspension(kOps) { here = this; }
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> frame) {
    return paceline::detail::suspend_at(*this, frame);
  }
  void await_resume() const {}
  static bool withdraw(Suspension&) noexcept { return true; }
  static constexpr paceline::detail::SuspensionOps kOps{"a gate", nullptr, &withdraw};
};

struct WaitAt {
  Gate*& gate;  // where to find the awaiter while it waits
  Gate operator co_await() const { return Gate(gate); }
};

task<> wait_at(Gate*& gate, std::string& log) {
  log += '<';
  const WaitAt here{gate};
  co_await here;
  log += '>';
}

/// A coroutine of somebody else's library.
struct Foreign {
  struct promise_type {
    Foreign get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<> handle;
};
Foreign foreign(std::string& log, ExecutorRuntime& runtime) {
  log += runtime.current() == nullptr ? 'f' : 'F';
  co_return;
}

}  // namespace

TEST_CASE("a step polls as many tasks as its budget and says when nothing is left") {
  Desk desk;
  std::string log;
  for (int i = 0; i < 5; ++i) desk.spawn(say(log, 'x', 1));
  REQUIRE_FALSE(desk.step(2));
  REQUIRE(log == "xx");
  REQUIRE_FALSE(desk.step(3));
  REQUIRE(log == "xxxxx");
  REQUIRE(desk.step(1));
  REQUIRE(desk.step(0) == false);  // without budget nothing is known
  REQUIRE(desk.runtime().ready_estimate() == 0);
  REQUIRE(desk.runtime().port().polls == 5);
  REQUIRE(desk.runtime().counters().completed == 5);
}

TEST_CASE("tasks that yield take turns") {
  Desk desk;
  std::string log;
  desk.spawn(say(log, 'a', 3));
  desk.spawn(say(log, 'b', 3));
  desk.spawn(say(log, 'c', 2));
  desk.run_dry();
  REQUIRE(log == "abcabcab");
}

namespace {

/// What tasks of one class saw: each poll takes some time.
struct Served {
  Nanos had = 0;
  Nanos last = 0;
  Nanos longest_wait = 0;
};

paceline::task<> works(Desk& desk, Served& served, Nanos until) {
  constexpr Nanos kEach = 10 * kMicrosecond;
  while (desk.now() < until) {
    served.longest_wait = std::max(served.longest_wait, desk.now() - served.last);
    desk.pass(kEach);
    served.had += kEach;
    served.last = desk.now();
    co_await paceline::yield();
  }
}

/// All of `classes` have work for so long.
std::array<Served, 6> share(std::initializer_list<unsigned> classes, Nanos how_long) {
  Desk desk;
  std::array<Served, 6> served;
  const Nanos until = desk.now() + how_long;
  for (const unsigned c : classes) {
    served[c].last = desk.now();
    for (int t = 0; t < 3; ++t) desk.spawn(works(desk, served[c], until), c);
  }
  desk.run_dry();
  return served;
}

double percent(const Served& served, Nanos of) {
  return 100.0 * static_cast<double>(served.had) / static_cast<double>(of);
}

}  // namespace

TEST_CASE("classes that always have work share their core by deadlines and warps") {
  constexpr Nanos kHowLong = 20 * kSecond;
  const auto served = share({1, 2, 3, 4, 5}, kHowLong);
  // The policy's own table: 79.8, 11.5, 5.7, 2.2 and 0.7 %.
  const double due[] = {0, 79.8, 11.5, 5.7, 2.2, 0.7};
  for (unsigned c = 1; c < 6; ++c) {
    INFO("class " << c << ": " << percent(served[c], kHowLong) << " %");
    REQUIRE(percent(served[c], kHowLong) > due[c] * 0.8);
    REQUIRE(percent(served[c], kHowLong) < due[c] * 1.25);
  }
}

TEST_CASE("background work waits no longer than its deadline, the warp and two quanta") {
  const auto served = share({1, 5}, 5 * kSecond);
  REQUIRE(served[5].longest_wait <= (250 + 8 + 2 * 10) * kMillisecond);
  REQUIRE(percent(served[5], 5 * kSecond) > 0.5);
}

TEST_CASE("urgent work that never ends holds the others up for little more than a second") {
  const auto served = share({0, 1, 3, 5}, 10 * kSecond);
  for (const unsigned c : {1u, 3u, 5u}) {
    INFO("class " << c << " waited " << served[c].longest_wait);
    REQUIRE(served[c].longest_wait <= kSecond + 300 * kMillisecond);
    REQUIRE(served[c].had > 0);
  }
  REQUIRE(percent(served[0], 10 * kSecond) > 40);
}

TEST_CASE("a class that becomes ready late does not wait for more than a round") {
  Desk desk;
  std::string urgent;
  std::string background;
  desk.spawn(say(background, 'x', 10'000), 5);
  REQUIRE_FALSE(desk.step(1'000));
  for (int i = 0; i < 20; ++i) {
    const std::size_t before = background.size();
    desk.spawn(say(urgent, 'x', 1), 0);
    while (urgent.size() <= static_cast<std::size_t>(i)) desk.step(1);
    REQUIRE(background.size() - before <= 1);
  }
  desk.run_dry();
}

TEST_CASE("foreign coroutines run first and outside any task") {
  Desk desk;
  std::string log;
  desk.spawn(say(log, 'x', 1));
  for (unsigned i = 0; i < ExecutorRuntime::kForeignBatch; ++i) {
    desk.runtime().queue_foreign(foreign(log, desk.runtime()).handle);
  }
  desk.run_dry();
  REQUIRE(log == std::string(ExecutorRuntime::kForeignBatch, 'f') + "x");
  REQUIRE(desk.runtime().counters().completed == ExecutorRuntime::kForeignBatch + 1);
}

TEST_CASE("stolen tasks and own ones alternate") {
  Home victim;
  Desk desk;
  std::string log;
  for (int i = 0; i < 4; ++i) {
    Slot& stolen = desk.spawn(say(log, 's', 2), Home::kClass, &victim);
    Group& group = Group::of(stolen);
    REQUIRE(group.pages[group.page_index(stolen)].steal(~Word{0}) != 0);
    desk.runtime().add_loot(stolen);
    desk.spawn(say(log, 'o', 2));
  }
  desk.run_dry();
  REQUIRE(log == "sosososososososo");
  // They ended here; their slots are at home again for their own worker.
  REQUIRE(victim.port.classes == bit(Home::kClass));  // what the thief leaves for the sweep
  REQUIRE(Group::of(*victim.collection().allocate_home()).role == Role::home);
}

TEST_CASE("while a stolen task runs, what runs here is of its class") {
  Home victim;
  Desk desk;
  std::vector<std::uint32_t> noted;
  const auto note = [&]() -> task<> {
    noted.push_back(desk.home().port.run_class);
    co_return;
  };
  const auto steal = [&](unsigned class_index) -> Slot& {
    Slot& stolen = desk.spawn(note(), class_index, &victim);
    Group& group = Group::of(stolen);
    REQUIRE(group.pages[group.page_index(stolen)].steal(~Word{0}) != 0);
    return stolen;
  };
  desk.spawn(note(), 1);
  desk.run_dry();
  desk.runtime().add_loot(steal(5));
  desk.run_dry();
  desk.runtime().poll_first(steal(2));
  desk.run_dry();
  // What nobody waited for, and the monitor marked, is over as well.
  desk.home().port.run_class = Port::kOverdue;
  desk.runtime().add_loot(steal(4));
  desk.run_dry();
  desk.spawn(note(), 3);
  desk.run_dry();
  REQUIRE(noted == std::vector<std::uint32_t>{1, 5, 2, 4, 3});
}

TEST_CASE("a stolen task gives way to what becomes ready and is more important") {
  Home victim;
  Desk desk;
  std::string log;
  const auto background = [&]() -> task<> {
    desk.spawn(say(log, 'i', 1), 1);
    const bool asked = desk.home().port.is_asked();
    log += asked ? 'a' : 'n';
    co_return;
  };
  desk.spawn(say(log, 'x', 1), 1);
  desk.run_dry();  // the last one of ours was as important
  Slot& stolen = desk.spawn(background(), 5, &victim);
  Group& group = Group::of(stolen);
  REQUIRE(group.pages[group.page_index(stolen)].steal(~Word{0}) != 0);
  desk.runtime().add_loot(stolen);
  desk.run_dry();
  REQUIRE(log == "xai");
}

TEST_CASE("a stolen task that waits goes home and is not looked after here any more") {
  Home victim;
  Desk desk;
  std::string log;
  Gate* gate = nullptr;
  Slot& slot = desk.spawn(wait_at(gate, log), Home::kClass, &victim);
  Group& group = Group::of(slot);
  WakerPage& page = group.pages[group.page_index(slot)];
  REQUIRE(page.steal(~Word{0}) != 0);
  desk.runtime().add_loot(slot);
  desk.run_dry();
  REQUIRE(log == "<");
  REQUIRE(desk.runtime().loot_empty());
  REQUIRE(page.ready() == 0);
  paceline::detail::complete(*gate);
  REQUIRE(page.notified == bit(group.bit_index(slot)));  // at home, by RMW: we are not its worker
  REQUIRE(victim.port.remote_wakes == 1);
  REQUIRE(desk.step(10));
  REQUIRE(log == "<");
  // Taken again, it ends.
  REQUIRE(page.steal(~Word{0}) != 0);
  desk.runtime().add_loot(slot);
  desk.run_dry();
  REQUIRE(log == "<>");
}

TEST_CASE("a completed task is polled once however many bits point at it") {
  Desk desk;
  std::string log;
  Gate* gate = nullptr;
  Slot& slot = desk.spawn(wait_at(gate, log));
  desk.run_dry();
  const auto polls = desk.runtime().port().polls.load();
  for (int i = 0; i < 5; ++i) {
    notify(slot);  // spurious: nothing has come
    desk.run_dry();
  }
  REQUIRE(desk.runtime().port().polls == polls);
  REQUIRE(desk.runtime().counters().stale == 5);
  paceline::detail::complete(*gate);
  notify(slot);
  notify_home(slot);
  desk.run_dry();
  REQUIRE(log == "<>");
  REQUIRE(desk.runtime().port().polls == polls + 1);
  // And never again after its end (statement 3).
  notify(slot);
  desk.run_dry();
  REQUIRE(log == "<>");
  REQUIRE(desk.runtime().counters().completed == 1);
}

TEST_CASE("the runtime's stop reaches a suspended task at its next claim") {
  Desk desk;
  std::string log;
  Gate* gate = nullptr;
  Slot& slot = desk.spawn(wait_at(gate, log));
  desk.run_dry();
  desk.stopping() = true;
  notify(slot);
  desk.run_dry();
  REQUIRE(log == "<>");
}

TEST_CASE("the exception of a detached task goes to the hook and the next task runs") {
  Desk desk;
  std::string log;
  const auto fails = []() -> task<> {
    throw std::runtime_error("boom");
    co_return;
  };
  desk.spawn(fails());
  desk.spawn(say(log, 'x', 1));
  desk.run_dry();
  REQUIRE(log == "x");
  REQUIRE(desk.unhandled.size() == 1);
  REQUIRE_THROWS_WITH(std::rethrow_exception(desk.unhandled[0]), "boom");
}

TEST_CASE("a task whose slot used up its generations retires the slot at its end") {
  Desk desk;
  std::string log;
  Slot& first = desk.spawn(say(log, 'a', 1));
  desk.run_dry();
  first.state.reset(StateWord::kGenerationMax);
  REQUIRE(&desk.spawn(say(log, 'b', 1)) == &first);
  desk.run_dry();
  for (int i = 0; i < 200; ++i) REQUIRE(&desk.spawn(say(log, 'c', 1)) != &first);
  desk.run_dry();
  REQUIRE(log == "ab" + std::string(200, 'c'));
}

TEST_CASE("help is called for only while somebody sleeps, and told how much waits") {
  Desk desk;
  std::string log;
  desk.spawn(say(log, 'x', 1));
  REQUIRE(desk.help.empty());
  desk.sleepers() = 1;
  desk.spawn(say(log, 'x', 1));
  desk.spawn(say(log, 'x', 1));
  REQUIRE(desk.help == std::vector<std::uint64_t>{2, 3});
  desk.run_dry();
  REQUIRE(desk.runtime().ready_estimate() == 0);
}
