// SPDX-License-Identifier: BSL-1.0
// C18 qos. Tasks of every timeshare class compute without end, more than the workers can serve, and
// now and then an important task awaits one of the least important class.
//
// Invariants: no task waits for its next turn beyond its class's bound; a more important class gets
// no less of the workers than a less important one; who awaits a background task has its answer
// within that class's bound; nothing is left parked.
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

using paceline::qos;

constexpr std::array kClasses{qos::user_interactive, qos::user_initiated, qos::standard,
                              qos::utility, qos::background};
// The deadline of a background task, the longest warp that may go before it, and two quanta of the
// most important class (docs/policies.md).
constexpr std::int64_t kLongestWait = (250 + 8 + 2 * 10) * kMilli;
constexpr std::int64_t kStep = 50 * kMicro;
constexpr std::int64_t kRound = 900 * kMilli;

class Round {
 public:
  Round(Context& context, paceline::runtime& rt) : context_(context), rt_(rt) {}

  void run(unsigned per_worker) {
    std::vector<paceline::join_handle<void>> hogs;
    const std::int64_t end = now_ns() + kRound;
    for (std::size_t c = 0; c < kClasses.size(); ++c) {
      for (std::size_t i = 0; i < per_worker * rt_.workers(); ++i) {
        // Each worker has the same mix: what was preempted stays where it is.
        hogs.push_back(rt_.spawn({.qos = kClasses[c], .name = "hog", .core = i % rt_.workers()},
                                 [this, c, end] { compute(c, end); }));
      }
    }
    auto waiter = rt_.spawn(wait_for_background(end), {.qos = qos::user_interactive});
    for (auto& hog : hogs) hog.join();
    waiter.join();
    context_.op(hogs.size());
  }

  std::uint64_t steps(std::size_t c) const { return steps_[c].load(std::memory_order_relaxed); }

 private:
  void compute(std::size_t c, std::int64_t end) {
    for (std::int64_t before = now_ns(); before < end;) {
      busy_for(kStep);
      steps_[c].fetch_add(1, std::memory_order_relaxed);
      paceline::preempt_point();
      const std::int64_t now = now_ns();
      note_gap(c, now - before);
      before = now;
    }
  }

  void note_gap(std::size_t c, std::int64_t gap) {
    // More important classes wait less, but what all may rely on is the longest bound; the machine
    // itself may be away for a while.
    const std::int64_t bound = kLongestWait + context_.late_bound_ns();
    context_.check(gap <= bound, "gap", "a task of class {} waited {} ns for its turn",
                   static_cast<unsigned>(kClasses[c]), gap);
    context_.lateness().add(gap);
  }

  paceline::task<void> wait_for_background(std::int64_t end) {
    while (now_ns() < end) {
      const std::int64_t asked = now_ns();
      co_await paceline::spawn({.qos = qos::background, .name = "awaited"}, [] {});
      const std::int64_t took = now_ns() - asked;
      context_.check(took <= kLongestWait + context_.late_bound_ns(), "inversion",
                     "an important task waited {} ns for one of class background", took);
      ++awaited_;
      co_await paceline::sleep_for(std::chrono::milliseconds(5));
    }
    context_.op(awaited_);
  }

  Context& context_;
  paceline::runtime& rt_;
  std::array<std::atomic<std::uint64_t>, kClasses.size()> steps_{};
  std::uint64_t awaited_ = 0;
};

}  // namespace

void run_qos(Context& context) {
  Goal& demoted = context.goal("a task gave way to a more important one");
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    Round round(context, *rt);
    round.run(1 + static_cast<unsigned>(rng.below(2)));
    std::uint64_t all = 0;
    for (std::size_t c = 0; c < kClasses.size(); ++c) all += round.steps(c);
    for (std::size_t c = 0; c < kClasses.size(); ++c) {
      context.check(round.steps(c) > 0, "starved", "class {} never ran in a round",
                    static_cast<unsigned>(kClasses[c]));
      // A twentieth of all: what a class may run ahead of its share within one round.
      if (c > 0) {
        context.check(round.steps(c) <= round.steps(c - 1) + all / 20, "share",
                      "class {} made {} steps, the more important one before it {}",
                      static_cast<unsigned>(kClasses[c]), round.steps(c), round.steps(c - 1));
      }
    }
    const auto stats = rt->stats();
    demoted.reach_if(stats.total.demotions_safepoint > 0);
    context.check(stats.total.weak_live == 0, "parked", "{} executors are parked and no task lives",
                  stats.total.weak_live);
  }
  rt.settle();
  context.expect_forced_demotions();
}

}  // namespace coretest
