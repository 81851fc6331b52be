// SPDX-License-Identifier: BSL-1.0
// Allocations that fail here and there while a runtime is busy from all sides (failure L7): each
// operation works or throws bad_alloc, every accepted task runs exactly once, nothing leaks.
#include <thread>

#include "scenario.hpp"
#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

struct Books {
  std::atomic<long> accepted{0};
  std::atomic<long> ran{0};
  std::atomic<long> refused{0};
  std::atomic<int> live{0};
};

task<> leaf(Books& books, Counted) {
  ++books.ran;
  co_await yield();
  co_await sleep_for(std::chrono::microseconds(1));
}

/// Spawns leaves of all kinds from inside, joins some, stops some, forgets the rest.
task<> branch(Books& books, Counted) {
  ++books.ran;
  for (int i = 0; i < 10; ++i) {
    try {
      const std::stop_source source;
      const spawn_options options{.name = kLongName, .stop_token = source.get_token()};
      join_handle<> child = spawn(leaf(books, Counted(books.live)), options);
      ++books.accepted;
      if (i % 3 == 0) {
        co_await std::move(child);
      } else if (i % 3 == 1) {
        child.request_stop();
      }
    } catch (const std::bad_alloc&) {
      ++books.refused;
    }
  }
}

task<> group(Books& books, Counted) {
  ++books.ran;
  std::vector<task<>> children;
  for (int i = 0; i < 5; ++i) children.push_back(leaf(books, Counted(books.live)));
  co_await when_all(std::move(children));
}

/// Everything at once from three threads while one allocation in `one_in` fails.
void storm(unsigned one_in) {
  const unsigned long seed = test_seed() + one_in;
  INFO("one allocation in " << one_in << " fails, PACELINE_TEST_SEED " << seed - one_in);
  std::atomic<long> unhandled{0};
  std::atomic<long> wrong{0};
  runtime_options options = workers(2);
  options.on_unhandled = [&](std::exception_ptr error, std::string_view) {
    ++unhandled;
    try {
      std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
    } catch (...) {
      ++wrong;
    }
  };
  runtime rt(options);
  Books books;
  std::vector<std::thread> threads;
  std::atomic<bool> start{false};
  constexpr int kEach = kSanitized ? 100 : 1'000;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      while (!start) std::this_thread::yield();
      for (int i = 0; i < kEach; ++i) {
        try {
          if ((i + t) % 2 == 0) {
            rt.spawn(branch(books, Counted(books.live)), {.name = kLongName}).detach();
          } else {
            rt.spawn(group(books, Counted(books.live))).detach();
          }
          ++books.accepted;
        } catch (const std::bad_alloc&) {
          ++books.refused;
        }
      }
    });
  }
  fault::arm_at_random(Call::allocation, one_in, seed);
  start = true;
  for (auto& thread : threads) thread.join();
  rt.wait_idle();
  CHECK(fault::disarm());
  CHECK(books.live.load() == 0);
  CHECK(books.refused.load() + unhandled.load() > 0);
  CHECK(wrong.load() == 0);
  const runtime_stats stats = rt.stats();
  CHECK(stats.live == 0);
  CHECK(stats.total.spawned == stats.total.completed);
  // The leaves of groups are spawned, and run, without passing our books' `accepted`.
  CHECK(static_cast<long>(stats.total.spawned) == books.ran.load());
  CHECK(stats.total.unhandled == static_cast<std::uint64_t>(unhandled.load()));
  CHECK(rt.block_on(forty_two()) == 42);
}

}  // namespace

TEST_CASE("a busy runtime survives allocations that fail at random and loses no accepted task") {
  for (const unsigned one_in : {1'000u, 100u, 10u, 3u}) storm(one_in);
}

TEST_CASE("runtimes come and go while allocations fail at random and leave nothing behind") {
  const auto round = [](unsigned long seed) {
    std::atomic<int> live{0};
    bool ended = true;
    fault::arm_at_random(Call::allocation, 20, seed);
    try {
      runtime rt(workers(2));
      auto body = [](Counted) -> task<> { co_await sleep_for(std::chrono::hours(1)); };
      for (int i = 0; i < 5; ++i) rt.spawn({.name = kLongName}, body, Counted(live)).detach();
    } catch (const std::bad_alloc&) {
      ended = false;
    } catch (const std::system_error&) {
      ended = false;
    }
    fault::disarm();
    CHECK(live.load() == 0);
    return ended;
  };
  for (unsigned long i = 0; i < 5; ++i) round(i);
  const long before = fault::live_allocations();
  int worked = 0;
  constexpr unsigned long kRounds = kSanitized ? 100 : 500;
  for (unsigned long i = 0; i < kRounds; ++i) worked += round(test_seed() + i) ? 1 : 0;
  CHECK(worked > 0);
  CHECK(worked < static_cast<int>(kRounds));
  // The pools may hold more than before: one set of seats, heaps and the like, not one per round.
  CHECK(fault::live_allocations() - before < 50);
  runtime rt(workers(2));
  CHECK(rt.block_on(forty_two()) == 42);
}
