// SPDX-License-Identifier: BSL-1.0
// One poll: from a claimed bit to the task's next rest.
// Flow room: run. Whoever claimed the bit calls it. It must never resume a task that is not ready.
// A template over its host, so that the explorer runs these very lines with a host of its own.
// Proof: tests/model/wake_model.cpp.
#pragma once

#include <paceline/detail/suspension.hpp>

#include "base/probe.hpp"
#include "task/collection.hpp"
#include "task/slot.hpp"

namespace paceline::core {

/// How a resumed task came to rest.
enum class Rest : std::uint8_t {
  finished,
  yielded,
  suspended,
  elsewhere,  // somebody else is its poller now: an executor parked in the middle of a poll
};

/// The three ways a claim can end.
enum class Claim : std::uint8_t { stale, not_ready, polled };

/// May the task run on from where it is suspended? Only its poller asks.
template <class StopRequested>
bool may_resume(Slot& slot, StopRequested&& stop_requested) noexcept {
  detail::Suspension* where = slot.waiting;
  if (where == nullptr) return true;  // new, or it yielded
  // Acquire. Pairs: complete(). Publishes: the result.
  if (where->ready.load(std::memory_order_acquire) != 0) return true;  // M12
  if (planted(Mutant::trust_late_wake)) return true;
  const detail::SuspensionOps& ops = *where->ops;
  if (ops.poll != nullptr && ops.poll(*where)) return true;
  return ops.cancel != nullptr && stop_requested() && ops.cancel(*where);
}

/// Polls the task of a claimed bit. The host says whether its task may resume, runs it, and acts on
/// how it came to rest:
///   bool may_resume(Slot&);  Rest run(Slot*& slot);   run may move the task to another slot
///   void finish(Slot&);      vacates the slot
///   void rearm(Slot&);       sets the bit of a task that was notified while it ran
///   void put_back(Slot&);    sets the bit of a task that yielded
template <class Host>
[[gnu::always_inline]] inline Claim poll_slot(Slot& claimed, Host&& host) noexcept {
  probe(Site::claim_after_take);
  if (claimed.state.try_start() != Start::started) return Claim::stale;
  if (!host.may_resume(claimed)) {
    if (claimed.state.pause()) host.rearm(claimed);
    return Claim::not_ready;
  }
  Slot* slot = &claimed;
  const Rest rest = host.run(slot);
  if (planted(Mutant::clear_after_run)) {
    Group& group = Group::of(*slot);
    // M4, broken on purpose
    group.pages[group.page_index(*slot)].notified.fetch_and(~bit(group.bit_index(*slot)),
                                                            std::memory_order_seq_cst);
  }
  switch (rest) {
    case Rest::finished: host.finish(*slot); break;
    case Rest::elsewhere: break;
    case Rest::yielded:
      slot->state.pause_yielding();
      host.put_back(*slot);
      break;
    case Rest::suspended:
      probe(Site::suspend_before_idle);
      if (slot->state.pause() && !planted(Mutant::skip_rearm_sometimes)) host.rearm(*slot);
      break;
  }
  return Claim::polled;
}

}  // namespace paceline::core
