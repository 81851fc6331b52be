// SPDX-License-Identifier: BSL-1.0
// The task and runtime of the calling thread, for the api room only.
#pragma once

#include "exec/executor_runtime.hpp"

namespace paceline::core {

/// The calling worker's runtime; null on other threads.
ExecutorRuntime* here() noexcept;

/// The same, with a current task. Throws std::logic_error, naming `what`, if there is none.
ExecutorRuntime& require_current(const char* what);

}  // namespace paceline::core
