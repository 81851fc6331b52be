// SPDX-License-Identifier: BSL-1.0
// Entry: the way from user code into the runtime of the calling worker.
// Flow rooms: spawn, suspend, wake, preempt. The worker's thread.
// It must never be held across user code or a switch of stacks by anything but its own scope.
// Proof: tests/model/handoff_model.cpp, tests/unit/api/blocking_test.cpp.
#pragma once

#include <paceline/detail/safepoint.hpp>

#include "base/probe.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

/// User code runs again when it ends. While one lives the worker keeps its thread. Nests. Only for
/// functions that coroutines call and never inline.
class Entry {
 public:
  Entry() noexcept : runtime_(machine::own_record().runtime) {
    if (runtime_ == nullptr || machine::own_record().inside.load(std::memory_order_relaxed) != 0) {
      return;
    }
    runtime_ = &runtime_->come_in_from_outside();
    from_user_code_ = true;
  }
  /// With a current task. Throws std::logic_error, naming `what`, if there is none.
  explicit Entry(const char* what) : Entry() {
    if (runtime_ == nullptr || runtime_->current() == nullptr) throw_no_task(what);
  }
  ~Entry() {
    if (!from_user_code_) return;
    // Asked again: a parked stack may have gone on in another runtime.
    if (ExecutorRuntime* now = machine::own_record().runtime) now->go_out();
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  /// The runtime of the current task, which the caller suspends whatever happens: as if an Entry
  /// had been made that stays. Throws as above, and then has not come in.
  static ExecutorRuntime& to_suspend(const char* what) {
    const machine::ThisThread& self = machine::own_record();
    if (self.task == nullptr) [[unlikely]]
      throw_no_task(what);
    return self.runtime->come_in();
  }

  /// The task is suspended: user code has no more to do but to return to the runtime, which need
  /// not be told that it comes in. If it does more, that cannot be handed off.
  void stay() noexcept { from_user_code_ = false; }

  /// Null on threads that are no workers.
  ExecutorRuntime* get() const noexcept { return runtime_; }
  ExecutorRuntime& operator*() const noexcept { return *runtime_; }
  ExecutorRuntime* operator->() const noexcept { return runtime_; }
  explicit operator bool() const noexcept { return runtime_ != nullptr; }

 private:
  [[noreturn]] static void throw_no_task(const char* what);

  ExecutorRuntime* runtime_;
  bool from_user_code_ = false;
};

/// Before a stack waits. Only a stress run ever takes this safepoint: such a task gives way in any
/// case. No other suspension has one, because a parked stack stays with its thread, and tasks that
/// never asked for a stack must not.
inline void safepoint_of_stack_wait() noexcept {
  if (!forced(Whim::stack_wait)) return;
  const Entry runtime;
  if (!runtime || detail::this_safepoint.guards != 0) return;
  runtime->port().ask(Ask::slice, machine::now());
  runtime->at_safepoint();
}

/// Is the calling thread a worker?
inline bool on_worker() noexcept { return machine::own_record().runtime != nullptr; }

}  // namespace paceline::core
