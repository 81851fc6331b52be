// SPDX-License-Identifier: BSL-1.0
#include "sched/parks.hpp"

namespace paceline::core {

#ifdef PACELINE_INFINITE_PARKS
const bool kInfiniteParks = true;
#else
const bool kInfiniteParks = false;
#endif

}  // namespace paceline::core
