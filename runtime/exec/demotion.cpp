// SPDX-License-Identifier: BSL-1.0
// Demotion: how an executor is parked in the middle of a poll, and how it goes on.
//
// A parked poll is published by the stack that control goes to, never by the one that is left: step
// for a strong executor, the claimer of its bit for a weak one. Until then nobody can resume it.
#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "exec/executor_runtime.hpp"

namespace paceline::core {

namespace {

unsigned class_of(const Slot& slot) noexcept {
  return Group::of(slot).home().collection->class_index();
}

}  // namespace

// --- on the stack that is parked ---

bool ExecutorRuntime::at_safepoint() noexcept {
  const std::uint32_t asked = port_.request.load(std::memory_order_relaxed);
  port_.request.store(0, std::memory_order_relaxed);
  if (current_ == nullptr || asked == 0) return false;
  // Asked of a poll that is over.
  if (((asked >> Port::kAskBits) ^ port_.poll_number()) << Port::kAskBits != 0) return false;
  const unsigned own = class_of(*current_);
  const bool slice_is_over =
      (asked & all_bits(Port::kAskBits)) == static_cast<unsigned>(Ask::slice);
  const Word rivals = all_bits(slice_is_over ? own + 1 : own);
  // Does what may interrupt us still wait? Somebody else may have taken it.
  bool waits = slice_is_over && (!loot_.empty() || surroundings_.foreign_waits(worker_));
  for (Word left = port_.classes.load(std::memory_order_relaxed) & rivals; left != 0 && !waits;
       left = without_lowest(left)) {
    waits = port_.collections[lowest(left)].has_ready();
  }
  if (!waits) return false;
  bump(counters_.preempt_requests);
  if (!running_->weak && weak_preempted_ >= surroundings_.max_weak) {
    bump(counters_.refused_cap);
    return false;
  }
  if (!reserve(own)) {
    bump(counters_.refused_memory);
    return false;
  }
  bump(counters_.demotions_safepoint);
  park(Standing::preempted);
  return true;
}

bool ExecutorRuntime::reserve_for_wait() noexcept { return reserve(class_of(*current_)); }

/// A fresh executor to go on with, and a slot for this one. A weak one has left its strong one
/// below.
bool ExecutorRuntime::reserve(unsigned class_index) noexcept {
  if (!give_slot(*running_, class_index)) return false;
  if (running_->weak || fresh_ != nullptr) return true;
  if (spares_ != nullptr) {
    fresh_ = std::exchange(spares_, spares_->next);
    --spare_count_;
    return true;
  }
  try {
    fresh_ = new Executor(*this, stack_bytes_);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

bool ExecutorRuntime::give_slot(Executor& executor, unsigned class_index) noexcept {
  if (executor.slot != nullptr && executor.slot_class == class_index) return true;
  Slot* slot = port_.collections[class_index].allocate_shared(Role::pinned);
  if (slot == nullptr) return false;
  if (executor.slot != nullptr) vacate_own(executor);
  executor.slot = slot;
  executor.slot_class = class_index;
  slot->resume = Executor::tagged(executor);
  slot->waiting = &executor.gate;
  slot->stay = nullptr;
  slot->root = nullptr;
  slot->frame.store(nullptr, std::memory_order_relaxed);
  slot->id.store(0, std::memory_order_relaxed);
  executor.gate.task = slot->ref();
  executor.gate.ready.store(0, std::memory_order_relaxed);
  slot->state.admit();
  return true;
}

/// Leaves the stack in the middle of a poll; returns when the poll may go on.
void ExecutorRuntime::park(Standing standing) noexcept {
  Executor& self = *running_;
  self.standing = standing;
  self.task = current_;
  self.posted = std::exchange(posted_, nullptr);
  self.posted_more.swap(posted_more_);
  const Outcome outcome = std::exchange(outcome_, Outcome::none);
  self.leave();
  // The same runtime: a parked stack stays with its thread (decision D7).
  running_ = &self;
  current_ = self.task;
  outcome_ = outcome;
  posted_ = std::exchange(self.posted, nullptr);
  posted_more_.swap(self.posted_more);
}

void ExecutorRuntime::run_here(ExecutorRuntime* runtime, std::coroutine_handle<> frame) noexcept {
  const Outcome outcome = std::exchange(runtime->outcome_, Outcome::none);
  const bool nested = std::exchange(runtime->waits_on_stack_, true);
  std::coroutine_handle<> next = frame;
  for (;;) {
    runtime->resume_chain(next);
    if (frame.done()) break;
    Slot& slot = *runtime->current_;
    if (runtime->outcome_ == Outcome::none) runtime->outcome_ = runtime->how_it_rests(slot);
    Executor& self = *runtime->running_;
    self.yielded = runtime->outcome_ == Outcome::yielded;
    self.inner = std::exchange(slot.resume, Executor::tagged(self));
    runtime->outcome_ = Outcome::none;
    runtime->waits_on_stack_ = false;
    runtime->park(Standing::waiting);
    runtime->waits_on_stack_ = true;
    next = std::coroutine_handle<>::from_address(self.inner);
    bump(runtime->counters_.stack_waits);
  }
  runtime->waits_on_stack_ = nested;
  runtime->outcome_ = outcome;
}

// --- on the stack that goes on ---

/// The strong executor was parked: it is weak from now on, and a fresh one goes on.
void ExecutorRuntime::replace_strong() noexcept {
  Executor& weak = *std::exchange(strong_, std::exchange(fresh_, nullptr));
  check(strong_ != nullptr, "a strong executor is parked only with a fresh one set aside");
  weak.weak = true;
  strong_->weak = false;
  current_ = nullptr;
  running_ = strong_;
  // The fresh one has one poll to do, then the worker looks after time and inbox.
  budget_ = 1;
  publish_parked(weak);
}

void ExecutorRuntime::count_weak(Standing standing, int change) noexcept {
  (standing == Standing::preempted ? weak_preempted_ : weak_waiting_) +=
      static_cast<unsigned>(change);
  const std::uint64_t live = weak_count();
  counters_.weak_live.store(live, std::memory_order_relaxed);
  if (live > counters_.weak_peak.load(std::memory_order_relaxed)) {
    counters_.weak_peak.store(live, std::memory_order_relaxed);
  }
}

/// From here on the executor may be resumed, this moment by nobody but us.
void ExecutorRuntime::publish_parked(Executor& executor) noexcept {
  count_weak(executor.standing, 1);
  if (executor.standing == Standing::preempted) {
    executor.slot->waiting = nullptr;
    notify_home(*executor.slot);
    became_ready();
    return;
  }
  Slot& task = *executor.task;
  if (executor.yielded) {
    task.state.pause_yielding();
    notify(task);
  } else if (task.state.pause()) {
    rearm(task);
  }
}

/// A claimed slot stands for a parked executor: its own slot, or that of the task it waits with.
Rest ExecutorRuntime::run_parked(Slot& claimed) noexcept {
  Executor& executor = *Executor::of(claimed.resume);
  const bool own = executor.slot == &claimed;
  if (&executor.runtime() != this) {
    // The task is ours to poll, and the stack another thread's: we hand it what we claimed.
    // Release. Pairs: may_resume. Publishes: that the task is RUNNING on the executor's behalf.
    Slot& slot = *executor.slot;
    executor.gate.ready.store(1, std::memory_order_release);  // M12
    notify(slot);
    return Rest::elsewhere;
  }
  count_weak(executor.standing, -1);
  if (executor.standing == Standing::waiting) executor.task->resume = executor.inner;
  executor.gate.ready.store(0, std::memory_order_relaxed);
  executor.slot->waiting = &executor.gate;
  executor.standing = Standing::at_rest;
  const unsigned class_index = class_of(*executor.task);
  note_class(class_index);
  Executor* below = running_;
  executor.enter();
  running_ = below;
  current_ = nullptr;
  outcome_ = Outcome::none;
  budget_ = std::min(budget_, 1u);
  if (executor.standing == Standing::at_rest) {
    spare(executor);
  } else {
    if (own && executor.standing == Standing::preempted) {
      // Our claim of the slot ends first; then it is ready again.
      count_weak(executor.standing, 1);
      executor.slot->waiting = nullptr;
      return Rest::yielded;
    }
    publish_parked(executor);
  }
  return own ? Rest::suspended : Rest::elsewhere;
}

// --- executors at rest ---

void ExecutorRuntime::spare(Executor& executor) noexcept {
  executor.task = nullptr;
  executor.next = std::exchange(spares_, &executor);
  ++spare_count_;
}

void ExecutorRuntime::trim_spares(unsigned keep) noexcept {
  while (spare_count_ > keep) {
    Executor& gone = *std::exchange(spares_, spares_->next);
    --spare_count_;
    destroy(gone);
  }
}

void ExecutorRuntime::vacate_own(Executor& executor) noexcept {
  Slot& slot = *std::exchange(executor.slot, nullptr);
  slot.waiting = nullptr;
  slot.resume = nullptr;
  if (slot.state.vacate()) give_back(slot);
}

void ExecutorRuntime::destroy(Executor& executor) noexcept {
  if (executor.slot != nullptr) vacate_own(executor);
  executor.retire();
  delete &executor;
}

void ExecutorRuntime::retire() noexcept {
  trim_spares(0);
  for (Executor* executor : {std::exchange(fresh_, nullptr), std::exchange(strong_, nullptr)}) {
    if (executor != nullptr) destroy(*executor);
  }
  flush_freed();
}

}  // namespace paceline::core
