// SPDX-License-Identifier: BSL-1.0
// What preemption is good for: the same job beside hogs, with preemption off and on.
#pragma once

#include <iosfwd>

#include "options.hpp"

namespace tree_index {

/// Runs the job once for each row and prints the rows as they come. A row ends early after some
/// seconds; its rates are those of what was done. False if nothing could be read. Throws
/// std::runtime_error if two whole runs found different files.
bool compare(std::ostream& out, const Options& options);

}  // namespace tree_index
