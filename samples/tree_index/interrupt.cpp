// SPDX-License-Identifier: BSL-1.0
// The signal handler and its flag.
#include "interrupt.hpp"

#include <atomic>
#include <csignal>

namespace tree_index {

namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch nothing else");

void on_signal(int) { flag.store(true, std::memory_order_relaxed); }

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = &on_signal;
  // RESETHAND: whoever presses Ctrl-C twice means it.
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// relaxed: the flag publishes nothing but itself.
bool interrupted() noexcept { return flag.load(std::memory_order_relaxed); }

}  // namespace tree_index
