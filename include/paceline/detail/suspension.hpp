// SPDX-License-Identifier: BSL-1.0
// What a suspended task waits for, as its poller sees it.
// Flow rooms: task -> suspension -> task again. Written by the worker that runs the task, completed
// by anybody. It must never resume anything itself.
// Proof: tests/model/wake_model.cpp, tests/unit/exec/suspension_test.cpp.
#pragma once

#include <cstdint>

#include <paceline/detail/atomic.hpp>

namespace paceline::detail {

struct PromiseBase;
struct Suspension;

/// Names one slot by its address. Zero names none. The memory behind it is never unmapped, so a
/// stale reference may be followed; what it finds is then somebody else's slot or a vacant one.
struct TaskRef {
  std::uintptr_t bits = 0;

  explicit operator bool() const noexcept { return bits != 0; }
  friend bool operator==(TaskRef, TaskRef) = default;
};

/// The kind of a suspension. Its functions are called only by the worker that has just moved the
/// task from IDLE to RUNNING, hence never concurrently with each other or with the task.
struct SuspensionOps {
  /// For dumps: what the task waits for, e.g. "sleep".
  const char* what;
  /// Null for an exact suspension, whose completer raises `ready`. Otherwise asks the awaiter
  /// whether what it waits for has come (decision D2: a waker may fire late, twice or never).
  bool (*poll)(Suspension&) noexcept;
  /// The task was asked to stop. True: the operation is withdrawn and will never complete, resume
  /// the task. False: stay suspended (it completes shortly, or cannot be withdrawn).
  bool (*cancel)(Suspension&) noexcept;
  /// Null, or passes what the waiting task was lent on to what it waits for.
  void (*lend)(Suspension&, TaskRef waiting) noexcept = nullptr;
};

/// Base of every awaiter that suspends a task.
///
/// Writers: the poller (everything, before it publishes IDLE); the completer (`ready`, once).
/// Reader: the next poller.
/// I1: a task is resumed from here only if `ready` is raised, `poll` said so or `cancel` withdrew,
///     however many spurious bits point at it.
/// I2: after raising `ready` the completer never touches this object again: the task may run on,
///     and the object lives in its frame.
struct Suspension {
  explicit Suspension(const SuspensionOps& kind) noexcept : ops(&kind) {}

  const SuspensionOps* ops;
  // 0, then 1 once. Release by the completer, acquire by the poller: publishes the result. Without
  // the pair the task could resume and read a result that is not there yet.
  Atomic<std::uint32_t> ready{0};
  TaskRef task;
  PromiseBase* root = nullptr;  // of that task; null where no loan matters
};

}  // namespace paceline::detail
