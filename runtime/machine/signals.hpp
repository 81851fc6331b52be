// SPDX-License-Identifier: BSL-1.0
// The machine seam's signals: one number claimed for the library, sent to single threads.
// Flow room: preempt. Implemented by signals_linux.cpp; where there are none, by its other half.
// It must never touch a signal for which the application has a handler.
// Proof: tests/unit/machine/signals_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace paceline::core::machine {

/// Where a thread was when the signal came.
struct Interrupted {
  std::uintptr_t pc;
};

/// Runs on the stack that was interrupted. It may leave that stack for a while if it comes back to
/// it on the same thread: the system's frame, with all registers, waits there.
using OnSignal = void (*)(Interrupted) noexcept;

/// False: this system, processor or sanitizer allows none.
bool signals_usable() noexcept;
/// The number used unless another one is asked for.
int usual_signal() noexcept;
/// Why not, or null: `on_signal` is called from now on for signals from send_signal; others with
/// this number are ignored, as they were. Twice is once. Any thread.
const char* claim_signal(int number, OnSignal on_signal) noexcept;
/// See machine::keep_across_fork.
void keep_signals_across_fork() noexcept;
/// False: the application has installed another handler meanwhile. Signal-safe.
bool still_claimed(int number) noexcept;
/// The calling thread takes it from now on.
void accept_signal(int number) noexcept;
/// In the handler, at its end: the next one comes when the handler has returned, not on top of it.
void defer_signal(int number) noexcept;
/// To one thread of this process. False: it cannot be sent now. Signal-safe; keeps errno.
bool send_signal(int thread, int number) noexcept;
/// Takes one from send_signal that waits because the calling thread blocks it. False: there is
/// none.
bool absorb_signal(int number) noexcept;
/// What the system puts on the stack for a signal, at most.
std::size_t signal_frame_bytes() noexcept;

}  // namespace paceline::core::machine
