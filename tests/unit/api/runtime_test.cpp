// SPDX-License-Identifier: BSL-1.0
// The runtime object: options and their limits, several at once, stopping, waiting for idle.
#include "fixtures.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <thread>

#include "support/alive.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// The options must be refused, with `part` in the message, and leave nothing behind.
void refused(runtime_options options, std::string_view part) {
  const std::size_t threads = thread_count();
  const std::string message =
      message_of<std::invalid_argument>([&] { const runtime rt(std::move(options)); });
  CHECK(says(message, part));
  CHECK(threads_fall_to(threads));
}

task<std::size_t> worker_index() { co_return this_task::worker(); }

}  // namespace

TEST_CASE("a runtime has one worker per usable core unless told otherwise") {
  runtime rt;
  CHECK(rt.workers() >= 1);
  CHECK(rt.workers() <= std::max(1u, std::thread::hardware_concurrency()));
  CHECK(rt.block_on(forty_two()) == 42);
  CHECK(rt.stats().workers.size() == rt.workers());
}

TEST_CASE("a runtime has as many workers as asked for, from one to many more than cores") {
  for (const std::size_t count : {1u, 2u, 3u, 17u, 64u}) {
    runtime rt(workers(count));
    CHECK(rt.workers() == count);
    CHECK(rt.block_on(forty_two()) == 42);
    for (const std::size_t index : {std::size_t{0}, count - 1}) {
      CHECK(rt.spawn(worker_index(), {.core = index}).join() == index);
    }
  }
}

TEST_CASE("the most workers are 1024; more are refused with the limit") {
  refused(workers(1025), "1024");
  refused(workers(1'000'000), "1000000");
  refused(workers(std::numeric_limits<std::size_t>::max()), "use 0");
}

TEST_CASE("stack sizes outside 16 KiB to 1 GiB are refused with the range") {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{16 * 1024 - 1}, (std::size_t{1} << 30) + 1,
        std::size_t{1} << 40, std::numeric_limits<std::size_t>::max()}) {
    runtime_options options = one_worker();
    options.stack_size = bytes;
    refused(options, std::to_string(bytes) + " bytes");
  }
}

TEST_CASE("the least and the greatest stack work, and odd sizes are rounded up") {
  for (const std::size_t bytes :
       {std::size_t{16 * 1024}, std::size_t{16 * 1024 + 1}, std::size_t{1} << 30}) {
    runtime_options options = one_worker();
    options.stack_size = kSanitized ? std::max<std::size_t>(bytes, 64 * 1024) : bytes;
    runtime rt(options);
    CHECK(rt.block_on(forty_two()) == 42);
  }
}

TEST_CASE("names of up to 255 bytes are taken, longer ones refused with both lengths") {
  runtime_options options = one_worker();
  options.name = std::string(255, 'r');
  {
    CHECK(runtime(options).block_on(forty_two()) == 42);
  }
  options.name = "";
  {
    CHECK(runtime(options).block_on(forty_two()) == 42);
  }
  options.name = std::string(256, 'r');
  refused(options, "256");
  options.name = std::string(10'000, 'r');
  refused(options, "10000");
}

TEST_CASE("worker threads carry the runtime's name and their index") {
  runtime_options options = workers(2);
  options.name = "named";
  runtime rt(options);
  std::vector<std::string> found;
  for (std::size_t index = 0; index < 2; ++index) {
    found.push_back(rt.spawn({.core = index}, [] {
                        char name[16] = {};
                        ::pthread_getname_np(::pthread_self(), name, sizeof name);
                        return std::string(name);
                      }).join());
  }
  CHECK(found == std::vector<std::string>{"named/0", "named/1"});
}

TEST_CASE("shutdown options that contradict each other are refused with the way out") {
  runtime_options options = one_worker();
  options.on_shutdown = shutdown_policy::abandon;
  refused(options, "shutdown_policy::abandon needs a shutdown_deadline");
  options.on_shutdown = shutdown_policy::terminate;
  refused(options, "shutdown_policy::terminate needs a shutdown_deadline");
  options.shutdown_deadline = std::chrono::nanoseconds(0);
  refused(options, "greater than zero");
  options.shutdown_deadline = std::chrono::nanoseconds(-1);
  refused(options, "greater than zero");
  options.shutdown_deadline = std::chrono::nanoseconds::min();
  refused(options, "greater than zero");
  options.on_shutdown = shutdown_policy::wait;
  options.shutdown_deadline = std::chrono::seconds(1);
  refused(options, "contradicts");
  options.on_shutdown = static_cast<shutdown_policy>(3);
  refused(options, "neither");
}

TEST_CASE("the longest deadline is as good as none") {
  runtime_options options = one_worker();
  options.on_shutdown = shutdown_policy::abandon;
  options.shutdown_deadline = std::chrono::nanoseconds::max();
  std::atomic<int> ended{0};
  auto body = [&ended]() -> task<> {
    co_await yield();
    ++ended;
  };
  {
    runtime rt(options);
    rt.spawn({}, body).join();
  }
  CHECK(ended.load() == 1);
}

TEST_CASE("refused options harm no runtime that lives") {
  runtime rt(workers(2));
  refused(workers(5000), "5000");
  runtime_options options;
  options.stack_size = 3;
  refused(options, "3 bytes");
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("several runtimes live side by side and do not mix their tasks") {
  std::vector<std::unique_ptr<runtime>> all;
  for (std::size_t i = 0; i < 5; ++i) all.push_back(std::make_unique<runtime>(workers(1 + i % 2)));
  std::vector<join_handle<int>> handles;
  for (int round = 0; round < 20; ++round) {
    for (auto& each : all) handles.push_back(each->spawn(forty_two()));
  }
  int sum = 0;
  for (auto& handle : handles) sum += handle.join();
  CHECK(sum == 100 * 42);
  for (auto& each : all) {
    each->wait_idle();
    CHECK(each->stats().total.spawned == 20);
    CHECK(each->stats().total.completed == 20);
  }
  std::swap(all[0], all[3]);  // destroyed in another order than created
  all.erase(all.begin() + 1);
  CHECK(all[0]->block_on(forty_two()) == 42);
}

TEST_CASE("runtimes are created and destroyed by the hundred, also by many threads at once") {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  constexpr int kEach = kSanitized ? 10 : 50;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        runtime rt(workers(1 + static_cast<std::size_t>(i % 3)));
        right += rt.block_on(forty_two()) == 42 ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right.load() == 4 * kEach);
}

TEST_CASE("a runtime that did nothing ends at once") {
  for (int i = 0; i < 50; ++i) {
    const runtime rt(workers(1 + static_cast<std::size_t>(i % 4)));
    CHECK(rt.stats().live == 0);
  }
}

TEST_CASE("request_stop is idempotent, from any thread, and does not wait") {
  runtime rt(workers(2));
  Gate gate;
  std::atomic<int> cancelled{0};
  auto body = [&]() -> task<> {
    try {
      co_await gate.pass();
    } catch (const operation_cancelled&) {
      ++cancelled;
      throw;
    }
  };
  std::vector<join_handle<>> handles;
  for (int i = 0; i < 10; ++i) handles.push_back(rt.spawn({}, body));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) threads.emplace_back([&] { rt.request_stop(); });
  for (auto& thread : threads) thread.join();
  rt.request_stop();
  for (auto& handle : handles) CHECK_THROWS_AS(handle.join(), operation_cancelled);
  rt.request_stop();
  CHECK(cancelled.load() == 10);
  CHECK_THROWS_AS(rt.spawn(forty_two()), runtime_stopped);
}

TEST_CASE("a task may stop its own runtime") {
  runtime rt(one_worker());
  auto body = [&rt]() -> task<bool> {
    rt.request_stop();
    try {
      co_await yield();
    } catch (const operation_cancelled&) {
      co_return true;
    }
    co_return false;
  };
  CHECK(rt.spawn({}, body).join());
  rt.wait_idle();
}

TEST_CASE("wait_idle returns when no task lives, however they were started") {
  runtime rt(workers(2));
  rt.wait_idle();
  std::atomic<int> ended{0};
  struct Tree {
    static task<> grow(int depth, std::atomic<int>& count) {
      co_await yield();
      if (depth > 0) {
        spawn(grow(depth - 1, count)).detach();
        spawn(grow(depth - 1, count)).detach();
      }
      co_await sleep_for(std::chrono::microseconds(depth));
      ++count;
    }
  };
  constexpr int kDepth = kSanitized ? 7 : 11;
  rt.spawn(Tree::grow(kDepth, ended)).detach();
  rt.wait_idle();
  CHECK(ended.load() == (2 << kDepth) - 1);
  CHECK(rt.stats().live == 0);
  rt.wait_idle();
}

TEST_CASE("wait_idle returns in every thread that waits, round after round") {
  runtime rt(workers(2));
  constexpr int kRounds = kSanitized ? 50 : 300;
  int right = 0;
  for (int i = 0; i < kRounds; ++i) {
    std::atomic<int> ended{0};
    auto body = [&ended]() -> task<> {
      co_await yield();
      ++ended;
    };
    for (int n = 0; n < 5; ++n) rt.spawn({}, body).detach();
    std::thread second([&] { rt.wait_idle(); });
    rt.wait_idle();
    right += ended == 5 ? 1 : 0;
    second.join();
  }
  CHECK(right == kRounds);
}

TEST_CASE("trim gives memory back and disturbs nobody") {
  runtime rt(workers(2));
  Gate gate;
  auto body = [&gate]() -> task<int> {
    co_await gate.pass();
    co_return 1;
  };
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < 200; ++i) handles.push_back(rt.spawn({}, body));
  for (int i = 0; i < 1000; ++i) rt.spawn(forty_two()).detach();
  for (int i = 0; i < 20; ++i) {
    rt.trim();
    CHECK(rt.block_on(forty_two()) == 42);
  }
  gate.open();
  int sum = 0;
  for (auto& handle : handles) sum += handle.join();
  CHECK(sum == 200);
}
