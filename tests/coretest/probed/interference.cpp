// SPDX-License-Identifier: BSL-1.0
// Interference with a probed library: chaos through the live probes, and the planted mistakes.
#include "interference.hpp"

#include <atomic>

#include "base/probe.hpp"
#include "chaos.hpp"
#include "sched/parks.hpp"

namespace coretest::interference {

namespace {

std::uint64_t rate = 1;
std::uint64_t offset = 0;  // from the seed: which of the first `rate` chances strikes
std::atomic<std::uint64_t> chances_seen{0};
std::atomic<bool> told_of_it{false};
const Wire* listener = nullptr;

}  // namespace

Parks linked() noexcept {
  return paceline::core::parks_are_infinite() ? Parks::infinite : Parks::timed;
}

void begin(const Settings& settings, const Wire& wire) {
  rate = settings.sabotage.rate;
  offset = split(settings.seed, 5) % rate;
  listener = &wire;
  paceline::core::probed::sabotage.store(settings.sabotage.mutant, std::memory_order_release);
  chaos::begin(settings.chaos, settings.seed);
}

void freeze() noexcept {}

void end() noexcept {
  chaos::end();
  paceline::core::probed::sabotage.store(Mutant::none, std::memory_order_release);
}

std::int64_t allowance() noexcept { return chaos::allowance_ns(); }
std::uint64_t disturbances() noexcept { return chaos::disturbances(); }
std::uint64_t forced_demotions() noexcept { return chaos::forced_demotions(); }
std::uint64_t chances() noexcept { return chances_seen.load(std::memory_order_relaxed); }

}  // namespace coretest::interference

namespace paceline::core::probed {

constinit std::atomic<Mutant> sabotage{Mutant::none};

bool strike() noexcept {
  using namespace coretest::interference;
  const std::uint64_t chance = chances_seen.fetch_add(1, std::memory_order_relaxed);
  if ((chance + offset) % rate != 0) return false;
  // Told at once: the process may not live long enough to tell it at its end.
  if (!told_of_it.exchange(true, std::memory_order_relaxed)) {
    listener->send(coretest::fact::planted, coretest::to_string(sabotage.load()));
  }
  return true;
}

}  // namespace paceline::core::probed
