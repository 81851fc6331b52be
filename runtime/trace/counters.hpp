// SPDX-License-Identifier: BSL-1.0
// What a worker counts. Written by that worker only, read by anybody.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace paceline::core {

struct alignas(kCacheLinePair) Counters {
  Atomic<std::uint64_t> spawned{0};
  Atomic<std::uint64_t> completed{0};
  Atomic<std::uint64_t> polls{0};  // also the worker's epoch: it moves while the worker does
  Atomic<std::uint64_t> wakes{0};
  Atomic<std::uint64_t> coalesced{0};
  Atomic<std::uint64_t> stale{0};
  Atomic<std::uint64_t> steals{0};
  Atomic<std::uint64_t> tasks_stolen{0};
  Atomic<std::uint64_t> parks{0};
  Atomic<std::uint64_t> unparks{0};
  Atomic<std::uint64_t> timers_fired{0};
};

}  // namespace paceline::core
