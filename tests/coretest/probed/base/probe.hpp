// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/probe.hpp, first on the include path of the probed library: the probes are
// alive. Off until coretest's child switches them on; then one relaxed load per probe decides.
#pragma once

#include <atomic>

#include "base/sites.hpp"

namespace paceline::core {

namespace probed {

extern std::atomic<bool> chaos_on;
extern std::atomic<Mutant> sabotage;

// Out of line: they use thread-local state, and a coroutine must not cache its address (D15).
void disturb(Site site) noexcept;
bool force(Whim whim) noexcept;
bool strike() noexcept;

}  // namespace probed

/// Perhaps yields or naps here. Signal-safe; keeps errno.
inline void probe(Site site) noexcept {
  if (probed::chaos_on.load(std::memory_order_relaxed)) probed::disturb(site);
}

/// Is a poll to be preempted here although nothing waits?
inline bool forced(Whim whim) noexcept {
  return probed::chaos_on.load(std::memory_order_relaxed) && probed::force(whim);
}

/// Does the planted mistake strike here? Each call that may strike counts towards its rate.
inline bool planted(Mutant mutant) noexcept {
  return probed::sabotage.load(std::memory_order_relaxed) == mutant && probed::strike();
}

}  // namespace paceline::core
