// SPDX-License-Identifier: BSL-1.0
// stats: what is counted is exact at rest, and the books balance.
#include "fixtures.hpp"

#include <optional>
#include <thread>

using namespace paceline;
using namespace paceline_test;

namespace {

task<> yields(int times) {
  for (int i = 0; i < times; ++i) co_await yield();
}

worker_stats sum_of(const runtime_stats& stats) {
  worker_stats sum;
  for (const worker_stats& each : stats.workers) {
    sum.spawned += each.spawned;
    sum.completed += each.completed;
    sum.polls += each.polls;
    sum.wakes += each.wakes;
    sum.coalesced_wakes += each.coalesced_wakes;
    sum.stale_wakes += each.stale_wakes;
    sum.steals += each.steals;
    sum.tasks_stolen += each.tasks_stolen;
    sum.parks += each.parks;
    sum.unparks += each.unparks;
  }
  return sum;
}

/// Keeps the one worker busy until released, so that what happens meanwhile is all pending at once.
class Busy {
 public:
  explicit Busy(runtime& rt, std::optional<std::size_t> core = std::nullopt) {
    auto body = [this] {
      busy_ = true;
      while (!release_) std::this_thread::yield();
    };
    handle_ = rt.spawn({.core = core}, body);
    eventually("the worker is busy", [&] { return busy_.load(); });
  }
  void release() {
    release_ = true;
    handle_.join();
  }

 private:
  std::atomic<bool> busy_{false};
  std::atomic<bool> release_{false};
  join_handle<> handle_;
};

}  // namespace

TEST_CASE("a new runtime has done nothing") {
  runtime rt(workers(3));
  const runtime_stats stats = rt.stats();
  CHECK(stats.workers.size() == 3);
  CHECK(stats.total.spawned == 0);
  CHECK(stats.total.completed == 0);
  CHECK(stats.total.polls == 0);
  CHECK(stats.total.unhandled == 0);
  CHECK(stats.live == 0);
  CHECK(stats.pinned_workers <= 3);
}

TEST_CASE("spawned, completed and polls are exact on one worker") {
  runtime rt(one_worker());
  for (int i = 0; i < 10; ++i) rt.spawn(yields(3)).detach();
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.spawned == 10);
  CHECK(stats.total.completed == 10);
  CHECK(stats.total.polls == 10 * 4);
  CHECK(stats.total.wakes == 0);
  CHECK(stats.live == 0);
}

TEST_CASE("live counts tasks that were spawned and have not ended") {
  runtime rt(workers(2));
  Gate gate;
  auto body = [&gate]() -> task<> { co_await gate.pass(); };
  std::vector<join_handle<>> handles;
  for (int i = 0; i < 5; ++i) handles.push_back(rt.spawn({}, body));
  eventually("all wait", [&] { return gate.arrived() == 5; });
  CHECK(rt.stats().live == 5);
  gate.open();
  for (auto& handle : handles) handle.join();
  CHECK(rt.stats().live == 0);
}

TEST_CASE("who joins a task finds it counted as completed") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 500 : 5000;
  int missing = 0;
  for (int i = 1; i <= kRounds; ++i) {
    rt.spawn(yields(0)).join();
    missing += rt.stats().total.completed == static_cast<std::uint64_t>(i) ? 0 : 1;
  }
  CHECK(missing == 0);
}

TEST_CASE("a task woken k times before its poll is polled once; the other wakes are coalesced") {
  runtime rt(one_worker());
  for (const int k : {1, 2, 3, 10, 100}) {
    std::atomic<bool> ready{false};
    std::atomic<bool> armed{false};
    waker wake_it;
    auto body = [&]() -> task<> {
      co_await suspend_until([&ready]() noexcept { return ready.load(); },
                             [&](waker self) {
                               wake_it = self;
                               armed = true;
                             });
    };
    join_handle<> handle = rt.spawn({}, body);
    eventually("it waits", [&] { return armed.load(); });
    Busy busy(rt);
    const runtime_stats before = rt.stats();
    ready = true;
    for (int i = 0; i < k; ++i) wake_it.wake();
    busy.release();
    handle.join();
    rt.wait_idle();
    const runtime_stats after = rt.stats();
    CHECK(after.total.polls == before.total.polls + 1);
    CHECK(after.total.wakes == before.total.wakes + static_cast<std::uint64_t>(k));
    CHECK(after.total.coalesced_wakes ==
          before.total.coalesced_wakes + static_cast<std::uint64_t>(k - 1));
    CHECK(after.total.stale_wakes == before.total.stale_wakes);
  }
}

TEST_CASE("a wake that comes too early is counted as stale and polls nobody") {
  runtime rt(one_worker());
  Gate gate;
  waker wake_it;
  auto body = [&]() -> task<> {
    wake_it = this_task::waker();
    co_await gate.pass();
  };
  join_handle<> handle = rt.spawn({}, body);
  eventually("it waits", [&] { return gate.arrived() == 1; });
  rt.block_on(forty_two());
  const runtime_stats before = rt.stats();
  for (int i = 0; i < 5; ++i) {
    wake_it.wake();
    rt.block_on(yields(0));
  }
  const runtime_stats after = rt.stats();
  CHECK(after.total.polls == before.total.polls + 5);  // those of the five yields(0)
  CHECK(after.total.stale_wakes == before.total.stale_wakes + 5);
  gate.open();
  handle.join();
}

TEST_CASE("tasks that wait behind a long poll are stolen, and that is counted") {
  runtime rt(workers(2));
  auto body = [](runtime& self) -> task<bool> {
    std::atomic<int> ran{0};
    auto child = [&ran] { ++ran; };
    std::vector<join_handle<>> children;
    for (int i = 0; i < 100; ++i) children.push_back(spawn({}, child));
    // This worker does not come to them: only the other one can.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (ran != 100 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    const bool all = ran == 100;
    for (auto& handle : children) co_await std::move(handle);
    co_return all&& self.workers() == 2;
  };
  CHECK(rt.spawn({}, body, std::ref(rt)).join());
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.steals >= 1);
  CHECK(stats.total.tasks_stolen >= 100);
  CHECK(stats.total.completed == 101);
}

TEST_CASE("the total is the sum of the workers plus what came from outside") {
  runtime rt(workers(2));
  constexpr int kOutside = 200;
  auto parent = []() -> task<> {
    auto [a, b] = co_await when_all(forty_two(), forty_two());
    spawn(yields(a + b - 80)).detach();
    co_await sleep_for(std::chrono::microseconds(10));
  };
  for (int i = 0; i < kOutside; ++i) rt.spawn({}, parent).detach();
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  const worker_stats sum = sum_of(stats);
  CHECK(stats.total.spawned == kOutside * 4);
  CHECK(sum.spawned == kOutside * 3);
  CHECK(stats.total.completed == stats.total.spawned);
  CHECK(sum.completed == stats.total.completed);
  CHECK(sum.polls == stats.total.polls);
  CHECK(sum.wakes == stats.total.wakes);
  CHECK(sum.coalesced_wakes == stats.total.coalesced_wakes);
  CHECK(sum.stale_wakes == stats.total.stale_wakes);
  CHECK(sum.steals == stats.total.steals);
  CHECK(sum.tasks_stolen == stats.total.tasks_stolen);
  CHECK(sum.parks == stats.total.parks);
  CHECK(sum.unparks == stats.total.unparks);
  CHECK(stats.live == 0);
}

TEST_CASE("refused spawns and failed schedules leave the books balanced") {
  runtime rt(one_worker());
  rt.block_on(forty_two());
  rt.request_stop();
  for (int i = 0; i < 10; ++i) CHECK_THROWS_AS(rt.spawn(yields(1)), runtime_stopped);
  rt.wait_idle();
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.spawned == 1);
  CHECK(stats.total.completed == 1);
  CHECK(stats.live == 0);
}

TEST_CASE("an idle worker sleeps: it parks after work and is unparked by the next") {
  runtime rt(one_worker());
  constexpr std::uint64_t kRounds = 50;
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    rt.block_on(yields(0));
    rt.wait_idle();
  }
  eventually("it sleeps in the end", [&] { return rt.stats().total.parks >= 1; });
  const runtime_stats stats = rt.stats();
  CHECK(stats.total.unparks >= kRounds - 1);
  CHECK(stats.total.polls == kRounds);
}

TEST_CASE("stats may be read all the time by many threads") {
  runtime rt(workers(2));
  std::atomic<bool> end{false};
  std::atomic<int> backwards{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      runtime_stats last = rt.stats();
      while (!end) {
        const runtime_stats now = rt.stats();
        if (now.total.completed < last.total.completed || now.total.polls < last.total.polls) {
          ++backwards;
        }
        last = now;
      }
    });
  }
  for (int i = 0; i < (kSanitized ? 200 : 2000); ++i) rt.block_on(yields(3));
  end = true;
  for (auto& reader : readers) reader.join();
  CHECK(backwards.load() == 0);
}
