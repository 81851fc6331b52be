// SPDX-License-Identifier: BSL-1.0
// Where stress runs may interfere and where mistakes may be planted.
//
// In the product these functions are empty and cost nothing. Two twins of this file replace it:
// tests/model/seam (mutants the explorer must kill) and coretest/probed (chaos, and the sabotages
// that `coretest --prove` must catch).
#pragma once

#include "base/sites.hpp"

namespace paceline::core {

inline void probe(Site) noexcept {}
constexpr bool forced(Whim) noexcept { return false; }
constexpr bool planted(Mutant) noexcept { return false; }

}  // namespace paceline::core
