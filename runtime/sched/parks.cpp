// SPDX-License-Identifier: BSL-1.0
#include "sched/parks.hpp"

namespace paceline::core {

#ifdef PACELINE_INFINITE_PARKS
bool parks_are_infinite() noexcept { return true; }
#else
bool parks_are_infinite() noexcept { return false; }
#endif

}  // namespace paceline::core
