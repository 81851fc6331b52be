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
#include "base/probe.hpp"
#include "exec/async.hpp"
#include "exec/executor_runtime.hpp"
#include "exec/loan.hpp"
#include "exec/lock_checks.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

// --- on the stack that is parked ---

Answer ExecutorRuntime::at_safepoint(bool by_signal) noexcept {
  const std::uint32_t asked = port_.request.load(std::memory_order_acquire);  // M40
  // Before the look at what waits: a request that comes later is for a later look.
  const bool late = planted(Mutant::clear_request_late);
  if (!late) port_.request.store(0, std::memory_order_relaxed);
  if (current() == nullptr || asked == 0) return Answer::stale;
  // Asked of a poll that is over.
  if (((asked >> Port::kAskBits) ^ port_.poll_number()) << Port::kAskBits != 0)
    return Answer::stale;
  const unsigned own = rank_of(*current());
  const bool slice_is_over =
      (asked & all_bits(Port::kAskBits)) >= static_cast<unsigned>(Ask::slice);
  const Nanos now = surroundings_.now();
  const bool gives_way = forced(Whim::give_way) || should_give_way(own, slice_is_over, now);
  if (late) port_.request.store(0, std::memory_order_relaxed);
  if (!gives_way) {
    bump(port_.answers);
    return Answer::stale;
  }
  bump(counters_.preempt_requests);
  if (!running_->weak && weak_preempted_ >= surroundings_.max_weak) {
    bump(counters_.refused_cap);
    foreseen_ = {};
    return Answer::cap;
  }
  if (!reserve()) {
    bump(counters_.refused_memory);
    foreseen_ = {};
    return Answer::memory;
  }
  bump(by_signal ? counters_.demotions_async : counters_.demotions_safepoint);
  overrun_ = port_.overrun(asked, now);
  // The clock is dearer than the switch: whoever goes on bills and decides by this look at it.
  running_->preempted_when = now;
  park(*running_, Standing::preempted);
  return Answer::gave_way;
}

void ExecutorRuntime::note_current_class() noexcept { note_class(rank_of(*current())); }

bool ExecutorRuntime::reserve_for_wait() noexcept { return reserve(); }

/// A fresh executor to go on with, and a slot for this one. A weak one has left its strong one
/// below.
bool ExecutorRuntime::reserve() noexcept {
  if (!give_slot(*running_)) return false;
  return running_->weak || reserve_fresh();
}

bool ExecutorRuntime::reserve_fresh() noexcept {
  if (fresh_ != nullptr) return true;
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

bool ExecutorRuntime::give_slot(Executor& executor) noexcept {
  if (executor.slot != nullptr) return true;
  Slot* slot = port_.weak().allocate_shared(Role::pinned);
  if (slot == nullptr) return false;
  furnish_slot(executor, *slot);
  return true;
}

void ExecutorRuntime::furnish_slot(Executor& executor, Slot& slot) noexcept {
  executor.slot = &slot;
  slot.resume = Executor::tagged(executor);
  slot.waiting = &executor.gate;
  slot.stay = nullptr;
  slot.root = nullptr;
  slot.frame.store(nullptr, std::memory_order_relaxed);
  slot.id.store(0, std::memory_order_relaxed);
  executor.gate.task = slot.ref();
  executor.gate.ready.store(0, std::memory_order_relaxed);
  slot.state.admit();
}

/// Leaves the stack in the middle of a poll; returns when the poll may go on.
void ExecutorRuntime::park(Executor& self, Standing standing) noexcept {
  if (check_locks != nullptr) check_locks(*self.runtime().current());
  const unsigned regions = set_regions_aside();  // no signal meets the application's hooks either
  const Surroundings& around = self.runtime().surroundings_;
  const auto switch_in = around.switch_in;
  void* const saved = around.switch_out != nullptr ? around.switch_out() : nullptr;
  self.runtime().set_aside(self);
  self.standing = standing;
  self.leave();
  self.runtime().take_up(self);
  if (switch_in != nullptr) switch_in(saved);
  take_regions_up(regions);
  if (forced(Whim::ask)) self.runtime().port_.ask(Ask::slice, self.runtime().surroundings_.now());
}

/// What belongs to the poll and not to the runtime goes into the executor, and back.
void ExecutorRuntime::set_aside(Executor& self) noexcept {
  self.task = current();
  set_current(nullptr);
  self.outcome = std::exchange(outcome_, Outcome::none);
  self.waits_on_stack = std::exchange(waits_on_stack_, false);
  self.posted = std::exchange(posted_, nullptr);
  self.posted_more.swap(posted_more_);
}

void ExecutorRuntime::take_up(Executor& self) noexcept {
  running_ = &self;
  set_current(self.task);
  outcome_ = self.outcome;
  waits_on_stack_ = self.waits_on_stack;
  posted_ = std::exchange(self.posted, nullptr);
  posted_more_.swap(self.posted_more);
}

void ExecutorRuntime::run_here(Executor& self, std::coroutine_handle<> frame) noexcept {
  ExecutorRuntime& before = self.runtime();
  // Foreign code that calls us may have suspended the task already: where, and for what, stands in
  // the slot, which serves the inner wait meanwhile.
  const Outcome outcome = std::exchange(before.outcome_, Outcome::none);
  void* const resume = before.current()->resume;
  detail::Suspension* const waiting = before.current()->waiting;
  const bool nested = std::exchange(before.waits_on_stack_, true);
  std::coroutine_handle<> next = frame;
  for (;;) {
    self.runtime().go_out();
    resume_chain(self, next);
    if (frame.done()) break;
    ExecutorRuntime& now = self.runtime();
    Slot& slot = *now.current();
    if (now.outcome_ == Outcome::none) now.outcome_ = how_it_rests(slot);
    self.yielded = now.outcome_ == Outcome::yielded;
    self.inner = std::exchange(slot.resume, Executor::tagged(self));
    now.outcome_ = Outcome::none;
    bump(now.counters_.stack_waits);
    park(self, Standing::waiting);
    next = std::coroutine_handle<>::from_address(self.inner);
  }
  ExecutorRuntime& after = self.runtime();
  after.waits_on_stack_ = nested;
  after.outcome_ = outcome;
  if (outcome == Outcome::none) return;
  after.current()->resume = resume;
  after.current()->waiting = waiting;
  notify(*after.current());  // the bit of that suspension may be spent
}

// --- on the stack that goes on ---

/// The strong executor was parked: it is weak from now on, and a fresh one goes on.
void ExecutorRuntime::replace_strong() noexcept {
  Executor& weak = *std::exchange(strong_, std::exchange(fresh_, nullptr));
  check(strong_ != nullptr, "a strong executor is parked only with a fresh one set aside");
  weak.weak = true;
  strong_->weak = false;
  running_ = strong_;
  // The fresh one has one poll to do, then the worker looks after time and inbox.
  budget_ = 1;
  opens_share(weak, parked_when(weak));
  publish_parked(weak);
}

/// An executor that was entered in a runtime which its thread has lost stands: done, or parked.
void ExecutorRuntime::receive(Executor& executor) noexcept {
  charge_after_poll(executor);
  if (executor.standing == Standing::at_rest) {
    spare(executor);
  } else {
    publish_parked(executor);
  }
  flush_freed();
}

void ExecutorRuntime::list_parked(Executor& executor) noexcept {
  executor.previous = nullptr;
  executor.next = parked_;
  if (parked_ != nullptr) parked_->previous = &executor;
  parked_ = &executor;
  executor.parked_at = ++parkings_;
  count_weak(executor.standing, 1);
}

void ExecutorRuntime::unlist_parked(Executor& executor) noexcept {
  (executor.previous != nullptr ? executor.previous->next : parked_) = executor.next;
  if (executor.next != nullptr) executor.next->previous = executor.previous;
  executor.next = executor.previous = nullptr;
  count_weak(executor.standing, -1);
}

bool ExecutorRuntime::stands_here(const Slot& slot) const noexcept {
  const Executor* executor = weak_waiting_ == 0 ? nullptr : parked_;
  while (executor != nullptr && executor->task != &slot) executor = executor->next;
  return executor != nullptr;
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

/// A preempted executor stands: whoever claims its slot may look at it. Its slot has its task's id
/// for as long as it does.
void ExecutorRuntime::show_parked(Executor& executor) noexcept {
  executor.slot->waiting = nullptr;
  // Release. Pairs: look_at_executor. Publishes: where it stands.
  executor.slot->id.store(executor.task->id.load(std::memory_order_relaxed),
                          std::memory_order_release);  // M61
}

/// From here on the executor may be resumed, this moment by nobody but us.
void ExecutorRuntime::publish_parked(Executor& executor) noexcept {
  list_parked(executor);
  if (executor.standing == Standing::preempted) {
    show_parked(executor);
    notify_home(*executor.slot);
    weak_classes_ |= bit(executor.share_class);
    settled_ = kUnsettled;
    weak_groups_[executor.share_class] |= bit(executor.share_group);
    count_ready();  // no poll runs that could give way
    return;
  }
  Slot& task = *executor.task;
  Slot& address = address_of(task);  // before somebody else may poll it
  if (executor.yielded) {
    task.state.pause_yielding();
    notify(address);
  } else if (task.state.pause() && !planted(Mutant::forget_wake_in_park)) {
    rearm(address);
  }
}

/// A claimed slot stands for a parked executor: its own slot, or that of the task it waits with.
/// `below`: the executor whose stack we are on.
Rest ExecutorRuntime::run_parked(Executor& below, Slot& claimed) noexcept {
  ExecutorRuntime& runtime = below.runtime();
  Executor& executor = *Executor::of(claimed.resume);
  const bool own = executor.slot == &claimed;
  if (&executor.runtime() != &runtime && !planted(Mutant::enter_anybodys_stack)) {
    // The task is ours to poll, and the stack another thread's: we hand it what we claimed.
    // Release. Pairs: may_resume. Publishes: that the task is RUNNING on the executor's behalf.
    Slot& slot = *executor.slot;
    Port& there = Group::of(slot).home().collection->port();
    const unsigned rank = rank_of(claimed);  // while the task is ours
    if (planted(Mutant::gate_after_bit)) notify(slot);
    executor.gate.ready.store(1, std::memory_order_release);  // M12
    if (!planted(Mutant::gate_after_bit)) notify(slot);
    // The bit of a weak executor says nothing of its class.
    if (rank < there.run_class.load(std::memory_order_relaxed))
      there.ask(Ask::urgent, runtime.surroundings_.now());
    return Rest::elsewhere;
  }
  runtime.unlist_parked(executor);
  if (executor.standing == Standing::waiting) {
    executor.task->resume = executor.inner;
    runtime.turns_of(executor.share_group).woke(executor.share_class, executor.share);
  }
  executor.gate.ready.store(0, std::memory_order_relaxed);
  executor.slot->waiting = &executor.gate;
  // Nobody looks any more: we have claimed it.
  executor.slot->id.store(0, std::memory_order_relaxed);
  executor.standing = Standing::at_rest;
  executor.entered_by_slot = own;
  runtime.note_class(rank_of(*executor.task));
  runtime.charge_strong(runtime.surroundings_.now());
  executor.enter();
  ExecutorRuntime& now = below.runtime();
  if (&now != &runtime) {
    // Our thread lost the runtime meanwhile, and the executor its slot there.
    now.receive(executor);
    if (own) now.vacate_claimed(claimed);
    return Rest::elsewhere;
  }
  now.charge_after_poll(executor);
  now.running_ = &below;
  now.set_current(nullptr);
  now.outcome_ = Outcome::none;
  now.budget_ = std::min(now.budget_, 1u);
  executor.entered_by_slot = false;
  if (executor.standing == Standing::at_rest) {
    now.spare(executor);
  } else if (own && executor.standing == Standing::preempted) {
    // Our claim of the slot ends first; then it is ready again.
    now.list_parked(executor);
    if (planted(Mutant::park_twice)) now.publish_parked(executor);
    now.show_parked(executor);
    return Rest::yielded;
  } else {
    now.publish_parked(executor);
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
  leave_slot(*std::exchange(executor.slot, nullptr));
}

/// A slot that nobody has claimed, unless to look at it.
void ExecutorRuntime::leave_slot(Slot& slot) noexcept {
  while (slot.state.try_start() != Start::started) machine::relax();
  vacate_claimed(slot);
}

void ExecutorRuntime::vacate_claimed(Slot& slot) noexcept {
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
