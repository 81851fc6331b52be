// SPDX-License-Identifier: BSL-1.0
// Loans: a task that somebody more important waits for has its turns in that one's class.
// Flow rooms: suspend (join, mutex), run, wake. Whoever waits lends; the task's poller uses the
// loan. It must never move the task: wakers hold the address of its slot.
// Proof: tests/model/lending_model.cpp, tests/unit/api/lending_test.cpp.
//
// A loan is a slot of its own, the stand-in, in the more important class of the same runtime. Its
// phase is `loan` for all its life: a claim of its bit is passed on, as a claim of the task's own
// bit. While somebody lends it the task gives the stand-in's address to whoever is to wake it, and
// its poller sets the stand-in's bit instead of the task's. All bits stay hints (decision D2): an
// old waker that sets the task's own bit finds it in its own class, as before.
//
// Writers of `PromiseBase::lent`: whoever lends (pushes), the task (kHasHeld). Of a stand-in's
// `id`, the task's slot and who lends: lenders, and the task's poller when the task moves.
// I1: stand-ins are only added in front, and vacated when the promise dies, which nobody outlives
//     who may still ask the promise for an address.
// I2: a stand-in whose `id` is not the task's slot, or that nobody lends, is never given out as its
//     address. A bit that is set there all the same is moved to where the task is to be woken.
// I3: whoever lends pushes the stand-in and then looks where the task is; a task that moves says
//     where it is and then looks for stand-ins. So one of them corrects what was pushed meanwhile.
//     One that the task left behind on another runtime leads nowhere, and is taken up when the task
//     is back, as if it were pushed.
// I4: a claim that was passed on to a slot with another tenant meanwhile is one of the spurious
//     claims that every task bears. The task itself moves only while it runs, and then looks.
// Progress: lock-free but for the allocation. Without memory there is no loan.
#pragma once

#include <cstdint>

#include <paceline/detail/promise.hpp>

#include "base/atomic.hpp"
#include "exec/live_loans.hpp"
#include "task/collection.hpp"
#include "task/slot.hpp"

namespace paceline::core {

/// Who lends, as counted in the low bits of a stand-in's `id`: the one joiner, and waiters of
/// mutexes, of which each mutex has one that counts.
enum class Lender : std::uint64_t { joiner = 1, mutex = 2 };

inline constexpr std::uint64_t kLenders = alignof(Slot) - 1;
/// In `PromiseBase::lent`, below the address of the first stand-in: the task has held a mutex.
inline constexpr std::uintptr_t kHasHeld = 1;
inline constexpr std::uintptr_t kLentFlags = alignof(Slot) - 1;
/// A class that lends nothing.
inline constexpr unsigned kNoRank = qos_count;

/// The most important stand-in among those from `lent` on that somebody lends to a task in `slot`.
Slot* find_stand_in(std::uintptr_t lent, const Slot& slot) noexcept;

/// The stand-in of a task that lives in `slot`; null if nothing is lent to it.
inline Slot* stand_in_of(const detail::PromiseBase& task, const Slot& slot) noexcept {
  // Acquire. Pairs: lend. Publishes: the stand-in's fields.
  const std::uintptr_t lent = task.lent.load(std::memory_order_acquire);  // M70
  if (lent <= kLentFlags) [[likely]]
    return nullptr;
  return find_stand_in(lent, slot);
}

/// Where a task in `slot` is to be woken. Its poller, or whoever keeps it from running on.
inline Slot& address_of(Slot& slot) noexcept {
  Slot* stand_in = stand_in_of(*slot.root, slot);
  return stand_in != nullptr ? *stand_in : slot;
}

/// The same, for whoever keeps the promise alive; the task may move this moment.
inline Slot& address_of(const detail::PromiseBase& task) noexcept {
  Slot& slot = Slot::of({task.self.load(std::memory_order_seq_cst)});  // M16
  Slot* stand_in = stand_in_of(task, slot);
  return stand_in != nullptr ? *stand_in : slot;
}

/// The class in which a task has its turns: its own or a more important one that it was lent.
inline unsigned rank_of(const Slot& slot) noexcept {
  const Slot* stand_in = slot.root != nullptr ? stand_in_of(*slot.root, slot) : nullptr;
  return class_of(stand_in != nullptr ? *stand_in : slot);
}

/// What a claim of a stand-in is the claim of.
struct Behind {
  Slot* slot = nullptr;  // null: the loan is over
  bool lent = false;     // does somebody lend it still?
};
Behind task_behind(const Slot& stand_in) noexcept;

struct Lent {
  Slot* stand_in = nullptr;  // null: there is nothing to lend, or no memory
  bool news = false;         // its bit is to be set
};
/// Lends class `rank` to a task whose promise the caller keeps alive.
Lent lend(detail::PromiseBase& task, unsigned rank, Lender by) noexcept;
/// Is it of use to the task where that is now? Who keeps the promise alive; the task may move.
bool leads_to(const Slot& stand_in, const detail::PromiseBase& task) noexcept;
/// Ends that. True: its bit is to be set.
[[nodiscard]] bool take_back(Slot& stand_in, Lender by) noexcept;

/// What the joiner of a task lends to it is `rank` from now on. One at a time.
void joiner_lends(detail::PromiseBase& task, unsigned rank) noexcept;
/// The same with the class of `from`, which awaits it, if they are of the same runtime. Poller of
/// `from`.
void lend_to(const Slot& from, detail::PromiseBase& awaited) noexcept;

/// A claim found the task waiting: what it waits for is lent the class that it has now. Its poller.
void pass_on(Slot& slot) noexcept;

/// The task moves to another slot, of the same runtime or not. Its poller.
void says_where(detail::PromiseBase& task, const Slot& from, Slot& to, bool same_runtime) noexcept;

/// The promise dies.
void end_loans(detail::PromiseBase& task) noexcept;

}  // namespace paceline::core
