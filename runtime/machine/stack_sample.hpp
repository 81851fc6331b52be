// SPDX-License-Identifier: BSL-1.0
// The stack of another thread of this process while it runs or is blocked.
// Flow room: stall. Called by a monitor; never by the thread that is looked at.
// Without a living StackSampling no signal is ever sent; with one, only to threads that compute.
// Proof: tests/unit/machine/unwind_test.cpp.
#pragma once

#include <optional>

#include "base/time.hpp"
#include "machine/unwind.hpp"

namespace paceline::core::machine {

/// The signal that asks a thread for its registers: SIGRTMAX - 3. Threads of the runtime have it
/// unblocked.
int sample_signal() noexcept;

/// While one lives the handler of that signal is installed, unless the application has one of its
/// own for it. Nests, over all runtimes.
class StackSampling {
 public:
  StackSampling() noexcept;
  ~StackSampling();
  StackSampling(const StackSampling&) = delete;
  StackSampling& operator=(const StackSampling&) = delete;
  /// False: the application has its own handler, so that threads that compute cannot be sampled.
  static bool installed() noexcept;
};

/// Of a thread that sleeps in the system, from what the system says about it; no signal, so no call
/// is interrupted. nullopt: it runs, or the system does not tell. Allocates.
std::optional<Trace> trace_of_blocked(int thread) noexcept;

/// Of a thread that computes, by signal. nullopt: it did not answer within `patience`, or nothing
/// is installed. Allocates; blocks for at most `patience`.
std::optional<Trace> trace_of_running(int thread, Nanos patience) noexcept;

/// How many signals were sent so far, by this process. Any thread.
std::uint64_t sample_signals_sent() noexcept;

/// See machine::keep_across_fork.
void keep_samples_across_fork() noexcept;

}  // namespace paceline::core::machine
