// SPDX-License-Identifier: BSL-1.0
// Threads on macOS: classes instead of clamps, no binding to cores.
#include <cerrno>

#include <pthread/qos.h>

#include "machine/machine.hpp"

namespace paceline::core::machine {

// The error is the returned value; errno stays. EPERM: the thread has left the system of classes by
// choosing a scheduling policy itself.
int set_thread_class(const ThreadClass& wanted) noexcept {
  return ::pthread_set_qos_class_self_np(static_cast<qos_class_t>(wanted.apple), 0);
}

// There is no call for it: affinity tags are hints about caches, and Apple silicon has no sets.
int pin_this_thread(int /*cpu*/) noexcept { return ENOTSUP; }

}  // namespace paceline::core::machine
