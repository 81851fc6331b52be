// SPDX-License-Identifier: BSL-1.0
// Who holds a runtime: tasks that are in the middle of a run, by id.
// Flow rooms: dump, stop. Any thread; it stops nobody, so each entry is true for its own moment.
// It must never look at a stack that may run: a parked one is claimed while it is looked at.
// Proof: tests/unit/api/dump_test.cpp, tests/unit/api/abandon_test.cpp.
#pragma once

#include <cstdint>
#include <map>

#include "machine/unwind.hpp"

namespace paceline::core {

class RuntimeCore;

struct Holders {
  /// Preempted, with where they stand.
  std::map<std::uint64_t, machine::Trace> preempted;
  /// Running on the worker with that index.
  std::map<std::uint64_t, unsigned> running;
  /// Running on a thread that has lost its worker, which had that index.
  std::map<std::uint64_t, unsigned> detached;
};

/// Throws std::bad_alloc. Under a DumpGuard.
Holders find_holders(const RuntimeCore& core);

}  // namespace paceline::core
