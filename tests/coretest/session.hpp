// SPDX-License-Identifier: BSL-1.0
// Session: from options to runs, in an order shuffled by the seed, to the report's exit code.
#pragma once

#include <vector>

#include "options.hpp"

namespace coretest {

/// Every run that `options` ask for with one seed, in the order of their running.
std::vector<Settings> plan_runs(const Options& options, std::uint64_t seed);

/// Runs a classic, --scenario, --all, --list-file or --replay invocation. Returns the exit code.
int run_session(const Options& options);

/// Seconds without progress after which a run hangs, unless the user says otherwise.
double default_timeout_s() noexcept;

/// A seed nobody chose.
std::uint64_t fresh_seed();

}  // namespace coretest
