// SPDX-License-Identifier: BSL-1.0
// The explorer's self-tests; see litmus.cpp.
#pragma once

namespace model {

/// Prints a line per test. Returns how many are wrong.
unsigned run_litmus();

}  // namespace model
