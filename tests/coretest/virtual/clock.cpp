// SPDX-License-Identifier: BSL-1.0
// The time of the simulated machine: it passes only while everybody waits.
#include "clock.hpp"

#include "sim/machine/simulation.hpp"

namespace coretest {

namespace simulation = paceline::core::simulation;

std::int64_t now_ns() noexcept { return simulation::now(); }
void busy_for(std::int64_t ns) noexcept { simulation::pass(ns); }
void give_way() noexcept { simulation::spin(); }
bool time_is_virtual() noexcept { return true; }

}  // namespace coretest
