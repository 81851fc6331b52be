// SPDX-License-Identifier: BSL-1.0
// Moving: a task that goes to another runtime or class, and foreign coroutines that come in.
// Flow room: spawn. The task itself; a foreign coroutine from any thread. It must never leave a task
// without a slot: the new one is claimed before the old one is given back.
// Proof: tests/unit/api/scheduler_test.cpp, tests/unit/api/this_task_test.cpp.
#include <new>
#include <stdexcept>
#include <utility>

#include <paceline/detail/bridge.hpp>
#include <paceline/scheduler.hpp>
#include <paceline/this_task.hpp>

#include "api/belonging.hpp"
#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "sched/runtime_core.hpp"

namespace paceline::detail {

using core::ExecutorRuntime;
using core::Outcome;
using core::Role;
using core::Seat;
using core::Slot;

namespace {

/// The current task lives in `to` from now on, of the same runtime or not; its old slot is vacated.
void move_current(ExecutorRuntime& runtime, Slot& to, bool stays) noexcept {
  Slot& from = *runtime.current();
  PromiseBase& promise = *from.root;
  to.resume = from.resume;
  to.waiting = nullptr;
  to.stay = from.stay;
  to.root = from.root;
  to.frame.store(from.frame.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to.id.store(from.id.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to.name.store(from.name.load(std::memory_order_relaxed), std::memory_order_release);  // M23
  to.state.adopt();
  core::says_where(promise, from, to, stays);
  core::vacate(runtime, from);
  runtime.move_current(to);
}

/// A token that left the task is stopped by the runtime the task lives in. The record to stop now,
/// if that runtime stops: by the caller, at the end, as that runs code of the user's.
StopRecord* move_stop_record(PromiseBase& promise, RuntimeCore& from, RuntimeCore& to) noexcept {
  const std::uintptr_t word = promise.stop.load(std::memory_order_acquire);  // M16
  auto* record = reinterpret_cast<StopRecord*>(word & ~std::uintptr_t{1});
  if (record == nullptr) return nullptr;
  from.unlist(*record);
  to.list(*record);
  return to.stopping() ? record : nullptr;
}

}  // namespace

void retain_core(RuntimeCore* target) noexcept {
  if (target != nullptr) target->retain();
}
void release_core(RuntimeCore* target) noexcept {
  if (target != nullptr) target->release();
}

bool schedule_on(RuntimeCore* target, std::coroutine_handle<> frame) {
  target->require_same_process("schedule");
  const core::Entry runtime;
  Slot* current = runtime ? runtime->current() : nullptr;
  if (current != nullptr) {
    if (runtime->stop_requested(*current->root)) return false;
    if (&runtime->worker().core() == target) {
      suspend_yielding(frame);
      return true;
    }
  }
  if (current != nullptr && runtime->waits_on_stack()) {
    throw std::logic_error(
        "a task cannot move to another runtime while its call stack waits in await_here");
  }
  target->admit_from_outside("schedule");
  Seat& seat =
      target->place(std::nullopt, current != nullptr ? core::class_of(*current)
                                                     : static_cast<unsigned>(qos::standard));
  if (current == nullptr) {
    try {
      seat.worker.load(std::memory_order_acquire)->inbox().post(frame);  // M29
    } catch (...) {
      target->forget_from_outside();
      throw;
    }
    core::work_added(seat, core::Port::kNoClass, false);
    return true;
  }
  Slot* slot = seat.collections[core::class_of(*current)].allocate_shared(Role::shared);
  if (slot == nullptr) {
    target->forget_from_outside();
    throw std::bad_alloc();
  }
  current->resume = frame.address();
  current->root->runtime_id.store(target->id(), std::memory_order_relaxed);
  StopRecord* const stopped = move_stop_record(*current->root, runtime->worker().core(), *target);
  move_current(*runtime, *slot, false);
  runtime->set_outcome(Outcome::left);
  if (stopped != nullptr) stopped->source.request_stop();
  return true;
}

}  // namespace paceline::detail

namespace paceline {

void this_task::set_qos(paceline::qos q) {
  const core::Entry runtime("this_task::set_qos");
  const unsigned qos_class = core::class_for(q, nullptr);
  core::Slot& current = *runtime->current();
  const core::Belonging before = core::belonging_of(current);
  if (before.qos_class == qos_class) return;
  core::RuntimeCore& owner = runtime->worker().core();
  core::Seat* seat = &runtime->worker().seat();
  const bool pinned = core::Group::of(current).role == core::Role::pinned;
  // It moves house to the kind of core where it belongs now, and goes there with its next
  // suspension.
  const bool goes_abroad =
      !pinned && (seat->native.load(std::memory_order_relaxed) & core::bit(qos_class)) == 0;
  if (goes_abroad) seat = &owner.emptiest_for(qos_class);
  core::TaskCollection& collection = core::collection_for(*seat, {qos_class, before.group});
  core::Slot* slot = nullptr;
  if (pinned) {
    slot = collection.allocate_shared(core::Role::pinned);
  } else if (goes_abroad || runtime->apart()) {
    slot = collection.allocate_shared(core::Role::shared);
  } else {
    slot = collection.allocate_home();
  }
  if (slot == nullptr) throw std::bad_alloc();
  core::count_in(collection);
  detail::move_current(*runtime, *slot, true);
  runtime->note_current_class();
  if (goes_abroad) runtime->current_goes_home();
}

}  // namespace paceline
