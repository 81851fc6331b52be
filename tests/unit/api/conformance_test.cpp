// SPDX-License-Identifier: BSL-1.0
// Conformance statements 1 to 6 and 11 (policies.md, section 7) and failures W3 and W17, through
// the public API alone. Exact schedules of the same statements are explored in tests/model.
#include "fixtures.hpp"

#include <memory>
#include <random>
#include <thread>

#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// Notices when two threads are inside at once.
class Exclusive {
 public:
  void enter() noexcept {
    if (inside_.exchange(true, std::memory_order_acq_rel)) broken_ = true;
  }
  void leave() noexcept { inside_.store(false, std::memory_order_release); }
  bool broken() const noexcept { return broken_; }

 private:
  std::atomic<bool> inside_{false};
  std::atomic<bool> broken_{false};
};

}  // namespace

TEST_CASE("statement 1: wakes before the poll add up to one poll") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 100 : 1000;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> looks{0};
    std::atomic<bool> ready{false};
    std::atomic<bool> armed{false};
    waker wake_it;
    auto body = [&]() -> task<> {
      co_await suspend_until([&]() noexcept { return ready.load(std::memory_order_relaxed); },
                             [&](waker self) {
                               wake_it = self;
                               armed = true;
                             });
      ++looks;
    };
    join_handle<> handle = rt.spawn({}, body);
    while (!armed) std::this_thread::yield();
    ready = true;
    for (int i = 0; i <= round % 4; ++i) wake_it.wake();
    handle.join();
    CHECK(looks.load() == 1);
  }
  rt.wait_idle();
  CHECK(rt.stats().total.polls == 2 * kRounds);
}

TEST_CASE("statement 2: a wake during the poll makes the task look again after it suspends") {
  runtime rt(workers(2));
  // PACELINE_TEST_SCALE=10 makes the million of the statement; 350 does under a sanitizer.
  const int rounds_wanted = (kSanitized ? 3'000 : 100'000) * static_cast<int>(test_scale());
  std::atomic<int> armed{0};
  std::atomic<int> answered{0};
  std::atomic<waker*> target{nullptr};
  // Answers every arm with one wake, now during the poll, now after it.
  std::thread answerer([&] {
    std::minstd_rand random(1);
    for (int i = 1; i <= rounds_wanted; ++i) {
      while (armed.load(std::memory_order_acquire) < i) {
        if (armed < i) std::this_thread::yield();
      }
      const waker wake_it = *target.load(std::memory_order_acquire);
      for (auto spin = random() % 64; spin > 0; --spin)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      answered.store(i, std::memory_order_relaxed);
      wake_it.wake();
    }
  });
  const int rounds = rt.block_on([](auto& arm, auto& answer, auto& to, int wanted) -> task<int> {
    waker self;
    std::minstd_rand random(2);
    int passed = 0;
    for (int i = 1; i <= wanted; ++i) {
      co_await suspend_until(
          [&answer, i]() noexcept { return answer.load(std::memory_order_relaxed) >= i; },
          [&](waker mine) {
            self = mine;
            to.store(&self, std::memory_order_release);
            arm.store(i, std::memory_order_release);
            for (auto spin = random() % 64; spin > 0; --spin) {
              std::atomic_signal_fence(std::memory_order_seq_cst);
            }
          });
      ++passed;
    }
    co_return passed;
  }(armed, answered, target, rounds_wanted));
  answerer.join();
  CHECK(rounds == rounds_wanted);
}

TEST_CASE("statement 3: a task that ends with wakes pending is freed once and never polled again") {
  runtime rt(workers(2));
  std::atomic<int> live{0};
  std::atomic<waker*> target{nullptr};
  std::atomic<bool> end{false};
  std::vector<std::thread> pests;
  for (int t = 0; t < 2; ++t) {
    pests.emplace_back([&] {
      while (!end) {
        if (const waker* known = target.load(std::memory_order_acquire)) known->wake();
      }
    });
  }
  // Wakers stay readable: the pests copy from a place that is never written twice.
  constexpr int kRounds = kSanitized ? 300 : 3'000;
  std::vector<waker> wakers(kRounds);
  auto body = [&](int i, Counted) -> task<> {
    wakers[static_cast<std::size_t>(i)] = this_task::waker();
    target.store(&wakers[static_cast<std::size_t>(i)], std::memory_order_release);
    co_await yield();
  };
  for (int i = 0; i < kRounds; ++i) rt.spawn({}, body, i, Counted(live)).join();
  end = true;
  for (auto& pest : pests) pest.join();
  rt.wait_idle();
  CHECK(live.load() == 0);
  CHECK(rt.stats().total.polls == 2 * kRounds);
  CHECK(rt.stats().total.completed == kRounds);
}

TEST_CASE("statement 4: no task ever runs twice at once, whoever steals, wakes and dumps") {
  runtime rt(workers(4));
  constexpr int kTasks = 64;
  constexpr int kPolls = kSanitized ? 100 : 1'000;
  std::vector<Exclusive> guards(kTasks);
  std::atomic<bool> end{false};
  std::mutex mutex;
  std::vector<waker> wakers;
  std::thread pest([&] {
    while (!end) {
      std::vector<waker> copy;
      {
        const std::lock_guard lock(mutex);
        copy = wakers;
      }
      for (const waker& each : copy) each.wake();
      std::this_thread::yield();
    }
  });
  auto body = [&](Exclusive& guard, unsigned seed) -> task<long> {
    {
      const std::lock_guard lock(mutex);
      wakers.push_back(this_task::waker());
    }
    std::minstd_rand random(seed);
    long counted = 0;
    for (int i = 0; i < kPolls; ++i) {
      guard.enter();
      ++counted;
      if (random() % 16 == 0) std::this_thread::yield();
      guard.leave();
      switch (random() % 4) {
        case 0: co_await sleep_for(std::chrono::microseconds(random() % 20)); break;
        case 1: this_task::set_qos(static_cast<qos>(random() % 6)); [[fallthrough]];
        default: co_await yield(); break;
      }
    }
    co_return counted;
  };
  std::vector<join_handle<long>> handles;
  for (int i = 0; i < kTasks; ++i) {
    handles.push_back(rt.spawn({}, body, std::ref(guards[static_cast<std::size_t>(i)]),
                               static_cast<unsigned>(i + 1)));
  }
  long counted = 0;
  for (auto& handle : handles) counted += handle.join();
  end = true;
  pest.join();
  CHECK(counted == static_cast<long>(kTasks) * kPolls);
  int broken = 0;
  for (const Exclusive& guard : guards) broken += guard.broken() ? 1 : 0;
  CHECK(broken == 0);
}

TEST_CASE("statement 5: the next tenant of a slot is not resumed by its predecessor's wakers") {
  runtime rt(one_worker());
  for (int round = 0; round < 100; ++round) {
    const waker stale = rt.block_on([]() -> task<waker> { co_return this_task::waker(); }());
    Gate gate;
    std::atomic<int> resumed{0};
    auto tenant = [&]() -> task<> {
      co_await gate.pass();
      ++resumed;
    };
    join_handle<> handle = rt.spawn({}, tenant);
    eventually("the tenant waits", [&] { return gate.arrived() == 1; });
    for (int i = 0; i < 10; ++i) stale.wake();
    rt.block_on(forty_two());
    CHECK(resumed.load() == 0);
    gate.open();
    handle.join();
  }
}

TEST_CASE("statement 6: work for parked workers starts without waiting for any tick") {
  // A tick of a second, or of the least timer, would make these rounds miss the limit.
  runtime rt(workers(3));
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  constexpr int kRounds = 1'000;
  int done = 0;
  for (int i = 0; i < kRounds && std::chrono::steady_clock::now() < limit; ++i) {
    rt.wait_idle();
    switch (i % 3) {
      case 0: rt.spawn(forty_two()).join(); break;
      case 1: rt.spawn(forty_two(), {.core = static_cast<std::size_t>(i % 3)}).join(); break;
      default: {
        Gate gate;
        auto body = [&gate]() -> task<> { co_await gate.pass(); };
        join_handle<> handle = rt.spawn({}, body);
        while (gate.arrived() == 0) std::this_thread::yield();
        gate.open();
        handle.join();
      }
    }
    ++done;
  }
  CHECK(done == kRounds);
}

TEST_CASE(
    "statement 11: wait_idle returns after every worker is done, with stolen tasks in flight") {
  runtime rt(workers(3));
  constexpr int kRounds = kSanitized ? 50 : 500;
  int left_over = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> live{0};
    std::atomic<int> ended{0};
    auto leaf = [&](Counted) { ++ended; };
    auto burst = [&](Counted) -> task<> {
      for (int i = 0; i < 60; ++i) spawn({}, leaf, Counted(live)).detach();
      // Its own tasks wait behind it: thieves come.
      for (int spin = 0; spin < 20 && ended == 0; ++spin) std::this_thread::yield();
      co_return;
    };
    rt.spawn({}, burst, Counted(live)).detach();
    rt.wait_idle();
    left_over += live != 0 || ended != 60 ? 1 : 0;
  }
  CHECK(left_over == 0);
  CHECK(rt.stats().live == 0);
}

TEST_CASE("tasks are stolen, cancelled and completed at once, and each is counted once (W17)") {
  runtime rt(workers(4));
  std::atomic<int> live{0};
  constexpr int kRounds = kSanitized ? 10 : 60;
  std::uint64_t expected = 0;
  long ended = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto leaf = [](int i, Counted) -> task<int> {
      if (i % 3 == 0) co_await yield();
      if (i % 7 == 0) co_await sleep_for(std::chrono::microseconds(i % 30));
      if (i % 11 == 0) co_await sleep_for(std::chrono::hours(1));
      co_return 1;
    };
    auto parent = [&]() -> task<std::vector<join_handle<int>>> {
      std::vector<join_handle<int>> children;
      for (int i = 0; i < 100; ++i) children.push_back(spawn({}, leaf, i, Counted(live)));
      for (int spin = 0; spin < 50; ++spin) std::this_thread::yield();
      co_return children;
    };
    std::vector<join_handle<int>> children = rt.block_on(parent());
    std::thread canceller([&] {
      for (auto& child : children) child.request_stop();
    });
    canceller.join();
    for (auto& child : children) {
      try {
        ended += child.join();
      } catch (const operation_cancelled&) {
        ++ended;
      }
    }
    expected += 101;
  }
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(ended == 100L * kRounds);
  CHECK(stats.total.spawned == expected);
  CHECK(stats.total.completed == expected);
  CHECK(stats.live == 0);
  CHECK(live.load() == 0);
}
