// SPDX-License-Identifier: BSL-1.0
// Proves how a runtime uses a machine: virtual workers for another one, bound ones for this, all
// cores alike where this one cannot be understood, classes asked of the system at most three times,
// and bindings renewed where they were lost (statements 8, 68 and 69).
#include <atomic>
#include <chrono>
#include <cstdlib>

#include <sched.h>
#include <unistd.h>

#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

runtime_options on(const std::string& text) {
  runtime_options options;
  options.topology = topology::synthetic(text);
  return options;
}

void expect_workers(runtime& rt, std::size_t count) {
  REQUIRE(rt.workers() == count);
  for (std::size_t i = 0; i < count; i += count / 16 + 1) {
    CHECK(rt.spawn({.core = i}, [] { return this_task::worker(); }).join() == i);
  }
}

/// A variable of the environment, while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name_, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("statement 8: on another machine there is one virtual worker for each of its cores") {
  for (const auto& [text, count] :
       {std::pair("1", 1u), std::pair("4P+4E", 8u), std::pair("2P+4M@760+2M@420+2E", 10u),
        std::pair("2x20x2", 80u)}) {
    runtime rt(on(text));
    expect_workers(rt, count);
    CHECK(rt.stats().pinned_workers == 0);
    CHECK(rt.stats().class_refusals == 0);
  }
}

TEST_CASE("a wish for workers goes before the cores of another machine, fewer or more") {
  for (const std::size_t wish : {1u, 3u, 11u}) {
    runtime_options options = on("4P+4E");
    options.workers = wish;
    runtime rt(options);
    expect_workers(rt, wish);
  }
}

TEST_CASE("a machine with more cores than there may be workers gets the most workers") {
  if (kSanitized) return;  // a thousand threads with shadow memory
  runtime_options options = on("4096");
  options.preemption = preemption_mode::off;
  runtime rt(options);
  CHECK(rt.workers() == 1024);
  CHECK(rt.spawn({.core = 1023}, [] { return this_task::worker(); }).join() == 1023);
}

TEST_CASE("work spreads over virtual workers and comes back whole") {
  runtime rt(on("2x(4P+4E)"));
  std::atomic<int> sum{0};
  const auto add = [](std::atomic<int>& total, int i) -> task<> {
    co_await yield();
    total.fetch_add(i);
  };
  for (int i = 1; i <= 1000; ++i) rt.spawn(add(sum, i)).detach();
  rt.wait_idle();
  CHECK(sum == 500'500);
}

TEST_CASE("a runtime told of this machine binds its workers as without") {
  runtime plain;
  runtime_options options;
  options.topology = topology::detect();
  runtime told(options);
  // A worker that has run a task has been bound.
  expect_workers(plain, plain.workers());
  expect_workers(told, plain.workers());
  CHECK(told.stats().pinned_workers == plain.stats().pinned_workers);
}

TEST_CASE("where this machine cannot be understood its cores are alike, said in one line") {
  runtime plain;
  expect_workers(plain, plain.workers());
  StderrCapture capture;
  {
    const Variable kinds("PACELINE_KINDS", "nonsense");
    runtime rt;
    expect_workers(rt, plain.workers());
    CHECK(rt.stats().pinned_workers == plain.stats().pinned_workers);
  }
  // The test runs with PACELINE_LOG=warn; without it the runtime is silent.
  const std::string text = capture.text();
  CHECK(times(text, "takes them as alike") == 1);
  CHECK(times(text, "\n") == 1);
}

TEST_CASE("statement 68: workers of the slow kind ask for batch, and a refusal harms nobody") {
  const topology here = topology::detect();
  if (here.cores().size() < 2) return;
  const unsigned slow = here.cores().back().cpu;
  const Variable kinds("PACELINE_KINDS", std::to_string(slow) + "=300");
  StderrCapture capture;
  runtime rt;
  if (rt.workers() != here.cores().size()) return;  // a quota: nothing is bound
  std::vector<int> policies;
  for (std::size_t i = 0; i < rt.workers(); ++i) {
    policies.push_back(rt.spawn({.core = i}, [] { return ::sched_getscheduler(0); }).join());
  }
  CHECK(policies.front() == SCHED_OTHER);
  const std::uint64_t refusals = rt.stats().class_refusals;
  CHECK(refusals <= 3);
  CHECK((policies.back() == SCHED_BATCH || refusals > 0));
  expect_workers(rt, rt.workers());
}

TEST_CASE("a spare thread that takes a worker over is bound to its core and asks for its class") {
  const topology here = topology::detect();
  if (here.cores().size() < 2) return;
  const int slow = static_cast<int>(here.cores().back().cpu);
  const Variable kinds("PACELINE_KINDS", std::to_string(slow) + "=300");
  StderrCapture capture;
  runtime_options options;
  options.handoff_after = std::chrono::milliseconds(10);
  runtime rt(options);
  if (rt.workers() != here.cores().size()) return;  // a quota: nothing is bound
  std::atomic<bool> done{false};
  std::atomic<bool> begun{false};
  std::atomic<pid_t> lost{0};
  const spawn_options there{.core = rt.workers() - 1};
  auto hog = rt.spawn(there, [&] {
    lost = ::gettid();
    begun = true;
    while (!done) {
    }
  });
  eventually("the hog has the worker", [&] { return begun.load(); });
  struct Seen {
    pid_t thread;
    int policy;
    int cpu;
  };
  const Seen seen = rt.spawn(there, [] {
                        return Seen{::gettid(), ::sched_getscheduler(0), ::sched_getcpu()};
                      }).join();
  done = true;
  hog.join();
  CHECK(seen.thread != lost);
  CHECK(seen.cpu == slow);
  CHECK((seen.policy == SCHED_BATCH || rt.stats().class_refusals > 0));
  CHECK(rt.stats().handoffs >= 1);
}

TEST_CASE("statement 69: a worker that was moved to the wrong kind of core is bound again") {
  const topology here = topology::detect();
  if (here.cores().size() < 2) return;
  const int fast = static_cast<int>(here.cores().front().cpu);
  const int slow = static_cast<int>(here.cores().back().cpu);
  const Variable kinds("PACELINE_KINDS", std::to_string(slow) + "=300");
  runtime_options options;
  options.preemption = preemption_mode::safepoint;  // a worker keeps its thread
  runtime rt(options);
  if (rt.workers() != here.cores().size()) return;  // a quota: nothing is bound
  const auto moved = [&]() -> task<bool> {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    if (::sched_getcpu() != slow) co_return false;
    cpu_set_t wrong;  // what somebody's tool may do to every thread of the process
    CPU_ZERO(&wrong);
    CPU_SET(static_cast<std::size_t>(fast), &wrong);
    if (::sched_setaffinity(0, sizeof wrong, &wrong) != 0) co_return false;
    while (::sched_getcpu() != slow && std::chrono::steady_clock::now() < limit) co_await yield();
    co_return ::sched_getcpu() == slow;
  };
  CHECK(rt.spawn({.qos = qos::utility, .core = rt.workers() - 1}, moved).join());
  const runtime_stats stats = rt.stats();
  CHECK(stats.rebound >= 1);
  const auto& utility = stats.residency[static_cast<std::size_t>(qos::utility)];
  REQUIRE(utility.size() == 2);
  CHECK(utility[0] >= 1);
}

TEST_CASE("virtual workers show which classes ran on which kind of core, and are never bound") {
  runtime rt(on("1P+1E"));
  const auto looks = [&](qos own, std::size_t kind) {
    return rt.stats().residency[static_cast<std::size_t>(own)][kind];
  };
  std::atomic<bool> over{false};
  const auto busy = [&over]() -> task<> {
    while (!over) co_await yield();
  };
  auto quick = rt.spawn({.qos = qos::user_initiated, .core = 0}, busy);
  auto slow = rt.spawn({.qos = qos::background, .core = 1}, busy);
  eventually("both are seen", [&] {
    return looks(qos::user_initiated, 0) + looks(qos::user_initiated, 1) >= 1 &&
           looks(qos::background, 0) + looks(qos::background, 1) >= 1;
  });
  over = true;
  quick.join();
  slow.join();
  CHECK(looks(qos::user_initiated, 0) >= 1);
  CHECK(looks(qos::user_initiated, 1) == 0);
  CHECK(looks(qos::background, 0) == 0);
  CHECK(looks(qos::background, 1) >= 1);
  CHECK(rt.stats().rebound == 0);
}

TEST_CASE("where cores are alike nobody looks where workers run") {
  runtime rt(on("4"));
  rt.spawn([]() -> task<> { co_await yield(); }()).join();
  for (const auto& row : rt.stats().residency) CHECK(row.empty());
  CHECK(rt.stats().rebound == 0);
}
