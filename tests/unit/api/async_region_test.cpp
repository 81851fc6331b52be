// SPDX-License-Identifier: BSL-1.0
// Proves what a region promises: code of the section gives way at any instruction, other code never
// does; what was asked meanwhile is honoured at the latest when the region ends; every signal is
// accounted for and none comes outside of a region. Under ThreadSanitizer no signals are sent; what
// does not need them holds there, too.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit/api/async_storm.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

/// Nothing but a flag to look at.
[[gnu::section("paceline_async")]] [[gnu::noinline]] void spin_in_section(const bool* done) {
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
  }
}
[[gnu::noinline]] void spin_elsewhere(const bool* done) {
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
  }
}

/// What a hog's loop waits for. It says that it has begun, once it is in its region (whose way in
/// is a safepoint), before somebody of its class may come: which of two goes first is the
/// scheduler's business.
struct Flag {
  bool value = false;
  std::atomic<bool> begun{false};
  void raise() { __atomic_store_n(&value, true, __ATOMIC_RELAXED); }
  void await_begin() const {
    eventually("the hog runs", [&] { return begun.load(); });
  }
};

/// Under ThreadSanitizer somebody has to end what no signal can interrupt.
void end_if_no_signals(Flag& flag) {
  if (!kSignals) flag.raise();
}

}  // namespace

TEST_CASE(
    "a loop without safepoints gives way to an equal task after a slice, if it is in a region") {
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    done.begun = true;
    spin_in_section(&done.value);
  });
  done.await_begin();
  auto other = rt.spawn({}, [&] { done.raise(); });
  other.join();
  hog.join();
  CHECK((rt.stats().total.demotions_async >= 1) == kSignals);
  CHECK(rt.stats().handoffs == 0);
  check_books(rt);
}

TEST_CASE("a wake of something more important interrupts a region at once") {
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  {
    Storm storm(rt);
    std::atomic<bool> runs{false};
    auto hog = rt.spawn({.qos = qos::utility}, [&] {
      const async_region region;
      runs = true;
      spin_in_section(&done.value);
    });
    eventually("the hog runs", [&] { return runs.load(); });
    for (int i = 0; i < 100; ++i) storm.strike();
    CHECK((done.value || !kSignals) == !kSignals);
    done.raise();
    hog.join();
  }
  if (kSignals) CHECK(rt.stats().total.demotions_async >= 1);
  check_books(rt);
}

TEST_CASE("hogs in regions of one worker are preempted while others of them are parked") {
  runtime_options options = one_worker();
  options.slice = 200us;
  runtime rt(options);
  Flag done;
  end_if_no_signals(done);
  std::vector<join_handle<>> hogs;
  std::atomic<int> begun{0};
  for (int i = 0; i < 8; ++i) {
    hogs.push_back(rt.spawn({}, [&] {
      ++begun;
      const async_region region;
      spin_in_section(&done.value);
    }));
  }
  eventually("each has begun, and the first has come round again",
             [&] { return begun == 8 && (!kSignals || rt.stats().total.demotions_async >= 20); });
  done.raise();
  for (auto& hog : hogs) hog.join();
  check_books(rt);
}

TEST_CASE("code outside the section is not interrupted, and gives way when its region ends") {
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  std::vector<int> order;
  auto hog = rt.spawn({}, [&] {
    {
      const async_region region;
      done.begun = true;
      spin_elsewhere(&done.value);
      order.push_back(1);
    }
    order.push_back(3);
  });
  done.await_begin();
  auto other = rt.spawn({}, [&] { order.push_back(2); });
  if (kSignals) {
    eventually("signals are refused", [&] { return rt.stats().total.signals_refused_text >= 3; });
    done.raise();
  }
  hog.join();
  other.join();
  CHECK(order.size() == 3);
  CHECK(order[0] == 1);
  if (kSignals) CHECK(rt.stats().total.demotions_safepoint >= 1);
  CHECK(rt.stats().total.demotions_async == 0);
  check_books(rt);
}

TEST_CASE("a guard within a region keeps signals out, and honours the request when it ends") {
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  std::vector<int> order;
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    {
      const nopreempt guard;
      done.begun = true;
      spin_in_section(&done.value);
      order.push_back(1);
    }
    order.push_back(3);
  });
  done.await_begin();
  auto other = rt.spawn({}, [&] { order.push_back(2); });
  if (kSignals) {
    eventually("signals are refused",
               [&] { return rt.stats().total.signals_refused_nopreempt >= 3; });
    done.raise();
  }
  hog.join();
  other.join();
  CHECK(order.size() == 3);
  CHECK(order[0] == 1);
  if (kSignals) CHECK(rt.stats().total.demotions_safepoint >= 1);
  CHECK(rt.stats().total.demotions_async == 0);
  check_books(rt);
}

TEST_CASE("nobody is signalled without a region, whatever section it runs in") {
  runtime rt(one_worker());
  Flag done;
  auto hog = rt.spawn({}, [&] {
    done.begun = true;
    spin_in_section(&done.value);
  });
  done.await_begin();
  auto other = rt.spawn({}, [] {});
  const auto looks = rt.stats().monitor_looks;
  eventually("the monitor looks", [&] { return rt.stats().monitor_looks >= looks + 5; });
  CHECK(rt.stats().total.signals_sent == 0);
  done.raise();
  hog.join();
  other.join();
  check_books(rt);
}

TEST_CASE("a region that nobody waits for gets no signal") {
  runtime rt(one_worker());
  Flag done;
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    done.begun = true;
    spin_in_section(&done.value);
  });
  done.await_begin();
  const auto looks = rt.stats().monitor_looks;
  eventually("the monitor looks", [&] { return rt.stats().monitor_looks >= looks + 3; });
  CHECK(rt.stats().total.signals_sent == 0);
  done.raise();
  hog.join();
}

TEST_CASE("regions nest, and outside of tasks they do nothing") {
  {
    const async_region outside;
    const async_region nested;
  }
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  auto hog = rt.spawn({}, [&] {
    const async_region outer;
    done.begun = true;
    {
      const async_region inner;
    }
    spin_in_section(&done.value);  // still in the outer one
  });
  done.await_begin();
  rt.spawn({}, [&] { done.raise(); }).join();
  hog.join();
  CHECK((rt.stats().total.demotions_async >= 1) == kSignals);
  check_books(rt);
}

TEST_CASE("a stack may wait, give way and lose its core within a region") {
  runtime_options options = workers(2);
  options.handoff_after = 1ms;
  options.slice = 200us;
  runtime rt(options);
  std::atomic<int> ended{0};
  std::vector<join_handle<>> tasks;
  for (int i = 0; i < 8; ++i) {
    tasks.push_back(rt.spawn({}, [&] {
      for (int k = 0; k < 10; ++k) {
        Flag done;
        const async_region region;
        await_here(sleep_for(50us));
        preempt_point();
        blocking([&] { done.raise(); });
        spin_in_section(&done.value);
        const auto until = std::chrono::steady_clock::now() + 1ms;  // the C library's code
        while (std::chrono::steady_clock::now() < until) {
        }
      }
      ++ended;
    }));
  }
  for (auto& task : tasks) task.join();
  CHECK(ended == 8);
  check_books(rt);
}

TEST_CASE("a loop that refuses all signals loses its core in the end") {
  runtime_options options = one_worker();
  options.handoff_after = 2ms;
  runtime rt(options);
  Flag done;
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    done.begun = true;
    spin_elsewhere(&done.value);
  });
  done.await_begin();
  rt.spawn({}, [&] { done.raise(); }).join();
  hog.join();
  CHECK(rt.stats().handoffs >= 1);
  check_books(rt);
}

TEST_CASE("a task that wakes something more important in its region is interrupted by it") {
  runtime rt(one_worker());
  Flag done;
  end_if_no_signals(done);
  auto hog = rt.spawn({.qos = qos::utility}, [&] {
    const async_region region;
    spawn({.qos = qos::urgent}, [&] { done.raise(); }).detach();
    spin_in_section(&done.value);
  });
  hog.join();
  rt.wait_idle();
  CHECK(done.value);
  check_books(rt);
}

TEST_CASE("on a stack too small for a signal frame a region is inert") {
  runtime_options options = one_worker();
  options.stack_size = 16 * 1024;
  options.handoff_after = 2ms;  // what is left to get the worker back with
  runtime rt(options);
  Flag done;
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    done.begun = true;
    spin_in_section(&done.value);
  });
  done.await_begin();
  rt.spawn({}, [&] { done.raise(); }).join();
  hog.join();
  if (!kSanitized) CHECK(rt.stats().total.signals_sent == 0);
  check_books(rt);
}

namespace {

/// Goes down until `room` bytes are left of the stack that began at `top`, then spins.
[[gnu::section("paceline_async")]] [[gnu::noinline]] int spin_deep(const char* top,
                                                                   std::size_t room,
                                                                   const bool* done) {
  volatile char here[512];
  here[0] = 1;
  if (static_cast<std::size_t>(top - const_cast<const char*>(here)) < room) {
    return spin_deep(top, room, done) + here[0];
  }
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
  }
  return here[0];
}

}  // namespace

TEST_CASE("a region gives way down to the last bytes that a signal frame needs") {
  // Kept free: two frames and what the switch takes. See async_region. AddressSanitizer gives its
  // stacks eight times the room and needs more of it.
  constexpr bool kRoomy = kSanitized && kSignals;
  constexpr std::size_t kKept = (kRoomy ? 128 : 38) * 1024;
  runtime_options options = one_worker();
  options.stack_size = 64 * 1024;
  runtime rt(options);
  Flag done;
  end_if_no_signals(done);
  const std::size_t stack = options.stack_size * (kRoomy ? 8 : 1);
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    done.begun = true;
    const char top = 0;
    CHECK(spin_deep(&top, stack - kKept - 2048, &done.value) > 0);
  });
  done.await_begin();
  rt.spawn({}, [&] { done.raise(); }).join();
  hog.join();
  if (kSignals) CHECK(rt.stats().total.demotions_async >= 1);
  check_books(rt);
}
