// SPDX-License-Identifier: BSL-1.0
#include "exec/completion.hpp"

#include "base/assert.hpp"
#include "base/probe.hpp"
#include "exec/entry.hpp"
#include "exec/executor_runtime.hpp"
#include "exec/loan.hpp"
#include "exec/names.hpp"
#include "machine/machine.hpp"
#include "task/lane.hpp"
#include "trace/log.hpp"

namespace paceline::core {

using detail::JoinGroup;
using detail::PromiseBase;
using detail::Suspension;
namespace join_word = detail::join_word;

namespace {

/// A child of a group has ended. The last one completes the group.
void child_ended(JoinGroup& group, PromiseBase& child) noexcept {
  if (child.error) {
    std::size_t index = 0;
    while (group.children[index] != &child) ++index;
    std::size_t none = JoinGroup::kNoFailure;
    // M15
    if (group.first_failed.compare_exchange_strong(none, index, std::memory_order_acq_rel)) {
      // Our own decrement is still to come, so every sibling's frame is alive (JoinGroup, I1).
      for (std::size_t i = 0; i < group.count; ++i) {
        if (i != index) detail::request_stop(*group.children[i]);
      }
    }
  }
  if (group.remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) detail::complete(group);  // M15
}

template <class T>
T* untagged(std::uintptr_t word) noexcept {
  return reinterpret_cast<T*>(word & ~join_word::tag_mask);
}

}  // namespace

bool publish_end(PromiseBase& promise) noexcept {
  // Acq_rel. Release publishes the result to the joiner; acquire pairs with the handle's detach and
  // with the joiner's registration. Without: the joiner reads no result, or we wake a waiter whose
  // fields we do not see.
  std::uintptr_t waiter = 0;
  if (planted(Mutant::end_by_store)) {
    waiter = promise.link.load(std::memory_order_acquire);           // M13
    promise.link.store(join_word::done, std::memory_order_release);  // M13
  } else {
    waiter = promise.link.exchange(join_word::done, std::memory_order_acq_rel);  // M13
  }
  switch (waiter & join_word::tag_mask) {
    case join_word::none: return false;
    case join_word::detached: return true;
    case join_word::tag_suspension: detail::complete(*untagged<Suspension>(waiter)); return false;
    case join_word::tag_thread: {
      auto& thread = *untagged<BlockingWaiter>(waiter);
      thread.done.store(1, std::memory_order_release);  // M14
      machine::unpark(thread.done);                     // the waiter may be gone by now: see unpark
      return false;
    }
    case join_word::tag_group: child_ended(*untagged<JoinGroup>(waiter), promise); return false;
    default: invariant_broken("a task ends once", std::source_location::current());
  }
}

bool stay_is_over(const detail::ForeignStay& stay) noexcept {
  if (planted(Mutant::forget_spent_stay)) return false;
  // Handshake: a task that moved has stored where it lives before this load; a completer announces
  // itself before it loads that. So either it finds the task here, or we find it coming, between
  // two steps of complete_stay.
  while (stay.completing.load(std::memory_order_seq_cst) != 0) {       // M16
    if (stay.ready.load(std::memory_order_acquire) != 0) return true;  // M12
    machine::relax();
  }
  return false;
}

void vacate(ExecutorRuntime& runtime, Slot& slot) noexcept {
  slot.waiting = nullptr;
  if (slot.name.load(std::memory_order_relaxed) != nullptr) {
    slot.name.store(nullptr, std::memory_order_seq_cst);  // see retire_name, M23
  }
  Group& group = Group::of(slot);
  const TaskCollection& collection = *group.home().collection;
  count_out(collection);
  if (!slot.state.vacate()) return;
  if (group.role == Role::home && &collection.port() == &runtime.port()) [[likely]]
    TaskCollection::release_home(group, slot);
  else
    runtime.give_back(slot);
}

void finish(ExecutorRuntime& runtime, Slot& slot) noexcept {
  PromiseBase& promise = *slot.root;
  const auto frame =
      std::coroutine_handle<>::from_address(slot.frame.load(std::memory_order_relaxed));
  vacate(runtime, slot);
  // Before the end is published: who joins the task must find it counted.
  runtime.count_end();
  // A look first: most tasks are detached long before they end, and then nobody else can reach the
  // word. Acquire pairs with release_handle.
  const bool detached = promise.link.load(std::memory_order_acquire) == join_word::detached;  // M13
  if (detached || publish_end(promise)) {
    if (promise.error) runtime.report_unhandled(promise);
    detail::destroy_frame(frame);
  }
}

}  // namespace paceline::core

namespace paceline::detail {

using core::Slot;

namespace {

/// Completes what the task of `slot`, or of its stand-in, waits for.
void complete_for(Slot& slot, Suspension& where) noexcept {
  const core::Entry here;
  const bool at_home = here && core::is_home(slot, here->port());
  // Release. Pairs: may_resume. Publishes: the result. From here on `where` may be gone, and unless
  // this is its home worker (which alone puts groups to sleep) so may the slot's group.
  where.ready.store(1, std::memory_order_release);  // M12
  if (at_home) {
    here->wake_home(slot);
  } else {
    core::wake_remote(slot);
  }
}

// Not cancellable: we cannot withdraw what is not ours.
const SuspensionOps foreign_ops{"a foreign awaitable", nullptr, nullptr};

}  // namespace

void complete(Suspension& where) noexcept {
  // The task may have been lent something since it is suspended; before `ready` is raised it cannot
  // end. A loan that is made this moment is missed: then it has this turn in its own class.
  const bool maybe_lent = core::any_loans() && where.root != nullptr;
  complete_for(maybe_lent ? core::address_of(*where.root) : Slot::of(where.task), where);
}

ForeignStay::ForeignStay() noexcept : Suspension(foreign_ops) {}

void complete_stay(ForeignStay& stay) noexcept {
  // Announced before we look where the task lives, which may change while it runs within the
  // foreign code: see stay_is_over. The stay is alive until it is ready.
  const bool late = core::planted(core::Mutant::announce_stay_late);
  if (!late) stay.completing.store(1, std::memory_order_seq_cst);  // M16
  Slot& address = core::address_of(*stay.root);
  if (late) stay.completing.store(1, std::memory_order_seq_cst);  // M16
  complete_for(address, stay);
}

void report_destructor_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    core::log::report(std::string("a destructor threw while a task's frame was destroyed: ") +
                      error.what());
  } catch (...) {
    core::log::report("a destructor threw while a task's frame was destroyed");
  }
}

bool request_stop(PromiseBase& promise) noexcept {
  // Seq_cst: raised before `self` is loaded; see PromiseBase::self.
  const std::uintptr_t before = promise.stop.fetch_or(1, std::memory_order_seq_cst);  // M16
  if ((before & 1) != 0) return false;
  if (before != 0) reinterpret_cast<StopRecord*>(before)->source.request_stop();
  const bool started = promise.self.load(std::memory_order_seq_cst) != 0;  // M16
  if (started) core::notify(core::address_of(promise));
  return true;
}

bool join_suspend(PromiseBase& promise, Suspension& where) noexcept {
  if (const Slot* own = core::machine::own_record().task) core::lend_to(*own, promise);
  std::uintptr_t none = join_word::none;
  // Release publishes `where` to the finisher; acquire, if the task has ended, its result to us.
  return promise.link.compare_exchange_strong(
      none, reinterpret_cast<std::uintptr_t>(&where) | join_word::tag_suspension,
      std::memory_order_acq_rel, std::memory_order_acquire);  // M13
}

bool join_withdraw(PromiseBase& promise, Suspension& where) noexcept {
  std::uintptr_t registered = reinterpret_cast<std::uintptr_t>(&where) | join_word::tag_suspension;
  const bool withdrawn =
      promise.link.compare_exchange_strong(registered, join_word::none,
                                           // M13
                                           std::memory_order_acq_rel, std::memory_order_acquire);
  if (withdrawn) core::joiner_lends(promise, core::kNoRank);
  return withdrawn;
}

}  // namespace paceline::detail
