// SPDX-License-Identifier: BSL-1.0
// A check that a task holds no lock when it is parked in the middle of its run: nobody else on its
// thread could get the lock, and it could not go on while they wait.
// Flow rooms: preempt (park).
// Product builds are without it: a park looks at one word, a poll at nothing.
// Proof: tests/unit/api/lock_checks_test.cpp.
#pragma once

namespace paceline::core {

struct Slot;

/// If the calling task holds a lock, or a static variable waits for it to be initialised: names the
/// task and what it holds on stderr, then aborts. In lock_checks.cpp, with the option lock_checks.
void stop_if_locks_held(const Slot& task) noexcept;

using LockCheck = void (*)(const Slot& task) noexcept;

/// Called before a task is parked. Null: no checks. Set before the first runtime starts.
#ifdef PACELINE_LOCK_CHECKS
inline constinit LockCheck check_locks = &stop_if_locks_held;
#else
inline constinit LockCheck check_locks = nullptr;
#endif

}  // namespace paceline::core
