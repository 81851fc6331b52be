// SPDX-License-Identifier: BSL-1.0
// The simulated machine with costs: what the runtime does takes time, and each thread has a core,
// and a clock, of its own. Who is furthest behind goes on, so what one does to a line the others
// meet in the order of time. Decision 0022.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/time.hpp"

namespace paceline::core::simulation {

/// Measured on the machine of docs/benchmarks.md, "What a wake costs", in ns.
struct Prices {
  Nanos access = 1;         // a load or store of a line that the core holds
  Nanos rmw = 5;            // the same, atomically
  Nanos miss = 118;         // more for a line that it does not hold: there and back
  Nanos clock = 19;         // a look at the clock
  Nanos relax = 40;         // a step of a busy wait; not measured, the manuals say 40 to 140 cycles
  Nanos wake_call = 7'200;  // waking a sleeper, for the caller
  Nanos wake_run = 16'200;  // and until the sleeper runs
};

/// What one line has seen.
struct LineTally {
  std::uintptr_t address = 0;
  std::size_t number = 0;  // in the order of first accesses
  std::uint64_t accesses = 0;
  std::uint64_t misses = 0;
  Nanos waited = 0;         // for others to be done with it, all cores together
  Nanos held = 0;           // it was on its way from one core to another
  std::size_t writers = 0;  // cores that wrote it
  std::map<const void*, std::uint64_t> missed_from = {};  // misses by the code that had them
};

struct Tally {
  std::uint64_t accesses = 0;
  std::uint64_t misses = 0;
  Nanos waited = 0;
  std::vector<LineTally> lines;  // those that missed, the longest held first
};

/// From here on what is done has a price. Once, after begin() and before a second thread.
void price(const Prices& prices);
/// What the lines have seen since the last time. Only when priced.
Tally take_tally();

}  // namespace paceline::core::simulation
