// SPDX-License-Identifier: BSL-1.0
// Loans: what a more important task awaits has its turns in that one's class.
// How soon is counted in polls of busy tasks of the important class, not in time: without a loan
// there are as many of those as fit into a deadline of the background class.
#include "fixtures.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

const spawn_options kImportant{.qos = qos::user_interactive};
const spawn_options kBackground{.qos = qos::background};

/// Tasks of the important class that are always ready.
class Crowd {
 public:
  explicit Crowd(runtime& rt, std::size_t count = 4) {
    for (std::size_t i = 0; i < count; ++i) members_.push_back(rt.spawn(busy(), kImportant));
    eventually("the crowd is busy", [this] { return polls() > 1000; });
  }
  ~Crowd() {
    over_ = true;
    for (auto& member : members_) member.join();
  }
  std::uint64_t polls() const noexcept { return polls_.load(std::memory_order_relaxed); }

 private:
  task<> busy() {
    while (!over_.load(std::memory_order_relaxed)) {
      polls_.fetch_add(1, std::memory_order_relaxed);
      co_await yield();
    }
  }
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> polls_{0};
  std::vector<join_handle<>> members_;
};

/// Far more than the turns that the tests need, far fewer than fit into a deadline.
constexpr std::uint64_t kSoon = 3'000;

task<int> yields(int times) {
  for (int i = 0; i < times; ++i) co_await yield();
  co_return times;
}

task<int> passes(Gate& gate) {
  co_await gate.pass();
  co_return 1;
}

}  // namespace

TEST_CASE(
    "statement 35: a background task that an important one awaits has its turns in its class") {
  runtime rt(one_worker());
  Crowd crowd(rt);
  const auto body = [&]() -> task<std::uint64_t> {
    join_handle<int> child = spawn(yields(20), kBackground);
    const std::uint64_t before = crowd.polls();
    co_await std::move(child);
    co_return crowd.polls() - before;
  };
  for (int i = 0; i < 20; ++i) CHECK(rt.spawn(body(), kImportant).join() < kSoon);
}

TEST_CASE("statement 35: the loan is passed on to what the awaited task awaits itself") {
  runtime rt(one_worker());
  Crowd crowd(rt);
  const auto middle = []() -> task<int> {
    int sum = 0;
    sum += co_await yields(3);
    join_handle<int> inner = spawn(yields(5));
    sum += co_await std::move(inner);
    const auto [a, b] = co_await when_all(yields(5), yields(7));
    co_return sum + a + b;
  };
  const auto body = [&]() -> task<std::uint64_t> {
    join_handle<int> child = spawn(middle(), kBackground);
    const std::uint64_t before = crowd.polls();
    const int sum = co_await std::move(child);
    co_return sum == 20 ? crowd.polls() - before : ~std::uint64_t{0};
  };
  for (int i = 0; i < 20; ++i) CHECK(rt.spawn(body(), kImportant).join() < kSoon);
}

TEST_CASE("statement 35: a chain that waits already is lent all the way down") {
  runtime rt(one_worker());
  Gate gate;
  const auto pair = [&]() -> task<int> {
    const auto [a, b] = co_await when_all(passes(gate), yields(9));
    co_return a + b;
  };
  const auto link = [](join_handle<int> next) -> task<int> { co_return co_await std::move(next); };
  join_handle<int> chain = rt.spawn(pair(), kBackground);
  for (int i = 0; i < 3; ++i) chain = rt.spawn(link(std::move(chain)), kBackground);
  eventually("the last one waits", [&] { return gate.arrived() == 1; });
  Crowd crowd(rt);
  const auto body = [&]() -> task<std::uint64_t> {
    // It waits with a waker that it took before the loan, and is therefore joined by another task.
    join_handle<int> more = spawn(yields(9), kBackground);
    const std::uint64_t before = crowd.polls();
    co_await std::move(more);
    const std::uint64_t took = crowd.polls() - before;
    gate.open();
    const int sum = co_await std::move(chain);
    co_return sum == 10 ? took : ~std::uint64_t{0};
  };
  CHECK(rt.spawn(body(), kImportant).join() < kSoon);
}

TEST_CASE("a lent task that waits for an event goes on in the lender's class") {
  runtime rt(one_worker());
  Crowd crowd(rt);
  for (int i = 0; i < 10; ++i) {
    Gate gate;
    std::atomic<std::uint64_t> opened{0};
    const auto child = [&]() -> task<std::uint64_t> {
      co_await yields(3);
      co_await gate.pass();
      co_return crowd.polls() - opened.load();
    };
    const auto body = [&]() -> task<std::uint64_t> {
      join_handle<std::uint64_t> awaited = spawn(child(), kBackground);
      co_return co_await std::move(awaited);
    };
    join_handle<std::uint64_t> all = rt.spawn(body(), kImportant);
    eventually("it waits", [&] { return gate.arrived() == 1; });
    const auto opener = [&]() -> task<> {
      opened = crowd.polls();
      gate.open();
      co_return;
    };
    rt.spawn(opener(), kImportant).join();
    CHECK(all.join() < kSoon);
  }
}

TEST_CASE("a loan changes neither what a task says of its class nor what its children inherit") {
  runtime rt(one_worker());
  const auto my_class = []() -> task<qos> { co_return this_task::qos(); };
  const auto child = [&]() -> task<bool> {
    co_await yields(3);
    const bool own = this_task::qos() == qos::background;
    join_handle<qos> inherits = spawn(my_class());
    const qos inherited = co_await std::move(inherits);
    const auto [grouped] = co_await when_all(my_class());
    co_return own&& inherited == qos::background&& grouped == qos::background;
  };
  const auto body = [&]() -> task<bool> {
    join_handle<bool> awaited = spawn(child(), kBackground);
    co_return co_await std::move(awaited);
  };
  for (int i = 0; i < 50; ++i) CHECK(rt.spawn(body(), kImportant).join());
}

TEST_CASE("a pinned task that is lent a class stays on its worker") {
  runtime rt(workers(3));
  const auto stays = [](std::size_t core) -> task<bool> {
    bool stayed = true;
    for (int i = 0; i < 50; ++i) {
      stayed = stayed && this_task::worker() == core;
      co_await yield();
    }
    co_return stayed;
  };
  const auto body = [&]() -> task<int> {
    int stayed = 0;
    for (std::size_t i = 0; i < 60; ++i) {
      join_handle<bool> child = spawn(stays(i % 3), {.qos = qos::background, .core = i % 3});
      stayed += co_await std::move(child) ? 1 : 0;
    }
    co_return stayed;
  };
  CHECK(rt.spawn(body(), kImportant).join() == 60);
}

TEST_CASE("a lender that is cancelled leaves a task that goes on to its end") {
  runtime rt(workers(2));
  Gate gate;
  std::atomic<int> ended{0};
  const auto child = [&]() -> task<int> {
    co_await yields(2);
    co_await gate.pass();
    co_return ++ended;
  };
  const auto body = [&]() -> task<int> {
    join_handle<int> awaited = spawn(child(), kBackground);
    co_return co_await std::move(awaited);
  };
  std::vector<join_handle<int>> lenders;
  for (int i = 0; i < 20; ++i) lenders.push_back(rt.spawn(body(), kImportant));
  eventually("all wait", [&] { return gate.arrived() == 20; });
  for (auto& lender : lenders) lender.request_stop();
  for (auto& lender : lenders) CHECK_THROWS_AS(lender.join(), operation_cancelled);
  CHECK(ended.load() == 0);
  gate.open();
  rt.wait_idle();
  CHECK(ended.load() == 20);
}

TEST_CASE("loans race with classes that change, moves to other runtimes, stops and ends") {
  runtime rt(workers(3));
  runtime other(workers(2));
  std::atomic<std::uint64_t> cancelled{0};
  struct Tree {
    runtime& rt;
    runtime& other;
    task<int> grow(int depth, unsigned seed) {
      const auto next = [&seed] { return seed = seed * 1664525u + 1013904223u, seed >> 16; };
      int sum = 1;
      for (int step = 0; step < 3; ++step) {
        switch (next() % 8) {
          case 0: co_await yield(); break;
          case 1: this_task::set_qos(static_cast<qos>(next() % qos_count)); break;
          case 2: {
            const scheduler where = (next() % 2 == 0 ? rt : other).get_scheduler();
            co_await resume_on(where);
            break;
          }
          case 3: co_await sleep_for(std::chrono::microseconds(next() % 50)); break;
          case 4: await_here(yield()); break;
          default: break;
        }
        if (depth == 0) continue;
        if (next() % 3 == 0) {
          const unsigned a = next();
          const unsigned b = next();
          const auto [x, y] = co_await when_all(grow(depth - 1, a), grow(depth - 1, b));
          sum += x + y;
        } else {
          const spawn_options options{.qos = static_cast<qos>(next() % qos_count)};
          join_handle<int> child = spawn(grow(depth - 1, next()), options);
          if (next() % 8 == 0) child.request_stop();
          sum += co_await std::move(child);
        }
      }
      co_return sum;
    }
  };
  Tree tree{rt, other};
  constexpr unsigned kRounds = kSanitized ? 60 : 400;
  std::uint64_t finished = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    std::vector<join_handle<int>> all;
    for (unsigned i = 0; i < 4; ++i) {
      all.push_back(rt.spawn(tree.grow(3, round * 4 + i), kImportant));
    }
    for (auto& each : all) {
      try {
        finished += each.join() > 0 ? 1 : 0;
      } catch (const operation_cancelled&) {
        ++cancelled;
      }
    }
  }
  rt.wait_idle();
  other.wait_idle();
  CHECK(finished + cancelled == kRounds * 4);
  CHECK(rt.block_on(forty_two()) == 42);
}
