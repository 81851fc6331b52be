// SPDX-License-Identifier: BSL-1.0
// C01 sleepers. The original coretest: N sleepers of staggered length must all be scheduled, woken
// and reaped: even ones sleep ten units, odd ones as many half units as their number. With real
// seconds 32 of them take 15.5 s at any number of workers.
//
// Invariants: every sleeper ends; no sleep is shorter than asked, none later than the bound; all
// together end when the longest does.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kEvenSleeps = 10;
// Without a duration to fill (--iterations) a unit is this long.
constexpr std::int64_t kShortUnit = 20 * kMilli;

struct Night {
  Context& context;
  std::int64_t unit_ns;
  bool prints;
  Goal& in_time;
  std::atomic<std::uint64_t> slept{0};
};

paceline::task<void> nap(Night& night, std::uint64_t number, std::int64_t asked_ns) {
  const std::int64_t start = now_ns();
  co_await paceline::sleep_for(std::chrono::nanoseconds(asked_ns));
  const std::int64_t late = now_ns() - start - asked_ns;
  night.context.check(late >= 0, "short-sleep", "sleeper {} slept {} ns less than {} ns", number,
                      -late, asked_ns);
  night.context.check(late <= night.context.late_bound_ns(), "late",
                      "sleeper {} slept {} ns longer than {} ns; the bound is {} ns", number, late,
                      asked_ns, night.context.late_bound_ns());
  night.in_time.reach_if(late < kMilli);
  night.context.lateness().add(late);
  night.context.op();
}

paceline::task<std::uint64_t> sleeper(Night& night, std::uint64_t number) {
  const bool even = number % 2 == 0;
  const std::uint64_t sleeps = even ? kEvenSleeps : number;
  for (std::uint64_t i = 1; i <= sleeps; ++i) {
    auto one = nap(night, number, even ? night.unit_ns : night.unit_ns / 2);
    co_await std::move(one);
    if (even && night.prints) {
      std::puts(fmt::format("sleeper {:>2}: {} of {}", number, i, kEvenSleeps).c_str());
      std::fflush(stdout);
    }
  }
  night.slept.fetch_add(1, std::memory_order_relaxed);
  co_return number;
}

/// How many units the longest of `count` sleepers sleeps.
double longest_units(std::uint64_t count) noexcept {
  const std::uint64_t last_odd = count < 2 ? 0 : (count % 2 == 0 ? count - 1 : count - 2);
  return std::max(static_cast<double>(kEvenSleeps), static_cast<double>(last_odd) / 2);
}

std::int64_t unit_for(const Context& context, std::uint64_t count) {
  if (context.settings().classic) return kSecond;
  if (context.settings().duration_s <= 0) return kShortUnit;
  // Two nights fill the run, or more if a real second is enough for a unit.
  const double unit_s = context.settings().duration_s / 2 / longest_units(count);
  return static_cast<std::int64_t>(std::min(1.0, unit_s) * static_cast<double>(kSecond));
}

}  // namespace

void run_sleepers(Context& context) {
  const std::uint64_t count = context.size(32);
  const bool classic = context.settings().classic;
  Night night{context, unit_for(context, count), classic,
              context.goal("woke within a millisecond")};
  Rng rng = context.rng(1);
  LiveRuntime rt(context);
  std::int64_t longest_ns = 0;
  while (context.more()) {
    night.slept.store(0);
    const std::int64_t start = now_ns();
    std::vector<paceline::join_handle<std::uint64_t>> sleepers;
    sleepers.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string name = fmt::format("sleeper {}", i);
      paceline::spawn_options options{.name = name};
      if (!classic) options.qos = static_cast<paceline::qos>(rng.below(paceline::qos_count));
      sleepers.push_back(rt->spawn(sleeper(night, i), options));
      context.check(static_cast<bool>(sleepers.back()), "spawn", "sleeper {} was not spawned", i);
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t reaped = sleepers[i].join();
      context.check(reaped == i, "join", "reaped sleeper {} in the place of {}", reaped, i);
    }
    const std::int64_t elapsed = now_ns() - start;
    context.check(night.slept.load() == count, "lost", "{} of {} sleepers ended",
                  night.slept.load(), count);
    longest_ns =
        static_cast<std::int64_t>(longest_units(count) * static_cast<double>(night.unit_ns));
    const std::int64_t bound = longest_ns + longest_ns / 20 + context.late_bound_ns();
    context.check(elapsed <= bound, "late",
                  "all sleepers took {} ns, the longest was to take {} ns", elapsed, longest_ns);
    context.metric("elapsed_s", static_cast<double>(elapsed) / kSecond);
  }
  context.metric("sleepers", static_cast<double>(count));
  context.metric("longest_asked_s", static_cast<double>(longest_ns) / kSecond);
  rt.settle();
}

}  // namespace coretest
