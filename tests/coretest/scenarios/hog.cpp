// SPDX-License-Identifier: BSL-1.0
// C02 hog. Two hogs per worker, some that reach safepoints and some that do not, and sleepers that
// must keep their time beside them.
//
// Invariants: no sleeper is kept waiting beyond the bound; every hog ends once it is told to;
// nothing is left parked.
#include <atomic>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::int64_t kStep = 20 * kMicro;

class Round {
 public:
  Round(Context& context, paceline::runtime& rt, Rng rng) : context_(context), rt_(rt), rng_(rng) {}

  void run() {
    std::vector<paceline::join_handle<void>> hogs;
    for (std::size_t i = 0; i < 2 * rt_.workers(); ++i) {
      const bool polite = rng_.below(3) != 0;
      const auto stack = static_cast<unsigned>(rng_.below(40));
      hogs.push_back(
          rt_.spawn({.qos = paceline::qos::utility, .name = polite ? "polite hog" : "hog"},
                    [this, polite, stack] { hog(stack, polite); }));
    }
    std::vector<paceline::join_handle<void>> sleepers;
    for (unsigned i = 0; i < 4; ++i) {
      sleepers.push_back(rt_.spawn(sleeper(rng_.below(3'000)), {.name = "sleeper"}));
    }
    for (auto& sleeper : sleepers) sleeper.join();
    over_.store(true, std::memory_order_relaxed);
    for (auto& hog : hogs) hog.join();
    context_.op(hogs.size() + sleepers.size());
  }

 private:
  /// Computes some calls deep until the round is over.
  void hog(unsigned depth, bool polite) {
    if (depth > 0) {
      volatile unsigned kept = depth;
      hog(depth - 1, polite);
      context_.check(kept == depth, "stack", "a hog's stack holds {} instead of {}", unsigned{kept},
                     depth);
      return;
    }
    while (!over_.load(std::memory_order_relaxed)) {
      if (polite) paceline::preempt_point();
      // Elsewhere the loop itself takes time.
      if (time_is_virtual()) busy_for(kStep);
    }
  }

  paceline::task<void> sleeper(std::uint64_t sleep_us) {
    for (int i = 0; i < 10; ++i) {
      const std::int64_t due = now_ns() + static_cast<std::int64_t>(sleep_us) * kMicro;
      co_await paceline::sleep_for(std::chrono::microseconds(sleep_us));
      const std::int64_t late = now_ns() - due;
      context_.check(late >= 0, "early", "a sleeper ran {} ns early", -late);
      // Each hog that reaches no safepoint may hold its worker for handoff_after, one after
      // another.
      const std::int64_t bound = context_.late_bound_ns();
      context_.check(late <= bound, "late", "a sleeper ran {} ns late beside hogs", late);
      context_.lateness().add(late);
    }
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::atomic<bool> over_{false};
};

}  // namespace

void run_hog(Context& context) {
  Goal& demoted = context.goal("a hog gave way at a safepoint");
  Goal& handed = context.goal("a hog lost its worker");
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    Round(context, *rt, Rng(rng.next())).run();
    const auto stats = rt->stats();
    demoted.reach_if(stats.total.demotions_safepoint > 0);
    handed.reach_if(stats.handoffs > 0);
    context.check(stats.total.weak_live == 0, "parked", "{} executors are parked and no task lives",
                  stats.total.weak_live);
  }
  rt.settle();
  context.expect_forced_demotions();
}

}  // namespace coretest
