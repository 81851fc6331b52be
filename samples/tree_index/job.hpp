// SPDX-License-Identifier: BSL-1.0
// The job: index the given paths on a runtime of its own, or without one.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include <paceline/paceline.hpp>

#include "options.hpp"
#include "report.hpp"

namespace tree_index {

/// How the runtime is set up, and what else it has to do.
struct Load {
  paceline::preemption_mode preemption = paceline::preemption_mode::automatic;
  std::size_t hogs_per_worker = 0;
  bool rude = false;  // the hogs reach no safepoint
  bool shows_progress = true;
  std::optional<std::chrono::nanoseconds> at_most = std::nullopt;  // then it ends early
};

Run run_in_parallel(const Options& options, const Load& load = {});
Run run_serially(const Options& options);

}  // namespace tree_index
