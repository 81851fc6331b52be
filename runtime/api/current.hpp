// SPDX-License-Identifier: BSL-1.0
// The task and runtime of the calling thread, for the api room only.
#pragma once

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

/// The calling worker's runtime; null on other threads. Only for this room's functions, which
/// coroutines call and never inline.
inline ExecutorRuntime* here() noexcept { return machine::this_thread_record.runtime; }

/// The same, with a current task. Throws std::logic_error, naming `what`, if there is none.
ExecutorRuntime& require_current(const char* what);

}  // namespace paceline::core
