// SPDX-License-Identifier: BSL-1.0
// Stack overflows: a fault in the guard below an executor's stack is reported by the task's name.
// Flow room: none; a fault handler on a stack of its own.
// It must never keep a fault from whoever handled it before, nor take the place of a later handler.
// Proof: tests/unit/api/overflow_test.cpp.
#pragma once

#include <cstddef>

namespace paceline::core::machine {

/// While one lives a fault of the runtime's threads in the guard of their stack is reported on
/// stderr, then handed to whoever handled SIGSEGV before; other faults are handed on silently.
/// Nests, over all runtimes. When the last one ends, the former handler returns, unless the
/// application has installed another one meanwhile.
class OverflowReports {
 public:
  /// Writes what runs on the calling thread into `text` and returns its length. Called in a signal
  /// handler.
  using Describe = std::size_t (*)(char* text, std::size_t size) noexcept;

  explicit OverflowReports(Describe describe) noexcept;
  ~OverflowReports();
  OverflowReports(const OverflowReports&) = delete;
  OverflowReports& operator=(const OverflowReports&) = delete;
};

/// The calling thread's stack for such handlers, while it lives: a local of the thread's own stack,
/// which is not the one that overflows.
class HandlerStack {
 public:
  HandlerStack() noexcept;
  ~HandlerStack();
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;

 private:
  // For one signal frame and whoever handled such signals before us.
  static constexpr std::size_t kBytes = 64 * 1024;

  alignas(16) std::byte memory_[kBytes];
  bool used_ = false;
  void* before_ = nullptr;
  std::size_t before_bytes_ = 0;
  int before_flags_ = 0;
};

/// See machine::keep_across_fork.
void keep_overflow_reports_across_fork() noexcept;

}  // namespace paceline::core::machine
