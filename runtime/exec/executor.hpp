// SPDX-License-Identifier: BSL-1.0
// Executor: one stack that polls tasks.
// Flow room: run. Belongs to one ExecutorRuntime and one OS thread.
// It must never decide what to poll: the runtime picks, the executor resumes.
// Proof: tests/unit/exec/executor_test.cpp.
#pragma once

#include <cstddef>

#include "machine/fiber.hpp"

namespace paceline::core {

class ExecutorRuntime;

/// The strong executor: runs batches of polls on a stack of its own, so that a poll can later be
/// parked with its stack while a fresh executor goes on.
class Executor {
 public:
  /// Throws std::bad_alloc.
  Executor(ExecutorRuntime& runtime, std::size_t stack_bytes);

  /// Runs one batch; returns when it is done.
  void run_batch() noexcept { fiber_.enter(); }
  /// Lets the loop end. Before destruction.
  void retire() noexcept;

 private:
  static void loop(void* self) noexcept;

  ExecutorRuntime& runtime_;
  machine::Fiber fiber_;
  bool retiring_ = false;
};

}  // namespace paceline::core
