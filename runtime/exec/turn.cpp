// SPDX-License-Identifier: BSL-1.0
// Turns: when a weak executor goes on instead of the strong one, and which.
//
// A weak executor is ready when its own slot's bit is set; nothing else says so. The bits are
// looked at where they are, and only the chosen one is taken.
#include <array>

#include "base/assert.hpp"
#include "exec/completion.hpp"
#include "exec/executor_runtime.hpp"
#include "exec/loan.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

namespace {

/// Calls visit(slot, page) for every weak executor's slot whose bit is set. Home worker.
template <class Visit>
void each_ready(TaskCollection& weak, Visit&& visit) noexcept {
  const unsigned segments = weak.segment_count();
  for (unsigned s = 0; s < segments; ++s) {
    Segment& segment = *weak.segment_at(s);
    each_bit(segment.ready.load(std::memory_order_acquire), [&](unsigned g) {  // M6
      Group& group = *segment.groups[g].load(std::memory_order_acquire);       // M20
      each_bit(group.ready.load(std::memory_order_acquire), [&](unsigned p) {  // M6
        each_bit(group.pages[p].ready(), [&](unsigned i) { visit(group.page_slots(p)[i]); });
      });
    });
  }
}

/// The weak executor that this slot stands for. Null: its bit is a left-over.
Executor* parked_in(const Slot& slot) noexcept {
  Executor* executor = Executor::of(slot.resume);
  return executor == nullptr || executor->standing == Standing::at_rest ? nullptr : executor;
}

}  // namespace

/// The classes of weak executors that wait for their turn.
Word ExecutorRuntime::weak_ready() noexcept {
  Word classes = 0;
  weak_groups_ = {};
  if ((port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) == 0) return 0;
  each_ready(port_.weak(), [&](const Slot& slot) {
    const Executor* executor = parked_in(slot);
    if (executor == nullptr) return;
    const unsigned own = rank_of(*executor->task);
    classes |= bit(own);
    weak_groups_[own] |= bit(task_group_of(*executor->task));
  });
  return classes;
}

/// The classes that the strong one would find tasks in.
Word ExecutorRuntime::tasks_ready() noexcept {
  Word ready = port_.classes.load(std::memory_order_relaxed) & Port::kClasses;
  for (Word left = ready; left != 0; left = without_lowest(left)) {
    if (!has_ready(port_, lowest(left))) ready &= ~bit(lowest(left));
  }
  return ready;
}

/// A poll of class `own` was asked to give way: is there somebody whose turn it is?
bool ExecutorRuntime::should_give_way(unsigned own, bool slice_is_over, Nanos now) noexcept {
  const Word ready = tasks_ready();
  const Word all = ready | weak_ready();
  if ((all & ~bit(own)) != 0) {
    const auto with_own = static_cast<policy::BucketMask>(all | bit(own));
    const policy::BucketMask seen = fixed_watch_.seen(with_own, now);
    const unsigned current = fixed_watch_.seen_class(own, now);
    const unsigned answer = class_turns_.pick(seen, now).bucket;
    note_turn_end(class_turns_.turn_end());
    if (answer != current) {
      const std::uint64_t poll = port_.polls.load(std::memory_order_relaxed);
      foreseen_ = {all | bit(own), poll, answer, now};
      return true;
    }
  } else {
    note_turn_end(kForever);
  }
  if (!slice_is_over) return false;
  bool tasks_wait = (ready & bit(own)) != 0;
  bool others_wait = (all & bit(own)) != 0;
  const unsigned group = task_group_of(*current());
  if (group != 0 || has_groups(own)) [[unlikely]] {
    if (!group_goes_on(own, group)) return true;
    tasks_wait = group_ready(own, group);
    others_wait = tasks_wait || (weak_groups_[own] & bit(group)) != 0;
  }
  const bool strong_is_ready =
      tasks_wait || !loot_.empty() || surroundings_.foreign_waits(*worker_);
  if (!strong_is_ready && !others_wait) return false;
  return !running_->weak || !goes_on(own, strong_is_ready, now);
}

/// At the start of a step, while bits of weak executors are set: whose turn is it?
void ExecutorRuntime::take_turns() noexcept {
  if (turn_ != nullptr) return;
  const Nanos now = surroundings_.now();
  charge_strong(now);
  const Word weak = weak_classes_ = weak_ready();
  settled_ = kUnsettled;
  if (weak == 0) {
    // What is left of slots that serve nobody any more; with the last one the summary is lowered.
    unsigned arrived = 0;
    turn_ = weak_sweep_.next(arrived);
    return;
  }
  const Word ready = tasks_ready();
  const unsigned chosen = choose_class(ready | weak, now);
  bool tasks_wait = (ready & bit(chosen)) != 0;
  unsigned group = 0;
  if (has_groups(chosen)) [[unlikely]] {
    group = choose_group(chosen, groups_ready(chosen));
    chosen_among_groups_ = port_.task_groups[chosen].load(std::memory_order_relaxed);
    tasks_wait = group_ready(chosen, group);
  }
  Executor* executor = least_served(chosen, group);
  if (executor == nullptr) return;
  policy::Turns& turns = turns_of(group);
  const bool strong_is_ready = tasks_wait || !loot_.empty();
  if (strong_is_ready && turns.strong_before(chosen, executor->share)) return;
  turns.chosen(chosen, executor->share);
  Slot& slot = *executor->slot;
  Group& home = Group::of(slot);
  home.pages[home.page_index(slot)].take_this(home.bit_index(slot));
  turn_ = &slot;
}

/// The weak executor of a class and group that has had least; null if none waits there.
Executor* ExecutorRuntime::least_served(unsigned own_class, unsigned group) const noexcept {
  Executor* first = nullptr;
  each_ready(port_.weak(), [&](Slot& slot) {
    Executor* executor = parked_in(slot);
    if (executor == nullptr || rank_of(*executor->task) != own_class ||
        task_group_of(*executor->task) != group) {
      return;
    }
    if (first == nullptr || executor->share.had < first->share.had ||
        (executor->share.had == first->share.had && executor->parked_at < first->parked_at)) {
      first = executor;
    }
  });
  return first;
}

/// At the end of a slice of a weak executor, while others of its class wait: is it its turn again?
bool ExecutorRuntime::goes_on(unsigned own, bool strong_is_ready, Nanos now) noexcept {
  charge(*running_, *current(), now);
  const policy::Share& share = running_->share;
  const unsigned group = task_group_of(*current());
  policy::Turns& turns = turns_of(group);
  bool first = true;
  each_ready(port_.weak(), [&](const Slot& slot) {
    const Executor* other = parked_in(slot);
    if (other == nullptr || rank_of(*other->task) != own || task_group_of(*other->task) != group) {
      return;
    }
    first = first && share.had < other->share.had;
  });
  if (!first || (strong_is_ready && turns.strong_before(own, share))) return false;
  turns.chosen(own, share);
  return true;
}

/// Bills the strong executor, in the class that it served last, for all that was not billed yet.
Nanos ExecutorRuntime::charge_strong(Nanos now) noexcept {
  Nanos ran = now - std::exchange(turn_since_, now);
  // While nobody was weak nobody kept books: it is known for how long others have waited only, from
  // the moment on at which they asked. What went before is a slice.
  const Nanos overrun = std::exchange(overrun_, 0);
  if (weak_preempted_ == 0) ran = std::min(ran, saturating_add(turns_.slice(), overrun));
  const std::uint32_t served = port_.run_class.load(std::memory_order_relaxed);
  if (served < qos_count)
    turns_of(served_group_).charge_strong(served, ran, static_cast<unsigned>(ready_estimate()) + 1);
  return ran;
}

/// The same for a weak one; `task` is its task.
void ExecutorRuntime::charge(Executor& weak, const Slot& task, Nanos now) noexcept {
  turns_.charge(weak.share, now - std::exchange(turn_since_, now));
  const unsigned own = rank_of(task);
  if (own == weak.share_class) return;  // else its task changed its class
  policy::Turns& turns = turns_of(weak.share_group);
  turns.leaves(weak.share_class, weak.share);
  turns.arrives(own, weak.share);
  weak.share_class = own;
}

/// When it was parked, or came to rest: now, if it has not looked at the clock for that itself.
Nanos ExecutorRuntime::parked_when(const Executor& executor) const noexcept {
  const bool looked = executor.standing == Standing::preempted;
  return looked ? executor.preempted_when : surroundings_.now();
}

/// It was entered, and stands.
void ExecutorRuntime::charge_after_poll(Executor& weak) noexcept {
  const Nanos now = parked_when(weak);
  if (weak.standing == Standing::at_rest) {
    turn_since_ = now;
  } else {
    charge(weak, *weak.task, now);
  }
}

/// A strong executor was parked, or stays with a thread that has lost its worker.
void ExecutorRuntime::opens_share(Executor& weak, Nanos now) noexcept {
  const Nanos ran = charge_strong(now);
  weak.share_class = rank_of(*weak.task);
  weak.share_group = task_group_of(*weak.task);
  const detail::TaskExtras* extras = weak.task->root->extras;
  weak.share.weight = policy::weight_of(extras != nullptr ? extras->nice : 0);
  turns_of(weak.share_group).demoted(weak.share_class, weak.share, ran);
}

/// It goes to the refuge of its thread.
void ExecutorRuntime::moves_share(Executor& weak, ExecutorRuntime& refuge) noexcept {
  turns_of(weak.share_group).leaves(weak.share_class, weak.share);
  refuge.turns_of(weak.share_group).arrives(weak.share_class, weak.share);
}

}  // namespace paceline::core
