// SPDX-License-Identifier: BSL-1.0
// Proves on_stall: a task that answers no request is named once, with what it does and its own
// stack; one that answers is not; and no signal is used unless somebody wants stacks.
#include "fixtures.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

std::atomic<int> stall_test_sink{0};

// What must be found in the stacks: extern, and no tail calls.
[[gnu::noinline]] void stuck_in_computing(const std::atomic<bool>& go_on) {
  while (go_on.load(std::memory_order_relaxed)) stall_test_sink += 1;
  stall_test_sink += 1;
}
[[gnu::noinline]] void called_by_the_task(const std::atomic<bool>& go_on) {
  stuck_in_computing(go_on);
  stall_test_sink += 1;
}
[[gnu::noinline]] int stuck_in_the_system(int file) {
  pollfd one{file, POLLIN, 0};
  const int result = ::poll(&one, 1, -1);
  stall_test_sink += 1;
  return result;
}

namespace {

/// What a hook has been told, copied.
struct Told {
  std::string runtime, task, stack;
  std::uint64_t id;
  qos its_class;
  std::size_t worker;
  bool handed_off;
  std::chrono::nanoseconds lasted;
  stall_kind kind;
};

class Listener {
 public:
  stall_hook hook() {
    return [this](const stall& s) {
      const std::lock_guard lock(mutex_);
      told_.push_back({std::string(s.runtime), std::string(s.task), std::string(s.stack), s.id,
                       s.qos, s.worker, s.handed_off, s.lasted, s.kind});
    };
  }
  std::vector<Told> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  Told first() {
    eventually("a stall is told", [this] { return !told().empty(); });
    return told().front();
  }

 private:
  std::mutex mutex_;
  std::vector<Told> told_;
};

runtime_options listening(Listener& listener, std::chrono::nanoseconds after = 100ms) {
  runtime_options options = workers(1);
  options.name = "watched";
  options.handoff_after = 2ms;
  options.on_stall = listener.hook();
  options.stall_after = after;
  return options;
}

int stall_signal() { return SIGRTMAX - 3; }

bool handled(int signal) {
  struct sigaction now{};
  REQUIRE(::sigaction(signal, nullptr, &now) == 0);
  return (now.sa_flags & SA_SIGINFO) != 0;
}

}  // namespace

TEST_CASE("a hog is told by name, with the function it is stuck in") {
  // Its thread has 50 ms to take its own stack: another go, where the system kept it from that.
  bool stack_seen = false;
  for (int go = 0; go < 5 && !stack_seen; ++go) {
    Listener listener;
    // A second: the hand-off comes before, also where the monitor has to wait for its turn.
    runtime rt(listening(listener, 1s));
    std::atomic<bool> go_on{true};
    std::atomic<bool> begun{false};
    task_id id = 0;
    auto hog = rt.spawn({.qos = qos::utility, .name = "the hog"}, [&] {
      id = this_task::id();
      begun = true;
      called_by_the_task(go_on);
    });
    eventually("it runs", [&] { return begun.load(); });
    auto waits = rt.spawn({}, [] {});
    const Told told = listener.first();
    go_on = false;
    hog.join();
    waits.join();
    CHECK(told.runtime == "watched");
    CHECK(told.task == "the hog");
    CHECK(told.id == id);
    CHECK(told.its_class == qos::utility);
    CHECK(told.worker == 0);
    CHECK(told.lasted >= 1s);
    CHECK(told.handed_off);
    CHECK(told.kind != stall_kind::blocked);
    stack_seen = told.kind != stall_kind::hog || kThreadSanitizer || !told.stack.empty();
    if (told.kind == stall_kind::hog && !kThreadSanitizer && stack_seen) {
      INFO(told.stack);
      CHECK(told.stack.find("stuck_in_computing") < told.stack.find("called_by_the_task"));
      CHECK(says(told.stack, "called_by_the_task"));
    }
  }
  CHECK(stack_seen);
}

TEST_CASE("a task blocked in the system is told with its stack, and its call is not interrupted") {
  Listener listener;
  runtime rt(listening(listener));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  auto stuck = rt.spawn({.name = "reader"}, [&] { return stuck_in_the_system(ends[0]); });
  rt.spawn({}, [] {}).join();
  const Told told = listener.first();
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(stuck.join() == 1);  // not interrupted by a signal
  CHECK(told.task == "reader");
  CHECK(told.kind == stall_kind::blocked);
  INFO(told.stack);
  CHECK(says(told.stack, "stuck_in_the_system"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("where no worker changes its thread a stall is told as well, and once") {
  Listener listener;
  runtime_options options = listening(listener, 5ms);
  options.preemption = preemption_mode::safepoint;
  runtime rt(options);
  std::atomic<bool> go_on{true};
  std::atomic<bool> begun{false};
  auto hog = rt.spawn({}, [&] {
    begun = true;
    stuck_in_computing(go_on);
  });
  eventually("it runs", [&] { return begun.load(); });
  auto waits = rt.spawn({}, [] {});
  const Told told = listener.first();
  const auto looks = rt.stats().monitor_looks;
  eventually("it is looked at again", [&] { return rt.stats().monitor_looks >= looks + 10; });
  CHECK(listener.told().size() == 1);
  CHECK(rt.stats().stalls == 1);
  CHECK_FALSE(told.handed_off);
  CHECK(told.task.empty());
  go_on = false;
  hog.join();
  waits.join();
}

TEST_CASE("each stall of a task is told anew") {
  Listener listener;
  runtime_options options = listening(listener, 2ms);
  options.preemption = preemption_mode::safepoint;
  runtime rt(options);
  // The other task may be starved by the system, which is told, too.
  const auto told = [&listener] {
    std::size_t count = 0;
    for (const Told& each : listener.told()) count += each.task == "again" ? 1 : 0;
    return count;
  };
  std::atomic<bool> over{false};
  auto hog = rt.spawn({.name = "again"}, [&]() -> task<> {
    for (std::size_t round = 1; round <= 2; ++round) {
      while (told() < round) stall_test_sink += 1;
      over = round == 2;  // nobody waits behind its last poll
      co_await yield();
    }
  });
  auto waits = [&over]() -> task<> {
    while (!over) co_await yield();
  };
  auto other = rt.spawn({}, waits);
  hog.join();
  other.join();
  CHECK(told() == 2);
}

TEST_CASE("a task that answers, and one behind which nobody waits, is no stall") {
  // Long enough that whoever answers every few microseconds cannot have computed for an eighth of
  // it, however the system cuts its time.
  static constexpr auto kAfter = 20ms;
  Listener listener;
  runtime_options options = listening(listener, kAfter);
  options.slice = 100us;
  runtime rt(options);
  const auto compute = [](bool answer) {
    const auto until = std::chrono::steady_clock::now() + 3 * kAfter;
    while (std::chrono::steady_clock::now() < until) {
      for (int j = 0; j < 1000; ++j) stall_test_sink += 1;
      if (answer) preempt_point();
    }
  };
  rt.spawn({}, [&] { compute(false); }).join();
  CHECK(listener.told().empty());
  auto one = rt.spawn({}, [&] { compute(true); });
  auto two = rt.spawn({}, [&] { compute(true); });
  one.join();
  two.join();
  for (const Told& told : listener.told()) CHECK(told.kind == stall_kind::starved);
}

TEST_CASE("what the hook throws is reported and dropped, and the runtime goes on") {
  StderrCapture capture;
  {
    runtime_options options = workers(1);
    std::atomic<int> calls{0};
    options.stall_after = 1ms;
    options.on_stall = [&](const stall&) {
      ++calls;
      throw std::runtime_error("no more paper");
    };
    runtime rt(options);
    std::atomic<bool> begun{false};
    auto hog = rt.spawn({}, [&] {
      begun = true;
      while (calls == 0) stall_test_sink += 1;
    });
    eventually("it runs", [&] { return begun.load(); });
    rt.spawn({}, [] {}).join();
    hog.join();
    CHECK(rt.block_on(forty_two()) == 42);
  }
  CHECK(says(capture.text(), "no more paper"));
}

TEST_CASE("the signal is handled only while a runtime lives whose stalls somebody wants to see") {
  CHECK_FALSE(handled(stall_signal()));
  {
    runtime quiet(workers(1));
    CHECK_FALSE(handled(stall_signal()));
    Listener listener;
    runtime watched(listening(listener));
    CHECK(handled(stall_signal()));
  }
  CHECK_FALSE(handled(stall_signal()));
}

TEST_CASE("a time of nothing, or beyond an hour, is refused by name") {
  for (const auto bad : {std::chrono::nanoseconds(0), std::chrono::nanoseconds(-1),
                         std::chrono::nanoseconds(1h) + 1ns}) {
    runtime_options options = workers(1);
    options.stall_after = bad;
    CHECK(says(message_of<std::invalid_argument>([&] { runtime rt(options); }), "stall_after"));
  }
  CHECK(to_string(stall_kind::starved) == "starved");
}
