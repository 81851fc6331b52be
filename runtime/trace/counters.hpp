// SPDX-License-Identifier: BSL-1.0
// What a worker counts. Written by that worker only, read by anybody.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace paceline::core {

struct alignas(kCacheLinePair) Counters {
  Atomic<std::uint64_t> spawned{0};
  Atomic<std::uint64_t> completed{0};
  Atomic<std::uint64_t> wakes{0};
  Atomic<std::uint64_t> coalesced{0};
  Atomic<std::uint64_t> stale{0};
  Atomic<std::uint64_t> steals{0};
  Atomic<std::uint64_t> tasks_stolen{0};
  Atomic<std::uint64_t> sent_abroad{0};  // spawned here and sent to another cluster
  Atomic<std::uint64_t> fetched{0};      // stolen since this kind of core is theirs
  Atomic<std::uint64_t> relieved{0};     // stolen from an overloaded cluster of another kind
  Atomic<std::uint64_t> rebalanced{0};   // handed to a worker that is free
  Atomic<std::uint64_t> stirred{0};      // handed to one where they take a turn
  Atomic<std::uint64_t> parks{0};
  Atomic<std::uint64_t> unparks{0};
  Atomic<std::uint64_t> timers_fired{0};
  Atomic<std::uint64_t> preempt_requests{0};     // met at a safepoint while still worth it
  Atomic<std::uint64_t> demotions_safepoint{0};  // of these, honoured
  Atomic<std::uint64_t> demotions_async{0};      // the same by signal
  Atomic<std::uint64_t> refused_cap{0};          // of these, too many weak executors
  Atomic<std::uint64_t> refused_memory{0};       // of these, no stack or no slot
  Atomic<std::uint64_t> stack_waits{0};          // times a stack was parked to wait
  Atomic<std::uint64_t> weak_live{0};            // parked now
  Atomic<std::uint64_t> weak_peak{0};
};

}  // namespace paceline::core
