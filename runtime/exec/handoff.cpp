// SPDX-License-Identifier: BSL-1.0
// Hand-off, the runtime's half: what is bound to a thread that has set its runtime down moves to
// that thread's refuge, the rest stays for the thread that takes over.
//
// Between set_down and pick_up the poll's thread touches neither runtime. Who may touch this one in
// that time is decided by the seat's hold word (sched/handoff.cpp): its owner's thread again, or the
// one that takes over.
#include <utility>

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

void ExecutorRuntime::set_down() noexcept {
  set_aside(*running_);
  flush_freed();
}

void ExecutorRuntime::pick_up(Executor& self) noexcept { take_up(self); }

bool ExecutorRuntime::hand_over(ExecutorRuntime& refuge) noexcept {
  Executor& polling = *running_;  // the one whose thread is away
  // Everything that can fail comes first.
  if (!reserve_fresh()) return false;
  bool enough = polling.next_slot_in(refuge.port_);
  for (Executor* executor = parked_; enough && executor != nullptr; executor = executor->next) {
    enough = executor->next_slot_in(refuge.port_);
  }
  if (!enough) {
    polling.drop_next_slot();
    for (Executor* had = parked_; had != nullptr; had = had->next) had->drop_next_slot();
    return false;
  }
  while (Executor* executor = parked_) move_out(*executor, refuge);
  // The strong executor is on that thread, and so is the weak one it entered, if it did.
  strong_->set_runtime(refuge);
  strong_->weak = true;
  if (strong_->slot != nullptr) vacate_own(*strong_);
  if (&polling != strong_) {
    polling.set_runtime(refuge);
    // Claimed by the strong one, which will vacate it, or by nobody.
    if (!polling.entered_by_slot) leave_slot(*polling.slot);
    polling.slot = nullptr;
  }
  furnish_slot(polling, *std::exchange(polling.next_slot, nullptr), polling.slot_class);
  strong_ = std::exchange(fresh_, nullptr);
  strong_->weak = false;
  running_ = nullptr;
  return true;
}

/// A parked executor goes to the refuge. If it waits, a thief may be about to hand its task to it.
void ExecutorRuntime::move_out(Executor& executor, ExecutorRuntime& refuge) noexcept {
  const bool waits = executor.standing == Standing::waiting;
  bool handed = false;
  while (waits && executor.task->state.try_start() != Start::started) {
    // RUNNING: on the executor's behalf, then the gate says so, at once or in a moment; or somebody
    // claimed it for nothing.
    handed = executor.gate.ready.load(std::memory_order_acquire) != 0;  // M12
    if (handed) break;
    machine::relax();
  }
  unlist_parked(executor);
  // Its bit, if it is set, is spent on a vacant slot; it gets another one there.
  leave_slot(*std::exchange(executor.slot, nullptr));
  executor.set_runtime(refuge);
  Slot& slot = *std::exchange(executor.next_slot, nullptr);
  furnish_slot(executor, slot, executor.slot_class);
  refuge.list_parked(executor);
  if (!waits) {
    slot.waiting = nullptr;
    notify(slot);
  } else if (handed) {
    executor.gate.ready.store(1, std::memory_order_release);  // M12
    notify(slot);
  } else if (executor.task->state.pause()) {
    notify(*executor.task);
  }
}

}  // namespace paceline::core
