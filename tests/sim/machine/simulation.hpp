// SPDX-License-Identifier: BSL-1.0
// The simulated machine's heart: many simulated threads take turns on one thread of the system, a
// seed chooses who goes next, and time is a counter that moves only when nobody has anything to do.
//
// Two runs with one seed take the same decisions; the trace hash says so. A thread gives up its
// turn at a scheduler point only: parking, waking, spinning, taking a lock, starting or joining a
// thread, and the runtime's probes. What lies between two of them takes no time and nobody sees it
// half done. With prices (prices.hpp) it does, and turns go by the clock.
// Proof: tests/coretest/virtual_time_test.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sites.hpp"
#include "base/time.hpp"

namespace paceline::core::simulation {

/// Where a turn may end.
enum class Point : std::uint8_t { probe, lock, park, wake, spin, start, end, sleep, line };

struct Setup {
  std::uint64_t seed = 1;
  Mutant mutant = Mutant::none;   // planted in the runtime
  std::uint64_t mutant_rate = 1;  // it strikes in one of so many places
  /// It has struck for the first time.
  void (*struck)() = nullptr;
  /// Nobody can ever run again. Says where each thread stands, and must not return.
  void (*stuck)(const std::string& reason, const std::vector<std::string>& threads) = nullptr;
};

/// The calling thread of the system becomes the first simulated thread. Once per process, before
/// the first runtime.
void begin(const Setup& setup);

struct Facts {
  std::uint64_t decisions = 0;   // scheduler points passed
  std::uint64_t switches = 0;    // turns that changed the thread
  std::uint64_t trace_hash = 0;  // over (thread, point) of every decision
  std::uint64_t threads = 0;     // ever, with the first
  Nanos elapsed = 0;             // virtual
};
Facts facts() noexcept;

// --- for the machine, the lock and the probes ---
// On threads that are not simulated, and before begin(), these do nothing.

Nanos now() noexcept;
/// Somebody else may go on here.
void point(Point kind, unsigned detail = 0) noexcept;
/// One step of a busy wait: time moves on once everybody who can run has made one.
void spin() noexcept;
/// Blocks until `word` is woken or time has come to `deadline`.
void block(const void* word, Nanos deadline, Point kind) noexcept;
/// True one time in `rate`.
bool chance(std::uint64_t rate) noexcept;
/// Wakes one of those who wait for `word`, or all.
void wake(const void* word, bool all) noexcept;
/// Keeps the calling thread busy for so long; others run meanwhile.
void pass(Nanos duration) noexcept;
/// Has `handler` run on that thread, as a signal would: at its next turn, wherever it stands; what
/// it waits for then returns early. On the calling thread at once. Interruptions that meet an
/// earlier one before it runs are one with it, and none interrupts a handler.
void interrupt(std::uintptr_t thread, void (*handler)()) noexcept;
/// A word of the calling thread's own, for whoever runs on it. Simulated threads only.
void*& own_word() noexcept;
/// Nobody else has a turn from here on: the calling thread reports a failure.
void stop() noexcept;
/// A planted mistake strikes here.
bool strikes(Mutant mutant) noexcept;

/// Threads have numbers from 1 on; 1 is the first. Throws std::system_error.
std::uintptr_t start(void (*body)(void*) noexcept, void* argument);
void join(std::uintptr_t thread) noexcept;
void detach(std::uintptr_t thread) noexcept;
/// 0 on threads that are not simulated.
std::uintptr_t self() noexcept;
void name_self(std::string_view name) noexcept;
void bind_self(int cpu) noexcept;
/// -1: bound to none.
int own_cpu() noexcept;
struct Activity {
  Nanos busy = 0;      // how long it has not waited, ever
  bool waits = false;  // it is blocked
};
/// nullopt: it is gone.
std::optional<Activity> activity_of(std::uintptr_t thread) noexcept;

}  // namespace paceline::core::simulation
