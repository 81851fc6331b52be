// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/probe.hpp: which mistake is planted is a switch of the running job.
// The sites need no delay here, because every atomic access around them is a scheduling point.
#pragma once

#include "base/sites.hpp"

namespace model {
/// The mistake planted now; set by the job before a search, never during one.
inline paceline::core::Mutant planted_mutant = paceline::core::Mutant::none;
}  // namespace model

namespace paceline::core {

inline void probe(Site) noexcept {}
constexpr bool forced(Whim) noexcept { return false; }
inline bool planted(Mutant mutant) noexcept { return model::planted_mutant == mutant; }

}  // namespace paceline::core
