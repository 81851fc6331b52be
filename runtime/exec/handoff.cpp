// SPDX-License-Identifier: BSL-1.0
// Hand-off, the runtime's half: what is bound to a thread that is away moves to that thread's
// refuge, the rest stays for the thread that takes over.
//
// Who may touch a runtime whose thread is out in user code is decided by the port's hold word
// (exec/hold.hpp): that thread again, or the one that takes over.
#include <utility>

#include "base/probe.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

/// The hold word is not as this thread left it.
ExecutorRuntime& ExecutorRuntime::come_in_late() noexcept {
  machine::ThisThread& self = machine::this_thread();
  for (;;) {
    // While it waits this thread touches nothing: a task that calls the runtime all the time must
    // not be found inside each time.
    Hold::go_out(self.inside);
    // Acquire. Pairs: Crew::take_over. Publishes: the refuge, with all that was moved there.
    if (ExecutorRuntime* refuge = self.mail.exchange(nullptr, std::memory_order_acq_rel)) {  // M31
      // Relaxed: nobody takes over from a refuge.
      self.inside.store(1, std::memory_order_relaxed);  // M31
      self.runtime = refuge;
      self.hold = refuge->port_.hold.load(std::memory_order_relaxed);
      machine::change_requests_to(&refuge->port_.request);
      refuge->pick_up();
      return *refuge;
    }
    if (Hold::come_in(self.inside, port_, self.hold)) return *this;
    machine::yield_thread();
  }
}

ExecutorRuntime::Takeover ExecutorRuntime::take_over(ExecutorRuntime& refuge, std::uint32_t hold,
                                                     std::uint64_t poll,
                                                     Atomic<std::uint64_t>& count) noexcept {
  if (!Hold::begin_taking(port_, hold)) return Takeover::late;
  // A lender has promised to be out; of anybody else we must know it.
  const bool out = Hold::is_lent(hold) || (machine::barrier_everywhere() && in_user_code() &&
                                           port_.polls.load(std::memory_order_relaxed) == poll);
  probe(Site::takeover_after_look);
  if (out && planted(Mutant::mail_before_move)) {
    mail_->store(&refuge, std::memory_order_release);  // M31, broken on purpose
  }
  if (!out || !hand_over(refuge)) {
    Hold::give_up_taking(port_, hold);
    return Takeover::refused;
  }
  refuge.worker_ = worker_;
  // The region that is open there goes along.
  refuge.port_.region.store(port_.region.load(std::memory_order_relaxed),
                            std::memory_order_release);  // M41
  Atomic<ExecutorRuntime*>& mail = *mail_;
  // Before others may take over from this thread.
  if (planted(Mutant::keep_old_charge)) {
    machine::this_thread().hold = Hold::taken_over(hold);
  } else {
    take_charge(Hold::taken_over(hold));
  }
  Hold::finish_taking(port_, hold);
  count.fetch_add(1, std::memory_order_relaxed);
  // Release. Pairs: come_in_late. Publishes: the refuge. From here on it is the other thread's.
  mail.store(&refuge, std::memory_order_release);  // M31
  return Takeover::done;
}

bool ExecutorRuntime::hand_over(ExecutorRuntime& refuge) noexcept {
  if (running_ == nullptr || current() == nullptr) return false;
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
    polling.entered_by_slot = false;  // not by the one that it gets now
  }
  furnish_slot(polling, *std::exchange(polling.next_slot, nullptr));
  set_aside(polling);
  if (&polling == strong_) {
    const Nanos now = surroundings_.now();
    const std::uint32_t asked = port_.request.load(std::memory_order_acquire);  // M40
    overrun_ = port_.is_asked() ? port_.overrun(asked, now) : 0;
    opens_share(polling, now);
  }
  moves_share(polling, refuge);
  refuge.turn_since_ = turn_since_;
  refuge.running_ = &polling;
  refuge.away_.store(polling.task, std::memory_order_relaxed);  // slots are always there
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
  moves_share(executor, refuge);
  Slot& slot = *std::exchange(executor.next_slot, nullptr);
  furnish_slot(executor, slot);
  refuge.list_parked(executor);
  if (!waits) {
    show_parked(executor);
    if (!planted(Mutant::forget_to_move_bit)) notify(slot);
  } else if (handed) {
    executor.gate.ready.store(1, std::memory_order_release);  // M12
    notify(slot);
  } else if (executor.task->state.pause()) {
    notify(*executor.task);
  }
}

}  // namespace paceline::core
