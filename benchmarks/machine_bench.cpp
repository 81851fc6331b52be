// SPDX-License-Identifier: BSL-1.0
// What the runtime asks of the machine: timers, stealing in bulk, idle wake-ups, memory.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "oneshot.hpp"

namespace {

using namespace pacebench;
using namespace std::chrono_literals;
using paceline::task;

std::shared_ptr<paceline::runtime> make_runtime(const Settings& s) {
  return std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
}

std::map<std::string, std::string> params(const Settings& s, std::uint64_t n) {
  return {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}};
}

// --- timer/sleep ---

struct Countdown {
  explicit Countdown(std::uint64_t n) : left(n) {}
  std::atomic<std::uint64_t> left;
  Oneshot done;
  void arrive() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.send();
  }
};

task<void> sleep_once(Countdown& countdown, std::chrono::nanoseconds d) {
  co_await paceline::sleep_for(d);
  countdown.arrive();
}

task<void> start_sleepers(Countdown& countdown, std::uint64_t n, std::chrono::nanoseconds d) {
  for (std::uint64_t i = 0; i < n; ++i) paceline::spawn(sleep_once(countdown, d));
  co_await countdown.done.receive();
}

const Register sleep_case({"timer/sleep", "ns/task",
                           "n tasks (10000) that sleep 1 ms once, until all have ended",
                           [](const Settings& s) {
                             const std::uint64_t n = s.n != 0 ? s.n : 10'000;
                             auto rt = make_runtime(s);
                             return Prepared{[=] {
                                               Countdown countdown(n);
                                               const Stopwatch watch;
                                               rt->block_on(start_sleepers(countdown, n, 1ms));
                                               const double ns = watch.ns();
                                               require(countdown.left == 0, "every sleeper woke");
                                               require(ns >= 1e6, "nobody woke early");
                                               return Sample{ns / static_cast<double>(n),
                                                             mix(kHashStart, n)};
                                             },
                                             params(s, n)};
                           }});

// --- steal/bulk ---

task<std::uint64_t> spin(std::uint64_t rounds) {
  std::uint64_t x = rounds;
  for (std::uint64_t i = 0; i < rounds; ++i)
    x = x * 6364136223846793005ull + 1442695040888963407ull;
  co_return x;
}

task<std::uint64_t> spin_all(std::uint64_t n, std::uint64_t rounds) {
  std::vector<task<std::uint64_t>> tasks;
  tasks.reserve(n);
  for (std::uint64_t i = 0; i < n; ++i) tasks.push_back(spin(rounds));
  std::uint64_t all = 0;
  for (const std::uint64_t x : co_await paceline::when_all(std::move(tasks))) all ^= x;
  co_return all;
}

const Register bulk_case(
    {"steal/bulk", "ratio",
     "speed-up of n tasks (1000) of about 20 us that one worker starts and the others must steal",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000;
       constexpr std::uint64_t kRounds = 20'000;
       auto rt = make_runtime(s);
       auto alone = std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = 1});
       return Prepared{[=] {
                         const Stopwatch serial;
                         const std::uint64_t expected = alone->block_on(spin_all(n, kRounds));
                         const double serial_ns = serial.ns();
                         const Stopwatch parallel;
                         const std::uint64_t got = rt->block_on(spin_all(n, kRounds));
                         const double parallel_ns = parallel.ns();
                         require(got == expected, "the same work");
                         return Sample{serial_ns / parallel_ns, mix(kHashStart, got)};
                       },
                       params(s, n)};
     }});

// --- idle/cpu ---

/// Context switches of all threads of this process, as the kernel counts them: voluntary ones are
/// wake-ups of sleeping threads.
std::uint64_t voluntary_switches() {
  std::uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stoull(line.substr(24));
    }
  }
  return sum;
}

task<void> forever() { co_await paceline::sleep_for(std::chrono::hours(24 * 365)); }

const Register idle_case(
    {"idle/cpu", "wakes/s",
     "thread wake-ups a second with n sleeping tasks (1000) and nothing to do, after 3 s of quiet",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000;
       auto rt = make_runtime(s);
       for (std::uint64_t i = 0; i < n; ++i) rt->spawn(forever());
       std::this_thread::sleep_for(3s);
       return Prepared{[=] {
                         const std::uint64_t before = voluntary_switches();
                         const Stopwatch watch;
                         std::this_thread::sleep_for(500ms);
                         // One switch is this thread's own sleep.
                         const std::uint64_t after = voluntary_switches();
                         const double wakes = static_cast<double>(after - before) - 1.0;
                         require(rt->stats().live == n, "the tasks sleep on");
                         return Sample{std::max(0.0, wakes) / (watch.ns() / 1e9),
                                       mix(kHashStart, n)};
                       },
                       params(s, n)};
     }});

// --- memory/live_tasks ---

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

task<void> live_task(Countdown& up, std::chrono::steady_clock::time_point until) {
  up.arrive();
  co_await paceline::sleep_until(until);
}

task<std::size_t> hold_live(std::uint64_t n, Countdown& up,
                            std::chrono::steady_clock::time_point until) {
  for (std::uint64_t i = 0; i < n; ++i) paceline::spawn(live_task(up, until));
  co_await up.done.receive();
  co_return resident_bytes();
}

const Register memory_case(
    {"memory/live_tasks", "B/task",
     "resident bytes per sleeping task, its frame included, with n of them (1000000)",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000'000;
       return Prepared{
           [=] {
             auto rt = make_runtime(s);
             rt->trim();
             const std::size_t before = resident_bytes();
             Countdown up(n);
             const auto until = std::chrono::steady_clock::now() + 100ms + n * 2us;
             const std::size_t during = rt->block_on(hold_live(n, up, until));
             require(std::chrono::steady_clock::now() < until, "all of them slept at once");
             rt->wait_idle();
             rt->trim();
             std::size_t after = resident_bytes();
             for (int i = 0; i < 300 && after > before + before / 10; ++i) {
               std::this_thread::sleep_for(10ms);
               after = resident_bytes();
             }
             require(n < 100'000 || after <= before + before / 10,
                     "memory is back within 10 % of the start: " + std::to_string(before) + " -> " +
                         std::to_string(after));
             return Sample{static_cast<double>(during - before) / static_cast<double>(n),
                           mix(kHashStart, n)};
           },
           params(s, n)};
     }});

}  // namespace
