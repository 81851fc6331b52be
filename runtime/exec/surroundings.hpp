// SPDX-License-Identifier: BSL-1.0
// Surroundings: what an ExecutorRuntime is told of the layers above it.
// Flow rooms: all of exec. Filled in once, before a worker runs. It must never have a state.
// Proof: tests/unit/exec/, whose desks stand in for those layers.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/time.hpp"
#include "machine/machine.hpp"
#include "policy/class_table.hpp"

namespace paceline::detail {
struct PromiseBase;
}

namespace paceline::core {

class ExecutorRuntime;
class Worker;
struct Port;
struct Slot;

/// What an ExecutorRuntime needs from the layers above, as data and plain functions.
struct Surroundings {
  /// Raised when the whole runtime was asked to stop.
  const Atomic<bool>* stopping = nullptr;
  /// Number of sleeping workers; a hint that makes the common "nobody sleeps" one load.
  const Atomic<std::uint32_t>* sleepers = nullptr;
  /// A task became ready here while others sleep; so many are ready now.
  void (*help_wanted)(Port& port, std::uint64_t ready) noexcept = nullptr;
  /// An exception nobody can join any more.
  void (*unhandled)(ExecutorRuntime& runtime, detail::PromiseBase& promise) noexcept = nullptr;
  /// Does a coroutine without a slot wait for the worker?
  bool (*foreign_waits)(Worker& worker) noexcept = nullptr;
  /// There is a note for the worker (Port::kNote), and it is about to poll `next`, which it has
  /// claimed; null: it has nothing to poll. Who is polled instead, and `next` is somebody else's
  /// business then; null: nobody, and if there was a next one it is gone. Null: there are no notes.
  Slot* (*instead)(Worker& worker, Slot* next) noexcept = nullptr;
  /// Somebody should ask the poll that runs again, soon. May be null.
  void (*ask_again)(Port& port) noexcept = nullptr;
  /// How task groups are to be treated: a TaskGroupWishes word for each. Null: like any other.
  const Atomic<std::uint64_t>* group_wishes = nullptr;
  bool apart = false;  // see ExecutorRuntime::apart
  /// Any worker may take whatever waits at another one, if it is not pinned.
  bool alike = true;
  /// See runtime_options.
  void* (*switch_out)() noexcept = nullptr;
  void (*switch_in)(void* saved) noexcept = nullptr;
  /// How many weak executors may be parked preempted on one worker; 0: nothing is preempted.
  unsigned max_weak = 32;
  /// How long an executor may run while others of its class wait.
  Nanos slice = 2 * kMillisecond;
  /// Deadlines, warps and quanta of the classes.
  policy::ClassTable classes = policy::class_table();
  /// By which turns are measured.
  Nanos (*now)() noexcept = &machine::now;
};

}  // namespace paceline::core
