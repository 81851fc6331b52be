// SPDX-License-Identifier: BSL-1.0
// The machine that a runtime runs on and by which profile; how many workers that makes stands
// beside WorkerPlan. Flow room: start. Any thread.
// Proof: tests/unit/api/topology_test.cpp, tests/unit/sched/plan_test.cpp.
#pragma once

#include <paceline/options.hpp>
#include <paceline/topology.hpp>

namespace paceline::core {

/// The machine of the options, else this one; where that cannot be understood its usable cores as
/// alike, said in one line of the log. Throws std::bad_alloc.
topology machine_for(const runtime_options& options);

/// Throws std::invalid_argument for a profile or a time scale that is none.
void check_profile(const runtime_options& options);

}  // namespace paceline::core
