// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/probe.hpp: which mistake is planted is a switch of the running job.
// Most sites need no delay here, because every atomic access around them is a scheduling point.
#pragma once

#include "base/sites.hpp"
#include "explorer/point.hpp"

namespace model {
/// The mistake planted now; set by the job before a search, never during one.
inline paceline::core::Mutant planted_mutant = paceline::core::Mutant::none;
}  // namespace model

namespace paceline::core {

inline void probe(Site site) noexcept {
  // What follows begins with plain words.
  if (site == Site::takeover_after_look) model::pause_here("takes over");
  if (site == Site::collect_after_take) model::pause_here("collects");
}
constexpr bool forced(Whim) noexcept { return false; }
inline bool planted(Mutant mutant) noexcept { return model::planted_mutant == mutant; }

}  // namespace paceline::core
