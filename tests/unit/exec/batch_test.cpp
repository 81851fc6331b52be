// SPDX-License-Identifier: BSL-1.0
// Proves exec/batch.cpp, and what its short way must not change: who is current between two polls,
// when a step is drained, what is counted as ready, and how a poll ends. One thread.
#include <coroutine>
#include <string>

#include <paceline/this_task.hpp>
#include <paceline/waker.hpp>

#include "exec/executor_runtime.hpp"
#include "exec/loan.hpp"
#include "support/catch.hpp"
#include "unit/exec/desk.hpp"

using namespace paceline::core;
using paceline::task;
using paceline_test::Desk;
using paceline_test::Home;
using paceline_test::say;

namespace {

void take_bit(Slot& slot) { REQUIRE(page_of(slot).steal(bit(Group::bit_index(slot))) != 0); }

/// A coroutine of somebody else's library that begins at once.
struct Eager {
  struct promise_type {
    Eager get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
  std::coroutine_handle<promise_type> frame;
};

}  // namespace

TEST_CASE("whether a task is ready is asked outside any task") {
  Desk desk;
  paceline::waker wake;
  bool ready = false;
  bool look = false;
  unsigned inside = 0;
  const auto waits = [&]() -> task<> {
    co_await paceline::suspend_until(
        [&]() noexcept {
          if (look && desk.runtime().current() != nullptr) ++inside;
          return ready;
        },
        [&](paceline::waker self) { wake = self; });
  };
  const auto wakes = [&]() -> task<> {
    wake.wake();
    co_await paceline::yield();
    ready = true;
    wake.wake();
    co_await paceline::yield();
  };
  desk.spawn(waits());
  desk.run_dry();
  look = true;
  desk.spawn(wakes());
  desk.run_dry();
  REQUIRE(inside == 0);
}

TEST_CASE("a step that gathers is not drained while another class has tasks") {
  Desk desk;
  std::string log;
  desk.runtime().let_gather(true);
  Slot& slot = desk.spawn(say(log, 'i'), 1);
  take_bit(slot);
  desk.runtime().forget_ready(1);
  notify(slot);  // it came from outside
  for (int i = 0; i < 5; ++i) desk.spawn(say(log, 'b'), 5);
  const bool drained = desk.step(64);
  REQUIRE(drained == (log.size() == 6));
  REQUIRE(desk.runtime().ready_estimate() == 6 - log.size());
  desk.run_dry();
}

TEST_CASE("a step that gathers ends behind a pass to which few have come") {
  const bool gathers = GENERATE(false, true);
  Desk desk;
  std::string log;
  desk.runtime().let_gather(gathers);
  Slot& second = desk.spawn(say(log, '2'));
  take_bit(second);
  const auto sends = [&]() -> task<> {
    log += '1';
    notify(second);
    co_return;
  };
  Slot& first = desk.spawn(sends());
  take_bit(first);
  desk.runtime().forget_ready(2);
  notify(first);
  REQUIRE(desk.step(64));
  REQUIRE(log == (gathers ? "1" : "12"));
  desk.run_dry();
  REQUIRE(log == "12");
}

TEST_CASE("polls that nobody counted are no debt of those that follow") {
  Desk desk;
  std::string log;
  for (int i = 0; i < 10; ++i) desk.spawn(say(log, 'a'));
  desk.runtime().forget_ready(8);  // thieves took as many that had not been absorbed yet
  desk.step(10);                   // all ten run, and the step does not notice that it is drained
  for (int i = 0; i < 6; ++i) desk.spawn(say(log, 'b'));
  REQUIRE(desk.runtime().ready_estimate() == 6);
  desk.run_dry();
}

TEST_CASE("while a task runs by a stolen loan, what runs here is of the class that it was lent") {
  Home victim;
  Desk desk;
  std::string log;
  unsigned noted = 0;
  const auto note = [&]() -> task<> {
    noted = desk.home().port.run_class;
    co_return;
  };
  desk.spawn(say(log, 'u'), 5);
  desk.run_dry();
  Slot& slot = desk.spawn(note(), 4, &victim);
  take_bit(slot);
  const Lent lent = lend(*slot.root, 1, Lender::mutex);
  REQUIRE(lent.stand_in != nullptr);
  desk.runtime().add_loot(*lent.stand_in);
  desk.run_dry();
  REQUIRE(noted == 1);
}

TEST_CASE("a task that ends after it gave an inner suspension up has ended") {
  Desk desk;
  const auto inner = []() -> Eager {
    co_await paceline::suspend_until([]() noexcept { return false; }, [](paceline::waker) {});
  };
  const auto outer = [&]() -> task<> {
    inner().frame.destroy();  // as a when_any of another library does with the one that lost
    co_return;
  };
  Slot& slot = desk.spawn(outer());
  desk.run_dry();
  REQUIRE(StateWord::phase_of(slot.state.peek()) == Phase::vacant);
}
