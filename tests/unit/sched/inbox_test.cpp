// SPDX-License-Identifier: BSL-1.0
// Proves the inbox: what was posted comes out, once, and never hides from the count that a worker
// checks before it sleeps (failure W14: "looks empty" is not "is empty").
#include "sched/inbox.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using paceline::core::Inbox;

namespace {

/// Handles that are only carried around, never resumed: any address will do.
std::coroutine_handle<> handle(std::size_t number) {
  return std::coroutine_handle<>::from_address(reinterpret_cast<void*>(number * 16));
}
std::size_t number_of(std::coroutine_handle<> frame) {
  return reinterpret_cast<std::size_t>(frame.address()) / 16;
}

}  // namespace

TEST_CASE("a new inbox is empty and gives nothing") {
  Inbox inbox;
  REQUIRE(inbox.empty());
  REQUIRE_FALSE(inbox.take());
}

TEST_CASE("what one thread posts comes out in order and leaves the inbox empty") {
  Inbox inbox;
  for (std::size_t i = 1; i <= 1'000; ++i) {
    inbox.post(handle(i));
    REQUIRE_FALSE(inbox.empty());
  }
  for (std::size_t i = 1; i <= 1'000; ++i) REQUIRE(number_of(inbox.take()) == i);
  REQUIRE(inbox.empty());
  REQUIRE_FALSE(inbox.take());
}

TEST_CASE("posts of many threads all come out once and the count never claims too little") {
  Inbox inbox;
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 20'000;
  std::atomic<std::size_t> posted{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < kEach; ++i) {
        inbox.post(handle(1 + t * kEach + i));
        posted.fetch_add(1);
      }
    });
  }
  std::vector<unsigned> seen(kThreads * kEach + 1, 0);
  std::vector<std::size_t> last(kThreads, 0);
  std::size_t taken = 0;
  std::size_t hidden = 0;
  std::size_t out_of_order = 0;
  while (taken < kThreads * kEach) {
    // Posted and not taken, by what we know: then the inbox must not look empty.
    const std::size_t known = posted.load();
    if (known > taken && inbox.empty()) ++hidden;
    const auto frame = inbox.take();
    if (!frame) {
      std::this_thread::yield();
      continue;
    }
    const std::size_t number = number_of(frame);
    ++seen[number];
    const std::size_t from = (number - 1) / kEach;
    if (number <= last[from]) ++out_of_order;
    last[from] = number;
    ++taken;
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(hidden == 0);
  REQUIRE(out_of_order == 0);
  REQUIRE(std::count(seen.begin() + 1, seen.end(), 1u) ==
          static_cast<std::ptrdiff_t>(kThreads * kEach));
  REQUIRE(inbox.empty());
  REQUIRE_FALSE(inbox.take());
}
