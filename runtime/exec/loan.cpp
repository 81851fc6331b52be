// SPDX-License-Identifier: BSL-1.0
#include "exec/loan.hpp"

#include "base/probe.hpp"

namespace paceline::core {

using detail::PromiseBase;

namespace {

std::uint64_t number_of(const Slot* slot) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(slot));
}

bool is_pinned(const Group& group, const Segment& segment) noexcept {
  // Not by `role`: once the task has ended its group may fall asleep and be used again.
  const Word pinned =
      segment.of_role[static_cast<unsigned>(Role::pinned)].load(std::memory_order_acquire);  // M20
  return (pinned & bit(group.index.load(std::memory_order_relaxed))) != 0;
}

/// Calls visit(stand_in) from the one that was added last; until it returns false.
template <class Visit>
void each_stand_in(std::uintptr_t lent, Visit&& visit) noexcept {
  auto* stand_in = reinterpret_cast<Slot*>(lent & ~kLentFlags);
  while (stand_in != nullptr) {
    Slot* const next = static_cast<Slot*>(stand_in->resume);
    if (!visit(*stand_in)) return;
    stand_in = next;
  }
}

Slot* find(std::uintptr_t lent, std::uint64_t number, unsigned rank) noexcept {
  Slot* found = nullptr;
  each_stand_in(lent, [&](Slot& stand_in) {
    const std::uint64_t id = stand_in.id.load(std::memory_order_relaxed);
    if ((id & ~kLenders) == number && class_of(stand_in) == rank) found = &stand_in;
    return found == nullptr;
  });
  return found;
}

/// One more lender of a stand-in that there is.
Lent join_in(Slot& stand_in, std::uint64_t number, Lender by) noexcept {
  std::uint64_t id = stand_in.id.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t more = by == Lender::joiner ? id | static_cast<std::uint64_t>(by)
                                                    : id + static_cast<std::uint64_t>(by);
    if ((more & ~kLenders) != number) return {};  // it has moved, or has too many to be counted
    if (more == id) return {&stand_in, false};
    // Relaxed: whoever is to see it sees the bit that is set afterwards.
    if (stand_in.id.compare_exchange_weak(id, more, std::memory_order_relaxed)) {
      return {&stand_in, (id & kLenders) == 0};
    }
  }
}

void lead_to(Slot& stand_in, std::uint64_t from, std::uint64_t to) noexcept {
  // Seq_cst: after the task has said where it is (I3).
  std::uint64_t id = stand_in.id.load(std::memory_order_seq_cst);  // M70
  // Release. Pairs: task_behind. Publishes: that the task runs in the slot. Without: a claim that
  // is passed on finds it vacant, and a wake is lost.
  while ((id & ~kLenders) == from) {
    // M70
    if (stand_in.id.compare_exchange_weak(id, to | (id & kLenders), std::memory_order_release,
                                          std::memory_order_relaxed)) {
      return;
    }
  }
}

/// A stand-in that an earlier stay of the task in the collection has left, leading to `number` now.
Slot* take_up(std::uintptr_t lent, const TaskCollection& where, Role role, std::uint64_t number,
              Lender by) noexcept {
  Slot* taken = nullptr;
  each_stand_in(lent, [&](Slot& left) {
    std::uint64_t nowhere = 0;
    const Group& group = Group::of(left);
    // Seq_cst: before the look where the task is (I3).
    if (group.home().collection == &where && group.role == role &&
        left.id.compare_exchange_strong(nowhere, number | static_cast<std::uint64_t>(by),
                                        std::memory_order_seq_cst,  // M70
                                        std::memory_order_relaxed)) {
      taken = &left;
    }
    return taken == nullptr;
  });
  return taken;
}

Slot* push(PromiseBase& task, std::uintptr_t lent, TaskCollection& where, Role role,
           std::uint64_t number, Lender by) noexcept {
  Slot* const stand_in = where.allocate_shared(role);
  if (stand_in == nullptr) return nullptr;
  stand_in->waiting = nullptr;
  stand_in->stay = nullptr;
  stand_in->root = nullptr;
  stand_in->frame.store(nullptr, std::memory_order_relaxed);  // dumps pass it over
  stand_in->id.store(number | static_cast<std::uint64_t>(by), std::memory_order_relaxed);
  stand_in->state.lend();
  loan_made();
  // Seq_cst: before the look where the task is (I3). Release pairs with stand_in_of and publishes
  // the fields above. Without: a poller reads an address that is none.
  for (;;) {
    stand_in->resume = reinterpret_cast<void*>(lent & ~kLentFlags);
    const std::uintptr_t pushed = stand_in->ref().bits | (lent & kLentFlags);
    if (task.lent.compare_exchange_weak(lent, pushed, std::memory_order_seq_cst,  // M70
                                        std::memory_order_acquire)) {             // M70
      return stand_in;
    }
  }
}

}  // namespace

Slot* find_stand_in(std::uintptr_t lent, const Slot& slot) noexcept {
  // Null: the task has ended.
  const Segment* home = Group::of(slot).segment.load(std::memory_order_acquire);  // M22
  if (home == nullptr) return nullptr;
  unsigned best_class = home->collection->class_index();
  Slot* best = nullptr;
  const std::uint64_t number = number_of(&slot);
  each_stand_in(lent, [&](Slot& stand_in) {
    const std::uint64_t id = stand_in.id.load(std::memory_order_relaxed);
    if ((id & ~kLenders) == number && (id & kLenders) != 0 && class_of(stand_in) < best_class) {
      best = &stand_in;
      best_class = class_of(stand_in);
    }
    return true;
  });
  return best;
}

Behind task_behind(const Slot& stand_in) noexcept {
  const std::uint64_t before = stand_in.state.peek();
  if (StateWord::phase_of(before) != Phase::loan) return {};
  // Acquire. Pairs: lead_to. The second look at the word comes after this one, too: if it has not
  // changed, this was the loan's.
  const std::uint64_t id = stand_in.id.load(std::memory_order_acquire);  // M70
  if (stand_in.state.peek() != before || id <= kLenders) return {};
  return {&Slot::of({static_cast<std::uintptr_t>(id & ~kLenders)}), (id & kLenders) != 0};
}

namespace {

/// On which runtime a task is, by its slot's segment; null: it has ended. Not by its promise: a
/// task that moves changes that and its slot one after the other, and whoever looks in between
/// would lend it something across runtimes.
std::uint32_t runtime_of(const PromiseBase& task, const Segment* home) noexcept {
  if (planted(Mutant::lend_by_hearsay)) return task.runtime_id.load(std::memory_order_relaxed);
  return home == nullptr ? 0 : home->collection->port().runtime_id.load(std::memory_order_relaxed);
}

}  // namespace

Lent lend(PromiseBase& task, unsigned rank, Lender by) noexcept {
  Slot& slot = Slot::of({task.self.load(std::memory_order_acquire)});  // M16
  const Group& group = Group::of(slot);
  const Segment* segment = group.segment.load(std::memory_order_acquire);  // M22
  if (segment == nullptr) return {};                                       // it has ended
  if (segment->collection->class_index() <= rank) return {};
  const std::uint32_t runtime = runtime_of(task, segment);
  std::uint64_t number = number_of(&slot);
  const std::uintptr_t lent = task.lent.load(std::memory_order_acquire);  // M70
  if (Slot* found = find(lent, number, rank)) {
    const Lent joined = join_in(*found, number, by);
    if (joined.stand_in != nullptr) return joined;
    // It has moved meanwhile: once more from the beginning. Or it has all the lenders it can count.
    const bool moved = task.self.load(std::memory_order_acquire) != number;  // M16
    return moved ? lend(task, rank, by) : Lent{};
  }
  const Role role = is_pinned(group, *segment) ? Role::pinned : Role::shared;
  TaskCollection& where = segment->collection->port().collections[rank];
  Slot* stand_in = take_up(lent, where, role, number, by);
  if (stand_in == nullptr) stand_in = push(task, lent, where, role, number, by);
  if (stand_in == nullptr) return {};
  for (;;) {
    if (planted(Mutant::lend_without_look)) break;
    std::uint64_t now = task.self.load(std::memory_order_seq_cst);  // M70
    if (now == number) break;
    // One that is on another runtime now is lent nothing across.
    const Slot& there = Slot::of({static_cast<std::uintptr_t>(now)});
    // M22
    if (runtime_of(task, Group::of(there).segment.load(std::memory_order_acquire)) != runtime) {
      now = 0;
    }
    lead_to(*stand_in, number, now);
    if (now == 0) return {stand_in, false};
    number = now;
  }
  return {stand_in, true};
}

bool leads_to(const Slot& stand_in, const PromiseBase& task) noexcept {
  return (stand_in.id.load(std::memory_order_relaxed) & ~kLenders) ==
         task.self.load(std::memory_order_relaxed);
}

bool take_back(Slot& stand_in, Lender by) noexcept {
  const auto one = static_cast<std::uint64_t>(by);
  // Relaxed: the bit that is set afterwards brings it to the task's poller.
  const std::uint64_t id = by == Lender::joiner
                               ? stand_in.id.fetch_and(~one, std::memory_order_relaxed)
                               : stand_in.id.fetch_sub(one, std::memory_order_relaxed);
  return (id & kLenders) == one;
}

void joiner_lends(PromiseBase& task, unsigned rank) noexcept {
  const Lent lent = rank != kNoRank ? lend(task, rank, Lender::joiner) : Lent{};
  if (lent.news) notify(*lent.stand_in);
  constexpr auto kOne = static_cast<std::uint64_t>(Lender::joiner);
  each_stand_in(task.lent.load(std::memory_order_acquire), [&](Slot& stand_in) {  // M70
    if (&stand_in != lent.stand_in && (stand_in.id.load(std::memory_order_relaxed) & kOne) != 0 &&
        take_back(stand_in, Lender::joiner) && !planted(Mutant::keep_return_quiet)) {
      notify(stand_in);
    }
    return true;
  });
}

void lend_to(const Slot& from, PromiseBase& awaited) noexcept {
  const PromiseBase& root = *from.root;
  // The common case costs no look at what the other worker writes: they live side by side.
  const Slot& other = Slot::of({awaited.self.load(std::memory_order_relaxed)});
  if (&Group::of(other) == &Group::of(from) &&
      root.lent.load(std::memory_order_relaxed) <= kLentFlags &&
      awaited.lent.load(std::memory_order_relaxed) <= kLentFlags) {
    return;
  }
  const bool together = awaited.runtime_id.load(std::memory_order_relaxed) ==
                        root.runtime_id.load(std::memory_order_relaxed);
  joiner_lends(awaited, together ? rank_of(from) : kNoRank);
}

void pass_on(Slot& slot) noexcept {
  if (slot.root == nullptr || slot.waiting == nullptr) return;  // an executor's own
  if (slot.root->lent.load(std::memory_order_relaxed) <= kLentFlags) return;
  const detail::SuspensionOps& ops = *slot.waiting->ops;
  if (ops.lend != nullptr) ops.lend(*slot.waiting, slot.ref());
}

void says_where(PromiseBase& task, const Slot& from, Slot& to, bool same_runtime) noexcept {
  // Seq_cst: the next suspension looks at the stop word (PromiseBase::self), and we look for
  // stand-ins after it (I3).
  task.self.store(to.ref().bits, std::memory_order_seq_cst);  // M16, M70
  if (planted(Mutant::move_without_look)) return;
  each_stand_in(task.lent.load(std::memory_order_seq_cst), [&](Slot& stand_in) {  // M70
    // One that the task leaves behind on another runtime must not lead there.
    lead_to(stand_in, number_of(&from), same_runtime ? number_of(&to) : 0);
    return true;
  });
}

void end_loans(PromiseBase& task) noexcept {
  each_stand_in(task.lent.load(std::memory_order_acquire), [](Slot& stand_in) {  // M70
    Group& group = Group::of(stand_in);
    loan_ended();
    if (stand_in.state.vacate()) {
      TaskCollection::give_back(group, group.page_index(stand_in), bit(group.bit_index(stand_in)));
    }
    return true;
  });
}

}  // namespace paceline::core
