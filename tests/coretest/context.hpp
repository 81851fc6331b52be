// SPDX-License-Identifier: BSL-1.0
// Context: what a scenario is given and whom it tells. One per child process.
// Any thread may count, check and reach goals; rounds are asked for by the scenario's main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include <paceline/runtime.hpp>

#include "clock.hpp"
#include "hiccup.hpp"
#include "histogram.hpp"
#include "settings.hpp"
#include "wire.hpp"

namespace coretest {

/// The scenario cannot run here: thrown with the reason. Never counts as a pass.
struct Skip {
  std::string reason;
};

/// A `sometimes` goal: a rare path that the scenario must have taken, or it proved less than it
/// says.
class Goal {
 public:
  explicit Goal(std::string name) : name_(std::move(name)) {}
  void reach() noexcept {
    // Looks first: goals sit on hot paths and are reached once.
    if (!reached_.load(std::memory_order_relaxed)) reached_.store(true, std::memory_order_relaxed);
  }
  void reach_if(bool holds) noexcept {
    if (holds) reach();
  }
  const std::string& name() const noexcept { return name_; }
  bool reached() const noexcept { return reached_.load(std::memory_order_relaxed); }

 private:
  std::string name_;
  std::atomic<bool> reached_{false};
};

class Context {
 public:
  Context(const Settings& settings, const Wire& wire);

  // --- what the run is ---

  const Settings& settings() const noexcept { return settings_; }
  /// An independent generator for each purpose or thread.
  Rng rng(std::uint64_t stream) const noexcept { return Rng(split(settings_.seed, stream)); }
  /// Size of a round: what --tasks says, else `standard`.
  std::uint64_t size(std::uint64_t standard) const noexcept {
    return settings_.tasks != 0 ? settings_.tasks : standard;
  }
  /// Starts a round: false when the time is up or the rounds are done. The first is always granted.
  bool more() noexcept;
  std::uint64_t round() const noexcept { return rounds_; }
  /// Fraction of the run that is over, 0..1; by rounds if it is not bounded by time.
  double elapsed() const noexcept;
  /// Seconds that the run is meant to take; `standard` if it is not bounded by time.
  double planned_s(double standard) const noexcept {
    return settings_.duration_s > 0 ? settings_.duration_s : standard;
  }
  /// How late anything may be: far beyond what a working runtime needs on this machine now, and
  /// below the second after which the product's own memory trimming would cover up a lost wake.
  std::int64_t late_bound_ns() const noexcept;

  // --- what it finds ---

  void op(std::uint64_t n = 1) noexcept { ops_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t ops() const noexcept { return ops_.load(std::memory_order_relaxed); }

  /// An invariant. If it does not hold the parent hears of it, with a dump, and the process ends:
  /// going on could hide the cause.
  template <class... Args>
  void check(bool holds, std::string_view code, fmt::format_string<Args...> text, Args&&... args) {
    if (!holds) [[unlikely]]
      fail(fact::broken, code, fmt::format(text, std::forward<Args>(args)...));
  }
  /// The same for a resource bound.
  template <class... Args>
  void check_bound(bool holds, std::string_view code, fmt::format_string<Args...> text,
                   Args&&... args) {
    if (!holds) [[unlikely]]
      fail(fact::limit, code, fmt::format(text, std::forward<Args>(args)...));
  }

  /// Declares a goal; at most one of a name. Before or while threads run.
  Goal& goal(std::string_view name);
  /// A goal under heavy chaos: tasks were preempted that nobody had asked to give way. At the end.
  void expect_forced_demotions();
  /// A number for the report; the last one of a name counts.
  void metric(std::string_view name, double value);
  /// From making something ready to its run.
  Delays& delays() noexcept { return delays_; }
  /// From the moment something was due to its run: sleeps and timers.
  Delays& lateness() noexcept { return lateness_; }

  // --- for LiveRuntime, the control thread and the end ---

  void enlist(paceline::runtime& live);
  void delist(paceline::runtime& live) noexcept;
  void add(const paceline::runtime_stats& stats) noexcept;
  /// Sends the state of every live runtime. Any thread.
  void dump() noexcept;
  /// Sends goals, counters and metrics.
  void send_results();
  void stop_canary() noexcept { hiccup_.stop(); }

  [[noreturn]] void fail(std::string_view kind, std::string_view code, const std::string& text);

 private:
  const Settings settings_;
  const Wire& wire_;
  const std::int64_t start_ = now_ns();
  std::uint64_t rounds_ = 0;
  std::atomic<std::uint64_t> ops_{0};
  std::atomic<bool> failing_{false};
  Hiccup hiccup_;
  Delays delays_;
  Delays lateness_;

  std::mutex lock_;  // of all below
  std::deque<Goal> goals_;
  std::vector<std::pair<std::string, double>> metrics_;
  std::vector<paceline::runtime*> live_;
  paceline::worker_stats total_;
};

/// A runtime that the dump can see and whose counters reach the report.
class LiveRuntime {
 public:
  /// With the worker count of the settings unless `options` say otherwise.
  explicit LiveRuntime(Context& context, paceline::runtime_options options = {});
  ~LiveRuntime();
  LiveRuntime(const LiveRuntime&) = delete;
  LiveRuntime& operator=(const LiveRuntime&) = delete;

  paceline::runtime& operator*() noexcept { return *runtime_; }
  paceline::runtime* operator->() noexcept { return &*runtime_; }

  /// Waits until nothing lives and checks that every accepted task has ended once.
  void settle();

 private:
  Context& context_;
  std::optional<paceline::runtime> runtime_;
};

}  // namespace coretest
