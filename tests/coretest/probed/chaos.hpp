// SPDX-License-Identifier: BSL-1.0
// Chaos: what the live probes do, decided by one seed split per thread (reliability.md section 4).
#pragma once

#include <cstdint>

#include "../settings.hpp"

namespace coretest::chaos {

/// Chooses, from the seed, which sites are active and how often each strikes, and starts what the
/// level asks for beside the probes: heavy adds CPU hogs, a staller and demotions that nobody asked
/// for.
void begin(Chaos level, std::uint64_t seed);
/// Ends the helper threads and disarms the probes.
void end() noexcept;

/// The longest that one step may be delayed by what has happened so far.
std::int64_t allowance_ns() noexcept;
std::uint64_t disturbances() noexcept;
/// Safepoints that were to park their poll whatever waits.
std::uint64_t forced_demotions() noexcept;

}  // namespace coretest::chaos
