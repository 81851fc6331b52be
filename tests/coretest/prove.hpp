// SPDX-License-Identifier: BSL-1.0
// Self-test: a stress program that cannot see a planted mistake is worthless.
#pragma once

#include "options.hpp"

namespace coretest {

/// Plants each mistake in turn and runs the scenarios that should notice, until one does; before
/// that the same scenarios must pass without it. Returns the exit code: 0 if every one was caught.
int run_prove(const Options& options);

}  // namespace coretest
