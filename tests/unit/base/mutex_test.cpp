// SPDX-License-Identifier: BSL-1.0
// Proves that the lock excludes, and that a lock taken out of order is an abort with a message in
// builds that check (without NDEBUG), so that no cycle of locks can be a rare hang (failure L26).
#include "base/mutex.hpp"

#include <thread>
#include <vector>

#include "base/assert.hpp"
#include "machine/machine.hpp"
#include "support/catch.hpp"
#include "unit/base/child.hpp"

using namespace paceline::core;
using paceline_test::in_child;

TEST_CASE("the mutex lets one thread in at a time") {
  Mutex mutex{LockRank::memory};
  std::uint64_t plain = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        LockGuard lock(mutex);
        ++plain;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(plain == 80'000);
}

TEST_CASE("locks taken in the order of their ranks leave no mark") {
  Mutex outer{LockRank::registry};
  Mutex middle{LockRank::timers};
  Mutex inner{LockRank::memory};
  for (int round = 0; round < 3; ++round) {
    LockGuard a(outer);
    LockGuard b(middle);
    LockGuard c(inner);
  }
  {
    // Not nested: any order will do.
    {
      LockGuard c(inner);
    }
    {
      LockGuard a(outer);
    }
  }
  {
    UniqueLock b(middle);
    b.unlock();
    LockGuard a(outer);
    b.lock();
  }
  REQUIRE(machine::this_thread().held_ranks == 0);
}

TEST_CASE("ranks are counted for each thread on its own") {
  Mutex inner{LockRank::memory};
  Mutex outer{LockRank::registry};
  LockGuard mine(inner);
  bool reached = false;
  std::thread other([&] {
    LockGuard theirs(
        outer);  // lower than what the main thread holds, which is none of our business
    reached = true;
  });
  other.join();
  REQUIRE(reached);
}

#ifndef NDEBUG

TEST_CASE("a lock of a lower rank than one held aborts with its reason") {
  const auto end = in_child([] {
    Mutex inner{LockRank::memory};
    Mutex outer{LockRank::growth};
    LockGuard a(inner);
    LockGuard b(outer);
  });
  REQUIRE(end.signal == SIGABRT);
  REQUIRE_THAT(end.text, Catch::Contains("locks are taken in the order of their ranks"));
}

TEST_CASE("two locks of the same rank at once abort") {
  const auto end = in_child([] {
    Mutex one{LockRank::timers};
    Mutex other{LockRank::timers};
    LockGuard a(one);
    LockGuard b(other);
  });
  REQUIRE(end.signal == SIGABRT);
}

TEST_CASE("a lock given back may be taken again after a higher one") {
  const auto end = in_child([] {
    Mutex inner{LockRank::memory};
    Mutex outer{LockRank::registry};
    {
      LockGuard a(outer);
      LockGuard b(inner);
    }
    LockGuard a(outer);
    LockGuard b(inner);
  });
  REQUIRE(end.signal == 0);
  REQUIRE(end.exit_code == 0);
}

#endif
