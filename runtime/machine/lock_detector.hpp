// SPDX-License-Identifier: BSL-1.0
// What a task holds: mutexes, reader-writer locks, static variables that it initialises.
// Flow rooms: preempt (park). A thread asks about itself only.
// Not part of product builds: it replaces functions of the C and C++ libraries for the whole
// program. Linked with the option lock_checks, and by its own test.
// Proof: tests/unit/api/lock_checks_test.cpp.
#pragma once

#include <cstdint>

namespace paceline::core {
struct Slot;
}

namespace paceline::core::machine {

/// Taken by the calling thread in the name of a task, and not released since.
struct HeldLock {
  const Slot* task = nullptr;
  const void* object = nullptr;  // the lock, or the guard of the static variable
  const char* kind = nullptr;    // "a mutex" or the like
  std::uintptr_t taken_at = 0;   // the call returns there
};

/// Writes what the calling thread holds for `task`, the latest first, at most `most`; returns how
/// many it wrote.
unsigned held_locks(const Slot& task, HeldLock* found, unsigned most) noexcept;

}  // namespace paceline::core::machine
