// SPDX-License-Identifier: BSL-1.0
// Interference: chaos and sabotage, as the child process switches them on.
// Three implementations, chosen when linking: plain/ with the installed library, where there is
// nothing to switch on, probed/ with the twins of the library whose probes are alive, and virtual/
// with the twin on a simulated machine.
#pragma once

#include <cstdint>

#include "settings.hpp"
#include "wire.hpp"

namespace coretest::interference {

/// What this program is linked with. `Parks::product` means that nothing can be switched on.
Parks linked() noexcept;

/// Before the first runtime. Throws std::logic_error if `settings` asks for what is not there.
void begin(const Settings& settings, const Wire& wire);

/// Ends the helper threads (hogs, staller). After the last runtime.
void end() noexcept;

/// The calling thread reports a failure, and then the process ends: if it can be, nobody else runs.
void freeze() noexcept;

/// By how much interference may delay a single step, nanoseconds: part of every lateness bound.
std::int64_t allowance() noexcept;

/// How often chaos has yielded, napped or stalled somebody.
std::uint64_t disturbances() noexcept;
/// How often chaos has told a safepoint to preempt its task whatever waits.
std::uint64_t forced_demotions() noexcept;
/// How often the planted mistake could have struck.
std::uint64_t chances() noexcept;

}  // namespace coretest::interference
