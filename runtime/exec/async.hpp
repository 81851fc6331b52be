// SPDX-License-Identifier: BSL-1.0
// Preemption by signal: the text that may be interrupted, the gates, and the handler.
// Flow room: preempt. The thread that runs the task, in and out of its signal handler.
// It must never preempt code outside the async text section.
// Proof: tests/unit/api/async_region_test.cpp, tests/unit/exec/async_text_test.cpp.
#pragma once

#include <cstdint>

#include "exec/region.hpp"

namespace paceline {
struct runtime_options;
}  // namespace paceline

namespace paceline::core {

class ExecutorRuntime;

/// Code in [begin, end) may be interrupted from now on. Empty and known ranges change nothing;
/// beyond kAsyncTexts they are dropped. Any thread.
void add_async_text(const char* begin, const char* end) noexcept;
inline constexpr unsigned kAsyncTexts = 64;
/// Signal-safe.
bool in_async_text(std::uintptr_t pc) noexcept;

/// The calling thread, in a poll of `runtime`, is about to open its first region: may a signal
/// preempt it? Sees to the handler and the signal mask.
bool ready_for_signals(Region& region, ExecutorRuntime& runtime) noexcept;

/// Leaves the region of the calling thread; waits for a signal that is on its way.
void leave_region(Region& region) noexcept;

/// A parked stack takes its regions along. The calling thread's, before and after.
unsigned set_regions_aside() noexcept;
void take_regions_up(unsigned depth) noexcept;

/// Sends the signal to a thread that is in a region, if none is on its way. False: the system would
/// not send it. Signal-safe.
bool signal_region(Region& region) noexcept;

/// Claims the signal for the process. Null, or why it cannot be had.
const char* claim_async_signal(int number) noexcept;
/// See machine::keep_across_fork.
void keep_regions_across_fork() noexcept;

/// The signal that preempts in the regions of a runtime; 0: none. Throws std::invalid_argument if
/// the one that was asked for cannot be had.
int choose_async_signal(const runtime_options& options);
/// The calling thread may open regions from now on; `region` is its record.
void begin_regions(Region& region, int number) noexcept;

/// Signals that arrived outside of every region, in all runtimes: 0 unless something is broken.
std::uint64_t async_signals_outside() noexcept;

}  // namespace paceline::core
