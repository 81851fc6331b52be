// SPDX-License-Identifier: BSL-1.0
// The explorer's self-tests; see litmus.cpp.
#pragma once

namespace model {

/// Prints a line per test, or only per test that is wrong. Returns how many are wrong.
unsigned run_litmus(bool print_all);

}  // namespace model
