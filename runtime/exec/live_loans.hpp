// SPDX-License-Identifier: BSL-1.0
// Is anything lent at all? While nothing is, nobody looks for a loan.
// A header of its own because the explorer has a twin of it, which always looks.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace paceline::core {

/// How many stand-ins there are in the process; relaxed. Whoever reads an old number misses a loan
/// that was made this moment.
inline Atomic<std::uint64_t> live_loans{0};

inline bool any_loans() noexcept { return live_loans.load(std::memory_order_relaxed) != 0; }
inline void loan_made() noexcept { live_loans.fetch_add(1, std::memory_order_relaxed); }
inline void loan_ended() noexcept { live_loans.fetch_sub(1, std::memory_order_relaxed); }

}  // namespace paceline::core
