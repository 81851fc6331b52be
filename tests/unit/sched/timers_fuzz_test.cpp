// SPDX-License-Identifier: BSL-1.0
// Proves the timer wheel against an ordered multimap: random arms, cancels and looks, with
// deadlines of every size, must fire the same timers at the same looks (failure L15).
#include <algorithm>
#include <map>
#include <vector>

#include "base/rng.hpp"
#include "sched/timers.hpp"
#include "support/catch.hpp"
#include "unit/base/child.hpp"
#include "unit/sched/timer_bench.hpp"

using namespace paceline::core;
using paceline::detail::TimerNode;
using paceline_test::Timers;

namespace {

constexpr Nanos kTick = TimerWheel::kTick;

/// The first look at which a timer with this deadline fires; kForever: at none.
Nanos due(Nanos deadline) {
  if (deadline <= 0) return 0;
  const auto ticks = (static_cast<std::uint64_t>(deadline) + kTick - 1) / kTick;
  const std::uint64_t moment = ticks * kTick;
  return moment > static_cast<std::uint64_t>(kForever) ? kForever : static_cast<Nanos>(moment);
}

/// The wheel and its model, driven with one seed.
class Fuzz {
 public:
  explicit Fuzz(std::uint64_t seed)
      : rng_(seed), now_(static_cast<Nanos>(rng_.below(1ull << rng_.below(50)))), wheel_(now_) {}

  void arm_one() {
    TimerNode* node;
    if (!idle_.empty()) {
      node = idle_.back();
      idle_.pop_back();
      node->ready = 0;
    } else {
      node = &timers_.node(0);
    }
    node->deadline_ns = some_deadline();
    wheel_.arm(*node);
    // Whatever lies in the past is due as soon as the wheel's time is looked at.
    model_.emplace(due(node->deadline_ns), node);
    require_hint();
  }

  void cancel_one() {
    if (model_.empty()) return;
    auto victim = model_.begin();
    std::advance(victim, rng_.below(std::min<std::size_t>(model_.size(), 40)));
    REQUIRE(wheel_.cancel(*victim->second));
    REQUIRE_FALSE(Timers::fired(*victim->second));
    idle_.push_back(victim->second);
    model_.erase(victim);
  }

  /// Looks at a time and compares what fired.
  void look(Nanos at) {
    now_ = at;
    const std::size_t fired = wheel_.expire(at);
    std::size_t expected = 0;
    while (!model_.empty() && model_.begin()->first <= at && model_.begin()->first != kForever) {
      TimerNode* node = model_.begin()->second;
      REQUIRE(Timers::fired(*node));
      REQUIRE_FALSE(wheel_.cancel(*node));
      idle_.push_back(node);
      model_.erase(model_.begin());
      ++expected;
    }
    REQUIRE(fired == expected);
    if (!model_.empty()) REQUIRE_FALSE(Timers::fired(*model_.begin()->second));
    require_hint();
  }

  void look_somewhere() {
    switch (rng_.below(5)) {
      case 0: return look(now_);
      case 1: return look(later(static_cast<Nanos>(rng_.below(3 * kTick))));
      case 2: return look(later(static_cast<Nanos>(rng_.below(1ull << rng_.below(58)))));
      case 3:  // just before and at the earliest deadline
        if (model_.empty()) return;
        if (model_.begin()->first - 1 > now_) look(model_.begin()->first - 1);
        return look(std::max(now_, model_.begin()->first));
      default: return follow_hint();
    }
  }

  /// After a look at next_expiry() something has fired or next_expiry() has moved on; and the
  /// earliest timer is reached in a few such looks.
  void follow_hint() {
    for (unsigned looks = 0; !model_.empty(); ++looks) {
      const Nanos hint = wheel_.next_expiry();
      if (hint == kForever) return;
      const std::size_t before = model_.size();
      look(std::max(now_, hint));
      if (model_.size() < before) return;
      REQUIRE(wheel_.next_expiry() > hint);
      REQUIRE(looks < 64);
    }
  }

  void drain() {
    while (!model_.empty() && model_.begin()->first < kForever) {
      look(std::max(now_, model_.begin()->first));
    }
    while (!model_.empty()) cancel_one();
  }

 private:
  /// The hint is never later than the earliest deadline's tick, unless the deadline lies behind the
  /// wheel's time: then it is due at the wheel's time.
  void require_hint() {
    if (model_.empty()) return;
    const Nanos earliest = std::max(model_.begin()->first, now_);
    if (earliest < kForever) REQUIRE(wheel_.next_expiry() <= earliest);
  }

  Nanos later(Nanos by) const { return saturating_add(now_, by); }

  Nanos some_deadline() {
    switch (rng_.below(10)) {
      case 0: return now_;
      case 1: return -static_cast<Nanos>(rng_.below(1000));
      case 2: return kForever - static_cast<Nanos>(rng_.below(3) * rng_.below(1ull << 20));
      case 3: return later(static_cast<Nanos>(rng_.below(kTick)));
      case 4: {  // the border of a level, +-1 tick and +-1 ns
        const unsigned level = static_cast<unsigned>(rng_.below(8));
        const Nanos span = Nanos{1} << (TimerWheel::kTickShift + 6 * level);
        const Nanos border = later(span) / span * span;
        return std::max<Nanos>(0, border + (static_cast<Nanos>(rng_.below(3)) - 1) * kTick +
                                      static_cast<Nanos>(rng_.below(3)) - 1);
      }
      default: return later(static_cast<Nanos>(rng_.below(1ull << rng_.below(60))));
    }
  }

  Rng rng_;
  Nanos now_;
  Timers timers_;
  TimerWheel wheel_;
  std::multimap<Nanos, TimerNode*> model_;  // by the look at which they fire
  std::vector<TimerNode*> idle_;
  friend void play(Fuzz& fuzz, int steps);
};

void play(Fuzz& fuzz, int steps) {
  for (int step = 0; step < steps; ++step) {
    switch (fuzz.rng_.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: fuzz.arm_one(); break;
      case 5:
      case 6: fuzz.cancel_one(); break;
      default: fuzz.look_somewhere(); break;
    }
  }
  fuzz.drain();
}

}  // namespace

TEST_CASE("the wheel fires what an ordered multimap fires, look by look") {
  const std::uint64_t first = paceline_test::test_seed();
  for (std::uint64_t seed = first; seed < first + 300 * paceline_test::test_scale(); ++seed) {
    INFO("PACELINE_TEST_SEED=" << seed);
    Fuzz fuzz(seed);
    play(fuzz, 600);
  }
}
