// SPDX-License-Identifier: BSL-1.0
// What the machine charges for the steps that the runtime is built from. The constants that decide
// what pays (docs/decisions/0004) are of the order of these figures; they use nothing of Paceline
// but its await.
#include <atomic>
#include <chrono>
#include <climits>
#include <memory>
#include <thread>

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <paceline/paceline.hpp>

#include "harness.hpp"

namespace {

using namespace pacebench;

void stay_on(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::thread::hardware_concurrency(), &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void futex(std::atomic<std::uint32_t>& word, int op, std::uint32_t value) {
  ::syscall(SYS_futex, &word, op, value, nullptr, nullptr, 0);
}

/// ns for each of n calls of `step`.
template <class Step>
Prepared each_of(std::uint64_t n, Step step) {
  return Prepared{[=] {
                    const Stopwatch watch;
                    for (std::uint64_t i = 0; i < n; ++i) step();
                    return Sample{watch.ns() / static_cast<double>(n), mix(kHashStart, n)};
                  },
                  {{"n", std::to_string(n)}}};
}

const Register rmw_case({"cost/rmw", "ns", "an atomic OR on a line that nobody else touches",
                         [](const Settings& s) {
                           auto word = std::make_shared<std::atomic<std::uint64_t>>(0);
                           return each_of(s.n != 0 ? s.n : 10'000'000,
                                          [word] { word->fetch_or(1, std::memory_order_seq_cst); });
                         }});

const Register clock_case({"cost/clock", "ns", "a look at the steady clock", [](const Settings& s) {
                             return each_of(s.n != 0 ? s.n : 5'000'000, [] {
                               static std::atomic<std::int64_t> sink;
                               sink.store(
                                   std::chrono::steady_clock::now().time_since_epoch().count(),
                                   std::memory_order_relaxed);
                             });
                           }});

/// Two threads on two CPUs that answer each other through one word.
Sample play_ball(std::uint64_t n) {
  alignas(128) std::atomic<std::uint64_t> ball{0};
  std::thread other([&] {
    stay_on(1);
    for (std::uint64_t i = 0; i < n; ++i) {
      while (ball.load(std::memory_order_acquire) != 2 * i + 1) {
      }
      ball.store(2 * i + 2, std::memory_order_release);
    }
  });
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < n; ++i) {
    ball.store(2 * i + 1, std::memory_order_release);
    while (ball.load(std::memory_order_acquire) != 2 * i + 2) {
    }
  }
  const double ns = watch.ns();
  other.join();
  return {ns / static_cast<double>(n), mix(kHashStart, n)};
}

const Register line_case({"cost/line", "ns", "a cache line to another core and back",
                          [](const Settings& s) {
                            const std::uint64_t n = s.n != 0 ? s.n : 100'000;
                            return Prepared{[n] { return play_ball(n); },
                                            {{"n", std::to_string(n)}}};
                          }});

/// Wakes a sleeping thread n times: what the call costs its caller, or how long until the sleeper
/// runs.
Sample wake_sleeper(std::uint64_t n, bool until_it_runs) {
  alignas(128) std::atomic<std::uint32_t> word{0};
  alignas(128) std::atomic<std::uint64_t> awake{0};
  std::thread sleeper([&] {
    stay_on(1);
    for (std::uint64_t i = 1; i <= n; ++i) {
      while (word.load(std::memory_order_acquire) == 0) futex(word, FUTEX_WAIT_PRIVATE, 0);
      word.store(0, std::memory_order_relaxed);
      awake.store(i, std::memory_order_release);
    }
  });
  double total = 0;
  for (std::uint64_t i = 1; i <= n; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));  // until it sleeps
    const Stopwatch watch;
    word.store(1, std::memory_order_release);
    futex(word, FUTEX_WAKE_PRIVATE, 1);
    if (!until_it_runs) total += watch.ns();
    while (awake.load(std::memory_order_acquire) != i) {
    }
    if (until_it_runs) total += watch.ns();
  }
  sleeper.join();
  return {total / static_cast<double>(n), mix(kHashStart, n)};
}

Prepared prepare_wakes(const Settings& s, bool until_it_runs) {
  const std::uint64_t n = s.n != 0 ? s.n : 500;
  return Prepared{[=] { return wake_sleeper(n, until_it_runs); }, {{"n", std::to_string(n)}}};
}

const Register wake_call_case({"cost/wake_call", "ns",
                               "the system call that wakes a sleeping thread, for its caller",
                               [](const Settings& s) { return prepare_wakes(s, false); }});

const Register wake_run_case({"cost/wake_run", "ns",
                              "from that call until the sleeper runs on its CPU",
                              [](const Settings& s) { return prepare_wakes(s, true); }});

// --- cost/await ---

paceline::task<std::uint64_t> answer(std::uint64_t value) { co_return value; }

paceline::task<std::uint64_t> ask(std::uint64_t times) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < times; ++i) sum += co_await answer(i);
  co_return sum;
}

const Register await_case(
    {"cost/await", "ns", "awaiting a child that returns at once, its frame included",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000'000;
       auto rt = std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = 1});
       return Prepared{[=] {
                         const Stopwatch watch;
                         const std::uint64_t sum = rt->block_on(ask(n));
                         const double ns = watch.ns();
                         require(sum == n * (n - 1) / 2, "the sum of the answers");
                         return Sample{ns / static_cast<double>(n), mix(kHashStart, sum)};
                       },
                       {{"n", std::to_string(n)}}};
     }});

}  // namespace
