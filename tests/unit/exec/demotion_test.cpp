// SPDX-License-Identifier: BSL-1.0
// Proves what demotion keeps and in which order things go on: a preempted poll continues from where
// it was, on its stack, behind what waited; nobody else can resume it; waits on the stack end by
// the same bit as any other wait; refusals lose nothing.
#include "exec/executor.hpp"

#include <cerrno>
#include <cfenv>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <paceline/preempt.hpp>
#include <paceline/this_task.hpp>
#include <paceline/waker.hpp>

#include "support/catch.hpp"
#include "unit/exec/stage.hpp"

using namespace paceline::core;
using namespace paceline_test;

namespace {

/// Something to wait for: the awaiter says where it is while it waits.
struct Event : paceline::detail::Suspension, paceline::detail::NativeAwaiter {
  explicit Event(Event*& here) : Suspension(kOps) { here = this; }
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame) {
    return paceline::detail::suspend_at(*this, frame);
  }
  void await_resume() const noexcept {}
  static constexpr paceline::detail::SuspensionOps kOps{"an event", nullptr, nullptr};
};
struct WaitFor {
  Event*& event;
  Event operator co_await() const { return Event(event); }
};

[[gnu::noinline]] int deep(Stage& stage, int depth) {
  if (depth == 0) {
    stage.desk.ask(Ask::slice);
    paceline::preempt_point();
    return 0;
  }
  volatile int here = depth;
  const int below = deep(stage, depth - 1);
  return below + here;
}

}  // namespace

TEST_CASE("a preempted task goes on from where it was, behind what waited") {
  Stage stage;
  stage.desk.spawn(hog(stage, "a", 2));
  stage.desk.spawn(say_once(stage, "b"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"a0", "b", "a1", "a ends"});
  REQUIRE(stage.demotions() == 1);  // the second request came with nothing waiting
  REQUIRE(stage.desk.runtime().weak_count() == 0);
}

TEST_CASE("a preempted task goes on behind what became ready while it ran, too") {
  Stage stage;
  struct Waking {
    static paceline::task<> run(Stage& stage, bool waits_first) {
      Event* event = nullptr;
      if (waits_first) {
        // Then it is weak, and entered by its task's slot.
        stage.desk.spawn(complete(event));
        paceline::await_here(WaitFor{event});
      }
      stage.desk.spawn(say_once(stage, "woken"));
      stage.desk.ask(Ask::slice);
      paceline::preempt_point();
      stage.say("waker goes on");
      co_return;
    }
    static paceline::task<> complete(Event*& event) {
      paceline::detail::complete(*event);
      co_return;
    }
  };
  stage.desk.spawn(Waking::run(stage, false));
  stage.desk.run_dry();
  CHECK(stage.story == Story{"woken", "waker goes on"});
  stage.story.clear();
  stage.desk.spawn(Waking::run(stage, true));
  stage.desk.run_dry();
  CHECK(stage.story == Story{"woken", "waker goes on"});
  CHECK(stage.demotions() == 2);
}

TEST_CASE("nothing is preempted when nothing waits") {
  Stage stage;
  stage.desk.spawn(hog(stage, "a", 100));
  stage.desk.run_dry();
  REQUIRE(stage.story.size() == 101);
  REQUIRE(stage.demotions() == 0);
}

TEST_CASE("a request for a poll that is over is ignored") {
  Stage stage;
  struct Late {
    static paceline::task<> ask(Stage& stage) {
      stage.desk.ask(Ask::slice);  // and ends before any safepoint
      co_return;
    }
    static paceline::task<> innocent(Stage& stage) {
      paceline::preempt_point();
      stage.say("innocent");
      co_return;
    }
  };
  stage.desk.spawn(Late::ask(stage));
  stage.desk.spawn(Late::innocent(stage));
  stage.desk.spawn(say_once(stage, "waits"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"innocent", "waits"});
  REQUIRE(stage.demotions() == 0);
}

TEST_CASE("hogs take turns, and a short task waits for one slice of each at most") {
  Stage stage;
  stage.desk.spawn(hog(stage, "a", 3));
  stage.desk.spawn(hog(stage, "b", 3));
  stage.desk.spawn(say_once(stage, "short"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"a0", "b0", "short", "a1", "b1", "a2", "b2", "a ends", "b ends"});
}

TEST_CASE("a more important task that is woken interrupts a less important one, not an equal one") {
  Stage stage;
  struct Waking {
    static paceline::task<> run(Stage& stage, unsigned class_index) {
      stage.desk.spawn(say_once(stage, "woken"), class_index);
      paceline::preempt_point();
      stage.say("waker goes on");
      co_return;
    }
  };
  const unsigned own = static_cast<unsigned>(paceline::qos::utility);
  stage.desk.spawn(Waking::run(stage, own), own);
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"waker goes on", "woken"});
  stage.story.clear();
  stage.desk.spawn(Waking::run(stage, static_cast<unsigned>(paceline::qos::user_interactive)), own);
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"woken", "waker goes on"});
  REQUIRE(stage.demotions() == 1);
}

TEST_CASE("a task is preempted at any call depth and its stack is kept") {
  Stage stage;
  struct Deep {
    static paceline::task<> run(Stage& stage) {
      const int sum = deep(stage, 100);
      stage.say(std::to_string(sum));
      co_return;
    }
  };
  stage.desk.spawn(Deep::run(stage));
  stage.desk.spawn(say_once(stage, "between"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"between", "5050"});
}

TEST_CASE("a preempted task that then suspends goes on as a coroutine and frees its executor") {
  Stage stage;
  struct Mixed {
    static paceline::task<> run(Stage& stage) {
      stage.desk.ask(Ask::slice);
      paceline::preempt_point();
      stage.say("weak");
      co_await paceline::yield();
      stage.say("strong again");
    }
  };
  stage.desk.spawn(Mixed::run(stage));
  stage.desk.spawn(say_once(stage, "other"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"other", "weak", "strong again"});
  REQUIRE(stage.desk.runtime().weak_count() == 0);
}

TEST_CASE("wakes that come while a task is preempted are not lost and resume nobody twice") {
  Stage stage;
  struct Woken {
    static paceline::task<> run(Stage& stage, paceline::waker& waker) {
      waker = paceline::this_task::waker();
      stage.desk.ask(Ask::slice);
      paceline::preempt_point();
      stage.say("after");
      co_return;
    }
    static paceline::task<> wake(Stage& stage, const paceline::waker& waker) {
      for (int i = 0; i < 3; ++i) {
        waker.wake();
        co_await paceline::yield();
      }
      stage.say("woke");
    }
  };
  paceline::waker waker;
  stage.desk.spawn(Woken::run(stage, waker));
  stage.desk.spawn(Woken::wake(stage, waker));
  stage.desk.run_dry();
  REQUIRE(stage.story.size() == 2);
  waker.wake();  // the task is over
  stage.desk.run_dry();
}

TEST_CASE("a nopreempt guard holds requests back and honours them when the last one ends") {
  Stage stage;
  struct Guarded {
    static paceline::task<> run(Stage& stage) {
      {
        paceline::nopreempt outer;
        {
          paceline::nopreempt inner;
          stage.desk.ask(Ask::slice);
          paceline::preempt_point();
          stage.say("inner");
        }
        paceline::preempt_point();
        stage.say("outer");
      }
      stage.say("free");
      co_return;
    }
  };
  stage.desk.spawn(Guarded::run(stage));
  stage.desk.spawn(say_once(stage, "other"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"inner", "outer", "other", "free"});
}

TEST_CASE("errno, exceptions in flight and floating-point control survive a preemption") {
  Stage stage;
  struct State {
    ~State() {
      uncaught = std::uncaught_exceptions();
      stage.desk.ask(Ask::slice);
      paceline::preempt_point();
      uncaught_after = std::uncaught_exceptions();
    }
    Stage& stage;
    int& uncaught;
    int& uncaught_after;
  };
  struct Keeper {
    static paceline::task<> run(Stage& stage, int& before, int& after) {
      errno = 77;
      std::fesetround(FE_UPWARD);
      try {
        State state{stage, before, after};
        throw std::runtime_error("kept");
      } catch (const std::runtime_error&) {
        stage.desk.ask(Ask::slice);
        paceline::preempt_point();
        try {
          throw;
        } catch (const std::runtime_error& again) {
          stage.say(again.what());
        }
      }
      stage.say(std::to_string(errno));
      stage.say(std::fegetround() == FE_UPWARD ? "upward" : "lost");
      std::fesetround(FE_TONEAREST);
      co_return;
    }
    static paceline::task<> disturb(Stage& stage) {
      for (int i = 0; i < 2; ++i) {
        stage.say(std::to_string(std::uncaught_exceptions()) +
                  (std::current_exception() ? " handled" : " none") +
                  (std::fegetround() == FE_TONEAREST ? "" : " inherited rounding"));
        errno = 5;
        stage.desk.pass(2 * Desk::kSlice);  // so that the preempted one is next
        try {
          throw std::logic_error("other");
        } catch (const std::logic_error&) {
        }
        co_await paceline::yield();
      }
    }
  };
  int before = -1;
  int after = -1;
  stage.desk.spawn(Keeper::run(stage, before, after));
  stage.desk.spawn(Keeper::disturb(stage));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"0 none", "0 none", "kept", "77", "upward"});
  REQUIRE(before == 1);
  REQUIRE(after == 1);
  REQUIRE(stage.demotions() == 2);
}

TEST_CASE("a task awaits from plain code, at any depth, and others run meanwhile") {
  Stage stage;
  struct Deep {
    [[gnu::noinline]] static void wait(int depth) {
      if (depth > 0) {
        wait(depth - 1);
        asm volatile("" ::: "memory");
        return;
      }
      paceline::await_here(paceline::yield());
    }
    static paceline::task<> run(Stage& stage, std::string name) {
      for (int i = 0; i < 2; ++i) {
        wait(20);
        stage.say(name + std::to_string(i));
      }
      co_return;
    }
  };
  stage.desk.spawn(Deep::run(stage, "a"));
  stage.desk.spawn(Deep::run(stage, "b"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"a0", "b0", "a1", "b1"});
  REQUIRE(stage.desk.runtime().weak_count() == 0);
}

TEST_CASE("values and exceptions come back from a wait on the stack") {
  Stage stage;
  struct Work {
    static paceline::task<int> value() {
      co_await paceline::yield();
      co_return 42;
    }
    static paceline::task<int> failure() {
      co_await paceline::yield();
      throw std::runtime_error("from within");
    }
    static paceline::task<> run(Stage& stage) {
      stage.say(std::to_string(paceline::await_here(value())));
      try {
        paceline::await_here(failure());
      } catch (const std::runtime_error& error) {
        stage.say(error.what());
      }
      co_return;
    }
  };
  stage.desk.spawn(Work::run(stage));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"42", "from within"});
}

TEST_CASE("a task that waits on its stack can be preempted and can wait again within") {
  Stage stage;
  struct Nested {
    static paceline::task<> inner(Stage& stage) {
      stage.say("inner");
      stage.desk.ask(Ask::slice);
      paceline::preempt_point();
      paceline::await_here(paceline::yield());
      stage.say("inner ends");
      co_await paceline::yield();
    }
    static paceline::task<> run(Stage& stage) {
      paceline::await_here(inner(stage));
      stage.say("outer ends");
      co_return;
    }
  };
  stage.desk.spawn(Nested::run(stage));
  stage.desk.spawn(say_once(stage, "other"));
  stage.desk.run_dry();
  REQUIRE(stage.story == Story{"inner", "other", "inner ends", "outer ends"});
  REQUIRE(stage.desk.runtime().weak_count() == 0);
}

TEST_CASE("at the limit of weak executors a task is not preempted and the refusal is counted") {
  Stage stage;
  const int too_many = 40;  // the limit is 32
  for (int i = 0; i < too_many; ++i) stage.desk.spawn(hog(stage, std::to_string(i) + ".", 2));
  stage.desk.run_dry();
  const Counters& counters = stage.desk.runtime().counters();
  REQUIRE(stage.story.size() == 3 * too_many);
  REQUIRE(stage.desk.count(counters.weak_peak) == 32);
  REQUIRE(stage.desk.count(counters.refused_cap) > 0);
  REQUIRE(stage.desk.runtime().weak_count() == 0);
}

TEST_CASE("a thief that claims a task which waits on its stack hands it to the stack's worker") {
  Stage stage;
  Desk& desk = stage.desk;
  struct Waits {
    static paceline::task<> run(Stage& stage, Event*& event) {
      paceline::await_here(WaitFor{event});
      stage.say("back");
      co_return;
    }
  };
  Event* event = nullptr;
  Slot& task = desk.spawn(Waits::run(stage, event));
  desk.run_dry();
  REQUIRE(desk.runtime().weak_count() == 1);
  paceline::detail::complete(*event);
  {
    // Another worker's runtime claims the task as a thief does.
    Desk thief;
    thief.runtime().poll_first(task);
    thief.run_dry();
    REQUIRE(stage.story.empty());
    REQUIRE(thief.runtime().weak_count() == 0);
  }
  machine::this_thread().runtime = &desk.runtime();
  desk.run_dry();
  REQUIRE(stage.story == Story{"back"});
}
