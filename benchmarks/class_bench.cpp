// SPDX-License-Identifier: BSL-1.0
// What do classes get on real workers? Shares and waits of tasks that compute without end, one of
// each class on each worker, and the response of tasks that wait for something beside such tasks.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "hogs.hpp"

namespace {

using namespace pacebench;
using namespace std::chrono_literals;
using paceline::qos;
using Clock = std::chrono::steady_clock;

/// What one task computed and how long it ever waited for its turn.
struct Turn {
  std::uint64_t steps = 0;
  double longest_ms = 0;
};

/// A safepoint about every 50 us.
Turn compute(Clock::time_point end) {
  Turn turn;
  std::uint64_t x = kHogStart;
  for (auto before = Clock::now(); before < end; ++turn.steps) {
    for (int i = 0; i < 5; ++i) x = hog_step(x);
    paceline::preempt_point();
    const auto now = Clock::now();
    const double gap = std::chrono::duration<double, std::milli>(now - before).count();
    turn.longest_ms = std::max(turn.longest_ms, gap);
    before = now;
  }
  require(x != 0, "the task computed");
  return turn;
}

/// One task of each class on each worker for so long; the turns by class, all workers together.
std::vector<Turn> compete(paceline::runtime& rt, const std::vector<qos>& classes,
                          std::chrono::milliseconds duration) {
  std::vector<std::vector<paceline::join_handle<Turn>>> tasks(classes.size());
  const auto end = Clock::now() + duration;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    for (std::size_t w = 0; w < rt.workers(); ++w) {
      tasks[c].push_back(rt.spawn({.qos = classes[c], .core = w}, [end] { return compute(end); }));
    }
  }
  std::vector<Turn> turns(classes.size());
  for (std::size_t c = 0; c < classes.size(); ++c) {
    for (auto& task : tasks[c]) {
      const Turn turn = task.join();
      turns[c].steps += turn.steps;
      turns[c].longest_ms = std::max(turns[c].longest_ms, turn.longest_ms);
    }
  }
  return turns;
}

constexpr std::array kNames{"urgent",   "interactive", "initiated",
                            "standard", "utility",     "background"};
// Shares in percent of the five timeshare classes on one worker (docs/policies.md).
const std::vector<qos> kFive{qos::user_interactive, qos::user_initiated, qos::standard,
                             qos::utility, qos::background};
constexpr std::array kShares{79.8, 11.5, 5.7, 2.2, 0.7};

Prepared shares(const Settings& s) {
  const std::chrono::milliseconds duration(s.n != 0 ? s.n : 10'000);
  auto rt = std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
  return {[rt, duration] {
            const std::vector<Turn> turns = compete(*rt, kFive, duration);
            double all = 0;
            for (const Turn& turn : turns) all += static_cast<double>(turn.steps);
            Sample sample{0, mix(kHashStart, kFive.size())};
            for (std::size_t c = 0; c < kFive.size(); ++c) {
              const double share = 100 * static_cast<double>(turns[c].steps) / all;
              sample.also[kNames[c + 1]] = share;
              sample.value = std::max(sample.value, std::abs(share - kShares[c]));
            }
            return sample;
          },
          {{"ms", std::to_string(duration.count())}}};
}

Prepared longest_wait(const Settings& s) {
  const std::chrono::milliseconds duration(s.n != 0 ? s.n : 5'000);
  auto rt = std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
  return {[rt, duration] {
            const auto turns = compete(*rt, {qos::user_interactive, qos::background}, duration);
            require(turns[1].steps > 0, "background ran");
            return Sample{turns[1].longest_ms, mix(kHashStart, 2)};
          },
          {{"ms", std::to_string(duration.count())}}};
}

/// Sleeps, then is late by so much, and computes a little.
paceline::task<double> respond(std::uint64_t times, std::uint64_t number) {
  double late_us = 0;
  std::uint64_t x = kHogStart;
  for (std::uint64_t i = 0; i < times; ++i) {
    const auto due = Clock::now() + 5ms + std::chrono::microseconds(number * 137 % 1'000);
    co_await paceline::sleep_until(due);
    late_us += std::chrono::duration<double, std::micro>(Clock::now() - due).count();
    x = hog_step(x);
  }
  require(x != 0, "it computed");
  co_return late_us / static_cast<double>(times);
}

Prepared response(const Settings& s, qos of_io, qos of_hogs) {
  constexpr std::uint64_t kTasks = 20;
  const std::uint64_t times = s.n != 0 ? s.n : 100;
  auto rt = std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
  return {[rt, times, of_io, of_hogs] {
            std::atomic<bool> over{false};
            std::vector<paceline::join_handle<>> hogs;
            for (std::uint64_t i = 0; i < kTasks; ++i) {
              hogs.push_back(rt->spawn({.qos = of_hogs}, [&over] {
                std::uint64_t x = kHogStart;
                while (!over.load(std::memory_order_relaxed)) {
                  for (int k = 0; k < 5; ++k) x = hog_step(x);
                  paceline::preempt_point();
                }
                require(x != 0, "the hog computed");
              }));
            }
            std::vector<paceline::join_handle<double>> tasks;
            for (std::uint64_t i = 0; i < kTasks; ++i) {
              tasks.push_back(rt->spawn(respond(times, i), {.qos = of_io}));
            }
            double mean = 0;
            for (auto& task : tasks) mean += task.join() / kTasks;
            over = true;
            for (auto& hog : hogs) hog.join();
            return Sample{mean, mix(kHashStart, times)};
          },
          {{"n", std::to_string(times)}}};
}

const Register registered[] = {
    Register({"classes/shares", "% points",
              "furthest share of five classes on one worker from the table's", shares}),
    Register({"classes/longest_wait", "ms",
              "longest wait of background beside saturating user_interactive", longest_wait}),
    Register({"classes/io_response", "us",
              "mean delay of 20 tasks that wait (standard) beside 20 that compute (utility)",
              [](const Settings& s) { return response(s, qos::standard, qos::utility); }}),
    Register({"classes/io_response_same", "us", "the same, all of one class",
              [](const Settings& s) { return response(s, qos::standard, qos::standard); }}),
};

}  // namespace
