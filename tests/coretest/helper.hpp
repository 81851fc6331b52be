// SPDX-License-Identifier: BSL-1.0
// A thread of a scenario's own, outside every runtime: one of the system's (plain/helper.cpp), or
// one of the simulated machine's (virtual/helper.cpp).
#pragma once

#include <functional>
#include <memory>

namespace coretest {

class Helper {
 public:
  /// Throws std::system_error.
  explicit Helper(std::function<void()> body);
  /// Joined, or moved from.
  ~Helper();
  Helper(Helper&&) noexcept;
  Helper& operator=(Helper&&) noexcept;
  void join();
  /// Has the handler of handle_interruptions() run on this thread, wherever it stands. Not once
  /// joined.
  void interrupt();

 private:
  struct Thread;
  std::unique_ptr<Thread> thread_;
};

/// What interruptions run from here on, in a signal handler or the like of it.
void handle_interruptions(void (*handler)());
/// Interrupts the calling thread, a Helper's.
void interrupt_self();
/// A word of the calling thread's own; null at first. The handler may look at it.
void*& own_word() noexcept;

}  // namespace coretest
