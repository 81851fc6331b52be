// SPDX-License-Identifier: BSL-1.0
// Proves the timer wheel at its borders: each level +-1 tick, past, zero, maximal deadlines, equal
// deadlines by the thousand, cancel against fire (failure L15). Random sequences against a model:
// timers_fuzz_test.cpp.
#include "sched/timers.hpp"

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/sched/timer_bench.hpp"

using namespace paceline::core;
using paceline::detail::TimerNode;
using paceline_test::Timers;

namespace {

constexpr Nanos kTick = TimerWheel::kTick;

/// The last moment at which a node must have fired if the wheel is asked then.
Nanos due(Nanos deadline) { return (deadline + kTick - 1) / kTick * kTick; }

}  // namespace

TEST_CASE("an empty wheel is never due and fires nothing") {
  TimerWheel wheel(12'345);
  REQUIRE(wheel.next_expiry() == kForever);
  REQUIRE(wheel.expire(kForever) == 0);
  REQUIRE(wheel.next_expiry() == kForever);
}

TEST_CASE("a timer fires when its tick is over and not a nanosecond before") {
  // Around every border of the nine levels, from a wheel whose time stands on, before and after it.
  for (unsigned level = 0; level < TimerWheel::kLevels; ++level) {
    const unsigned shift = TimerWheel::kTickShift + 6 * level;
    if (shift >= 62) break;
    for (const Nanos start : {Nanos{0}, kTick - 1, kTick, (Nanos{1} << shift) - kTick,
                              Nanos{1} << shift, (Nanos{1} << shift) * 3 + kTick}) {
      for (const Nanos beyond : {-kTick - 1, -kTick, Nanos{-1}, Nanos{0}, Nanos{1}, kTick}) {
        const Nanos deadline = start + (Nanos{1} << shift) + beyond;
        if (deadline <= start) continue;
        Timers timers;
        TimerWheel wheel(start);
        TimerNode& node = timers.node(deadline);
        wheel.arm(node);
        INFO("level " << level << " start " << start << " deadline " << deadline);
        REQUIRE(wheel.next_expiry() <= due(deadline));
        REQUIRE(wheel.expire(deadline - 1) == 0);
        REQUIRE_FALSE(Timers::fired(node));
        REQUIRE(wheel.expire(due(deadline)) == 1);
        REQUIRE(Timers::fired(node));
        REQUIRE(wheel.next_expiry() == kForever);
      }
    }
  }
}

TEST_CASE("a timer is reached by looking only when the wheel says so") {
  // No look between: a cascade must not depend on somebody passing by every tick.
  for (const Nanos deadline :
       {kTick, 63 * kTick, 64 * kTick, 65 * kTick, 4095 * kTick, 4096 * kTick, 4097 * kTick,
        kSecond, 3600 * kSecond, 24 * 365 * 3600 * kSecond, Nanos{1} << 61}) {
    Timers timers;
    TimerWheel wheel(777);
    TimerNode& node = timers.node(777 + deadline);
    wheel.arm(node);
    unsigned looks = 0;
    while (!Timers::fired(node)) {
      const Nanos look = wheel.next_expiry();
      REQUIRE(look <= due(777 + deadline));
      REQUIRE(wheel.expire(look) + (wheel.next_expiry() > look ? 1 : 0) > 0);
      REQUIRE(++looks <= TimerWheel::kLevels);
    }
  }
}

TEST_CASE("deadlines in the past fire at the next look") {
  for (const Nanos deadline : {std::numeric_limits<Nanos>::min(), Nanos{-1}, Nanos{0}, Nanos{1},
                               kSecond - kTick, kSecond}) {
    Timers timers;
    TimerWheel wheel(kSecond);
    TimerNode& node = timers.node(deadline);
    wheel.arm(node);
    REQUIRE(wheel.next_expiry() <= due(kSecond));
    REQUIRE(wheel.expire(due(kSecond)) == 1);
    REQUIRE(Timers::fired(node));
  }
}

TEST_CASE("the farthest deadlines are kept, cancelled and never fire early") {
  for (const Nanos deadline : {kForever, kForever - 1, kForever - kTick, kForever / 2 + 1}) {
    Timers timers;
    TimerWheel wheel(kSecond);
    TimerNode& node = timers.node(deadline);
    TimerNode& near = timers.node(2 * kSecond);
    wheel.arm(node);
    wheel.arm(near);
    REQUIRE(wheel.expire(3 * kSecond) == 1);
    REQUIRE_FALSE(Timers::fired(node));
    REQUIRE(wheel.expire(kForever / 2) == 0);
    REQUIRE(wheel.cancel(node));
    REQUIRE_FALSE(Timers::fired(node));
    REQUIRE(wheel.expire(kForever) == 0);
    REQUIRE(wheel.next_expiry() == kForever);
  }
}

TEST_CASE("thousands of equal deadlines fire together and once") {
  Timers timers;
  TimerWheel wheel(0);
  std::vector<TimerNode*> nodes;
  for (int i = 0; i < 5'000; ++i) {
    nodes.push_back(&timers.node(kSecond));
    wheel.arm(*nodes.back());
  }
  REQUIRE(wheel.expire(kSecond - 1) == 0);
  REQUIRE(wheel.expire(due(kSecond)) == 5'000);
  for (const TimerNode* node : nodes) REQUIRE(Timers::fired(*node));
  REQUIRE(wheel.expire(2 * kSecond) == 0);
}

TEST_CASE("timers of one tick fire in the order they were armed") {
  Timers timers;
  TimerWheel wheel(0);
  std::vector<TimerNode*> nodes;
  for (int i = 0; i < 10; ++i) {
    nodes.push_back(&timers.node(kSecond));
    wheel.arm(*nodes.back());
  }
  REQUIRE(wheel.cancel(*nodes[4]));
  // At each completion, how many of them have fired in front, without a gap.
  const auto in_front = [&nodes] {
    std::size_t n = 0;
    for (const TimerNode* node : nodes) {
      if (node == nodes[4]) continue;
      if (!Timers::fired(*node)) break;
      ++n;
    }
    return n;
  };
  std::vector<std::size_t> seen;
  timers.on_completion([&] { seen.push_back(in_front()); });
  REQUIRE(wheel.expire(due(kSecond)) == 9);
  REQUIRE(seen == std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("a cancelled timer never fires and a fired one cannot be cancelled") {
  Timers timers;
  TimerWheel wheel(0);
  TimerNode& cancelled = timers.node(kSecond);
  TimerNode& fires = timers.node(kSecond);
  wheel.arm(cancelled);
  wheel.arm(fires);
  REQUIRE(wheel.cancel(cancelled));
  REQUIRE_FALSE(wheel.cancel(cancelled));
  REQUIRE(wheel.expire(2 * kSecond) == 1);
  REQUIRE_FALSE(Timers::fired(cancelled));
  REQUIRE_FALSE(wheel.cancel(fires));
}

TEST_CASE("a node can be armed again after it fired or was cancelled") {
  Timers timers;
  TimerWheel wheel(0);
  TimerNode& node = timers.node(kSecond);
  for (Nanos round = 1; round < 50; ++round) {
    node.deadline_ns = round * kSecond;
    node.ready = 0;
    wheel.arm(node);
    if (round % 3 == 0) {
      REQUIRE(wheel.cancel(node));
      node.deadline_ns += 5 * kTick;
      wheel.arm(node);
    }
    REQUIRE(wheel.expire(due(node.deadline_ns)) == 1);
    REQUIRE(Timers::fired(node));
  }
}

TEST_CASE("cancelling the earliest timer costs at most one early look") {
  Timers timers;
  TimerWheel wheel(0);
  TimerNode& early = timers.node(10 * kTick);
  TimerNode& late = timers.node(50 * kTick);
  wheel.arm(early);
  wheel.arm(late);
  REQUIRE(wheel.cancel(early));
  REQUIRE(wheel.next_expiry() <= 50 * kTick);
  REQUIRE(wheel.expire(10 * kTick) == 0);
  REQUIRE(wheel.next_expiry() == 50 * kTick);  // corrected: no second early look
  REQUIRE(wheel.expire(50 * kTick) == 1);
}

TEST_CASE("a look with an older time than the last one fires nothing and loses nothing") {
  // A watcher may look at another worker's wheel with a slightly older time of its own.
  Timers timers;
  TimerWheel wheel(0);
  TimerNode& first = timers.node(kSecond);
  wheel.arm(first);
  REQUIRE(wheel.expire(2 * kSecond) == 1);
  TimerNode& second = timers.node(kSecond + 1);  // before the wheel's time, after the old look
  wheel.arm(second);
  REQUIRE(wheel.expire(kSecond / 2) == 0);
  REQUIRE_FALSE(Timers::fired(second));
  REQUIRE(wheel.expire(due(2 * kSecond)) == 1);
}

TEST_CASE("a wheel that slept for years fires all at once") {
  Timers timers;
  TimerWheel wheel(0);
  constexpr Nanos kYear = 365 * 24 * 3600 * kSecond;
  for (Nanos i = 1; i <= 1'000; ++i) wheel.arm(timers.node(i * 3600 * kSecond));
  TimerNode& later = timers.node(100 * kYear);
  wheel.arm(later);
  REQUIRE(wheel.expire(50 * kYear) == 1'000);
  REQUIRE_FALSE(Timers::fired(later));
  REQUIRE(wheel.expire(100 * kYear + kTick) == 1);
}

TEST_CASE("of cancel and fire on two threads exactly one wins") {
  Timers timers;
  TimerWheel wheel(0);
  constexpr int kRounds = 20'000;
  std::atomic<int> round{0};
  std::atomic<TimerNode*> shared{nullptr};
  std::atomic<int> cancelled{0};
  std::thread canceller([&] {
    for (int r = 1; r <= kRounds; ++r) {
      while (round.load() < r) std::this_thread::yield();
      if (wheel.cancel(*shared.load())) cancelled.fetch_add(1);
      round.store(-r);
    }
  });
  TimerNode& node = timers.node(0);
  std::size_t fired = 0;
  int seen_ready = 0;
  for (int r = 1; r <= kRounds; ++r) {
    node.deadline_ns = r * kSecond;
    node.ready = 0;
    wheel.arm(node);
    shared.store(&node);
    round.store(r);
    fired += wheel.expire(r * kSecond + kTick);
    while (round.load() != -r) std::this_thread::yield();
    seen_ready += Timers::fired(node) ? 1 : 0;
  }
  canceller.join();
  REQUIRE(static_cast<int>(fired) + cancelled.load() == kRounds);
  REQUIRE(seen_ready == static_cast<int>(fired));
  REQUIRE(wheel.next_expiry() >= kRounds * kSecond);
}
