// SPDX-License-Identifier: BSL-1.0
// The child's side: one scenario, and a plain thread that answers for it while it runs.
#pragma once

#include "settings.hpp"

namespace coretest {

/// Runs the scenario of `settings`, telling `wire_fd` and obeying `control_fd` (any byte: dump the
/// state; end of file: the parent is gone). Returns the process's exit code.
int run_in_child(const Settings& settings, int wire_fd, int control_fd);

}  // namespace coretest
