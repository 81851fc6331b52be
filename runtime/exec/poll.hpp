// SPDX-License-Identifier: BSL-1.0
// One poll: from a claimed bit to the task's next rest.
// Flow room: run. Whoever claimed the bit calls it. It must never resume a task that is not ready.
// A template over its host, so that the explorer runs these very lines with a host of its own.
// Proof: tests/model/wake_model.cpp.
#pragma once

#include <type_traits>

#include <paceline/detail/suspension.hpp>

#include "base/probe.hpp"
#include "exec/loan.hpp"
#include "task/collection.hpp"
#include "task/slot.hpp"

namespace paceline::core {

/// How a resumed task came to rest.
enum class Rest : std::uint8_t {
  finished,
  yielded,
  suspended,
  elsewhere,  // it has been seen to: a parked executor is its poller now, or it has paused
};

/// The ways a claim can end.
enum class Claim : std::uint8_t {
  stale,
  not_ready,
  polled,
  loan,  // the slot stands in for a task in another one, whose claim this is
};

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
  const Start start = claimed.state.try_start();
  if (start != Start::started) [[unlikely]]
    return start == Start::loan ? Claim::loan : Claim::stale;
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

/// A claim by a stand-in that nobody lends any more: the task has its turn where it belongs now.
template <class Host>
struct ReturnHost {
  Host& host;

  bool may_resume(Slot& slot) noexcept {
    host.rearm(address_of(slot));
    pass_on(slot);
    return false;
  }
  Rest run(Slot*&) noexcept { return Rest::elsewhere; }  // it never may
  void finish(Slot&) noexcept {}
  void rearm(Slot& slot) noexcept { host.rearm(slot); }
  void put_back(Slot&) noexcept {}
};

/// Polls the task behind a claimed stand-in.
template <class Host>
Claim poll_behind(const Slot& stand_in, Host&& host) noexcept {
  const Behind behind = task_behind(stand_in);
  if (behind.slot == nullptr) return Claim::stale;
  if (behind.lent) return poll_slot(*behind.slot, host);
  if (planted(Mutant::drop_returned_claim)) return Claim::stale;
  return poll_slot(*behind.slot, ReturnHost<std::remove_reference_t<Host>>{host});
}

/// A poll ended, and perhaps somebody lends the task something: then it rests here, as it would in
/// poll_slot but for its address. For the host's run().
template <class Host>
[[gnu::noinline]] Rest rest_lent(Slot& slot, Rest rest, Host&& host) noexcept {
  Slot& address = address_of(slot);
  if (&address == &slot) return rest;
  if (rest == Rest::yielded) {
    slot.state.pause_yielding();
    host.put_back(address);
  } else if (slot.state.pause()) {
    host.rearm(address);
  }
  return Rest::elsewhere;
}

}  // namespace paceline::core
