// SPDX-License-Identifier: BSL-1.0
#include "sched/holders.hpp"

#include "exec/executor.hpp"
#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

/// The slot of an executor. While we have claimed it, an executor that was preempted stays where it
/// is: only a claim of its own slot resumes it.
void look_at_executor(Slot& slot, Holders& found) {
  if (slot.id.load(std::memory_order_relaxed) == 0) return;  // it runs, waits or is spare
  if (slot.state.try_start() != Start::started) return;
  machine::Trace trace;
  std::uint64_t task = 0;
  if (slot.frame.load(std::memory_order_relaxed) == nullptr) {
    // Acquire. Pairs: ExecutorRuntime::show_parked. Publishes: where it stands. From here on until
    // we let the slot go it stands there.
    task = slot.id.load(std::memory_order_acquire);  // M61
    const Executor* executor = Executor::of(slot.resume);
    if (task != 0 && executor != nullptr) trace = executor->trace();
  }
  if (slot.state.pause()) notify(slot);
  if (task != 0) found.preempted[task] = trace;
}

}  // namespace

Holders find_holders(const RuntimeCore& core) {
  Holders found;
  const auto look = [&](Slot& slot, unsigned, unsigned) {
    if (slot.frame.load(std::memory_order_relaxed) == nullptr) look_at_executor(slot, found);
  };
  core.each_live_slot(look);
  core.crew().each([&](const Refuge& refuge) {
    RuntimeCore::each_live_slot_of(refuge.seat, look);
    const Slot* task = refuge.runtime.away();
    if (task == nullptr) task = refuge.runtime.current();
    if (task != nullptr) {
      found.detached[task->id.load(std::memory_order_relaxed)] = refuge.suspect_worker;
    }
  });
  for (unsigned i = 0; i < core.worker_count(); ++i) {
    const Slot* task = core.worker(i).runtime().current();
    if (task != nullptr) found.running[task->id.load(std::memory_order_relaxed)] = i;
  }
  return found;
}

}  // namespace paceline::core
