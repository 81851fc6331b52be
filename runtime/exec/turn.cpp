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
Word ExecutorRuntime::weak_ready() const noexcept {
  Word classes = 0;
  if ((port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) == 0) return 0;
  each_ready(port_.weak(), [&](const Slot& slot) {
    const Executor* executor = parked_in(slot);
    if (executor != nullptr) classes |= bit(rank_of(*executor->task));
  });
  return classes;
}

/// The classes that the strong one would find tasks in.
Word ExecutorRuntime::tasks_ready() noexcept {
  Word ready = port_.classes.load(std::memory_order_relaxed) & Port::kClasses;
  for (Word left = ready; left != 0; left = without_lowest(left)) {
    if (!port_.collections[lowest(left)].has_ready()) ready &= ~bit(lowest(left));
  }
  return ready;
}

/// A poll of class `own` was asked to give way: is there somebody whose turn it is?
bool ExecutorRuntime::should_give_way(unsigned own, bool slice_is_over) noexcept {
  const Word ready = tasks_ready();
  const Word all = ready | weak_ready();
  if ((all & ~bit(own)) != 0) {
    const Nanos now = surroundings_.now();
    const auto with_own = static_cast<policy::BucketMask>(all | bit(own));
    const policy::BucketMask seen = fixed_watch_.seen(with_own, now);
    const unsigned current = fixed_watch_.seen_class(own, now);
    if (class_turns_.pick(seen, now).bucket != current) return true;
  }
  if (!slice_is_over) return false;
  const bool strong_is_ready =
      (ready & bit(own)) != 0 || !loot_.empty() || surroundings_.foreign_waits(*worker_);
  if (!strong_is_ready && (all & bit(own)) == 0) return false;
  return !running_->weak || !goes_on(own, strong_is_ready);
}

/// At the start of a step, while bits of weak executors are set: whose turn is it?
void ExecutorRuntime::take_turns() noexcept {
  if (turn_ != nullptr) return;
  charge_strong();
  std::array<Executor*, qos_count> best{};
  Word weak = 0;
  each_ready(port_.weak(), [&](Slot& slot) {
    Executor* executor = parked_in(slot);
    if (executor == nullptr) return;
    const unsigned own = rank_of(*executor->task);
    Executor*& first = best[own];
    if (first == nullptr || executor->share.had < first->share.had ||
        (executor->share.had == first->share.had && executor->parked_at < first->parked_at)) {
      first = executor;
    }
    weak |= bit(own);
  });
  weak_classes_ = weak;
  if (weak == 0) {
    // What is left of slots that serve nobody any more; with the last one the summary is lowered.
    unsigned arrived = 0;
    turn_ = weak_sweep_.next(arrived);
    return;
  }
  const Word ready = tasks_ready();
  const unsigned chosen = choose_class(ready | weak);
  Executor* executor = best[chosen];
  if (executor == nullptr) return;
  const bool strong_is_ready = (ready & bit(chosen)) != 0 || !loot_.empty();
  if (strong_is_ready && turns_.strong_before(chosen, executor->share)) return;
  turns_.chosen(chosen, executor->share);
  Slot& slot = *executor->slot;
  Group& group = Group::of(slot);
  group.pages[group.page_index(slot)].take_this(group.bit_index(slot));
  turn_ = &slot;
}

/// At the end of a slice of a weak executor, while others of its class wait: is it its turn again?
bool ExecutorRuntime::goes_on(unsigned own, bool strong_is_ready) noexcept {
  charge(*running_, *current());
  const policy::Share& share = running_->share;
  bool first = true;
  each_ready(port_.weak(), [&](const Slot& slot) {
    const Executor* other = parked_in(slot);
    if (other == nullptr || rank_of(*other->task) != own) return;
    first = first && share.had < other->share.had;
  });
  if (!first || (strong_is_ready && turns_.strong_before(own, share))) return false;
  turns_.chosen(own, share);
  return true;
}

/// Bills the strong executor, in the class that it served last, for all that was not billed yet.
Nanos ExecutorRuntime::charge_strong() noexcept {
  const Nanos now = surroundings_.now();
  Nanos ran = now - std::exchange(turn_since_, now);
  // While nobody was weak nobody kept books.
  if (weak_preempted_ == 0) ran = std::min(ran, turns_.slice());
  const std::uint32_t served = port_.run_class.load(std::memory_order_relaxed);
  if (served < qos_count) turns_.charge_strong(served, ran, ready_ + 1);
  return ran;
}

/// The same for a weak one; `task` is its task.
void ExecutorRuntime::charge(Executor& weak, const Slot& task) noexcept {
  const Nanos now = surroundings_.now();
  turns_.charge(weak.share, now - std::exchange(turn_since_, now));
  const unsigned own = rank_of(task);
  if (own == weak.share_class) return;  // else its task changed its class
  turns_.leaves(weak.share_class, weak.share);
  turns_.arrives(own, weak.share);
  weak.share_class = own;
}

/// It was entered, and stands.
void ExecutorRuntime::charge_after_poll(Executor& weak) noexcept {
  if (weak.standing == Standing::at_rest) {
    turn_since_ = surroundings_.now();
  } else {
    charge(weak, *weak.task);
  }
}

/// A strong executor was parked, or stays with a thread that has lost its worker.
void ExecutorRuntime::opens_share(Executor& weak) noexcept {
  const Nanos ran = charge_strong();
  weak.share_class = rank_of(*weak.task);
  const detail::TaskExtras* extras = weak.task->root->extras;
  weak.share.weight = policy::weight_of(extras != nullptr ? extras->nice : 0);
  turns_.demoted(weak.share_class, weak.share, ran);
}

/// It goes to the refuge of its thread.
void ExecutorRuntime::moves_share(Executor& weak, ExecutorRuntime& refuge) noexcept {
  turns_.leaves(weak.share_class, weak.share);
  refuge.turns_.arrives(weak.share_class, weak.share);
}

}  // namespace paceline::core
