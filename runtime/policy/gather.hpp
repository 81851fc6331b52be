// SPDX-License-Identifier: BSL-1.0
// How long a worker that has caught up with a stream of tiny tasks from outside waits before it
// looks for the next ones.
// Flow room: run. Pure: the worker supplies counts and times and does the waiting.
// It must never hold anything up for longer than kGatherFor, nor, but for kGatherTry, than the
// tasks before took to come.
//
// Taking a task that somebody else made ready costs both sides the cache lines of its ready word
// and, if that was empty, of three summaries above it. Some that have come together cost the same
// once. So where they come fast enough a worker lets some of them come; the figures are in
// docs/decisions/0004-what-pays.md.
// Proof: tests/unit/policy/gather_test.cpp; pacebench spawn/remote.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace paceline::core::policy {

/// [P] All of these are measured, see decision 0004. So many are let come together,
inline constexpr std::uint32_t kGather = 256;
/// if that takes no longer than waking a sleeping worker would (kWakeCost in sched/idle.hpp),
inline constexpr Nanos kGatherFor = 20 * kMicrosecond;
/// and at least so many if it does.
inline constexpr std::uint32_t kGatherLeast = 16;
/// A worker that keeps up with a stream sees one at a time: after one in kGatherTryEvery that came
/// within kGatherTry of the last look it waits so long to see whether there are more.
inline constexpr Nanos kGatherTry = kMicrosecond;
inline constexpr unsigned kGatherTryEvery = 16;

/// `came` tasks came from outside between two looks that lay `within` apart; all are done with.
/// `lone` counts lone ones that came quickly. How long to wait before the next look; 0: not at all.
constexpr Nanos gather_for(std::uint32_t came, Nanos within, unsigned& lone) noexcept {
  if (came == 0) return 0;
  if (came == 1) return within < kGatherTry && ++lone % kGatherTryEvery == 0 ? kGatherTry : 0;
  if (within / came > kGatherFor / kGatherLeast) return 0;
  const Nanos enough = within * kGather / came;
  return std::min({enough, kGatherFor, within});
}

}  // namespace paceline::core::policy
