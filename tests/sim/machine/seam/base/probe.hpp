// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/probe.hpp for the simulated machine: each probe is a scheduler point.
#pragma once

#include "base/sites.hpp"
#include "sim/machine/simulation.hpp"

namespace paceline::core {

inline void probe(Site site) noexcept {
  simulation::point(simulation::Point::probe, static_cast<unsigned>(site));
}
constexpr bool forced(Whim) noexcept { return false; }
inline bool planted(Mutant mutant) noexcept { return simulation::strikes(mutant); }

}  // namespace paceline::core
