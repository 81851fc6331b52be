// SPDX-License-Identifier: BSL-1.0
// Turns of task groups: which group of a class goes on, and what each is billed for.
//
// A poll costs nothing here while no task of a task group is ready: pick looks at one word and goes
// on. What has ended by then is noticed around steps and parked executors.
#include <algorithm>
#include <new>

#include "exec/executor_runtime.hpp"
#include "exec/group_book.hpp"

namespace paceline::core {

namespace {

// While several groups are ready the group level is asked again after so many polls, and at the
// start of each step, so that its look at the clock costs a poll little.
constexpr unsigned kPollsPerTurn = 16;

}  // namespace

/// The book, made when it is first needed. Without memory groups take turns by polls, for good:
/// what executors were billed elsewhere would not fit into a book that comes later.
GroupBook* ExecutorRuntime::group_book() noexcept {
  if (group_book_ != nullptr || no_group_book_) return group_book_.get();
  group_book_.reset(new (std::nothrow) GroupBook(surroundings_.classes, turns_.slice()));
  no_group_book_ = group_book_ == nullptr;
  group_since_ = surroundings_.now();
  group_bill_open_ = true;
  return group_book_.get();
}

/// How the executors of a task group share its turns.
policy::Turns& ExecutorRuntime::turns_of(unsigned group) noexcept {
  return group == 0 || group_book() == nullptr ? turns_ : group_book_->executors[group];
}

void ExecutorRuntime::bill_group(Nanos now) noexcept {
  group_book_->turns.charge(served_group_, served_class_, now - std::exchange(group_since_, now));
}

/// Another class is served from now on: tasks without a group, as long as nobody says otherwise.
void ExecutorRuntime::serve_class(unsigned own_class, Nanos now) noexcept {
  bill_group(now);
  served_class_ = own_class;
  served_group_ = 0;
  group_polls_ = 0;
}

/// What follows is asked again, and until then billed to the tasks without a group.
void ExecutorRuntime::end_group_turn() noexcept {
  group_polls_ = 0;
  if (group_book_ != nullptr) serve_class(served_class_, surroundings_.now());
}

/// Around a step, while there is a book.
void ExecutorRuntime::open_group_bill() noexcept {
  const Nanos now = surroundings_.now();
  // Else the thread lost the last step, and what it ran is still to be billed.
  if (!group_bill_open_) group_since_ = now;
  group_bill_open_ = true;
  group_polls_ = 0;
}
void ExecutorRuntime::close_group_bill(bool all_rest) noexcept {
  const Nanos now = surroundings_.now();
  if (group_bill_open_) bill_group(now);
  group_bill_open_ = false;
  if (all_rest) group_book_->turns.rest(now);
}

/// After the look at who is parked: pick does not ask about groups in a class where none has tasks,
/// so the book hears of it here. Else a group would be thought to be there, and billed, for good.
void ExecutorRuntime::forget_groups_gone() noexcept {
  for (unsigned c = 0; c < qos_count; ++c) {
    if (has_groups(c)) continue;
    if (c == served_class_ && served_group_ != 0) end_group_turn();
    if (!group_book_->turns.knows_groups(c)) continue;
    group_book_->turns.pick(c, groups_ready(c) & bit(0), surroundings_.now());
  }
}

/// The groups of a class that have something ready: short tasks, or executors that are parked.
Word ExecutorRuntime::groups_ready(unsigned own_class) const noexcept {
  Word ready = port_.task_groups[own_class].load(std::memory_order_acquire);  // M80
  if (port_.collections[own_class].has_ready()) ready |= bit(0);
  return ready | weak_groups_[own_class];
}

/// Has the group short tasks ready in the class?
bool ExecutorRuntime::group_ready(unsigned own_class, unsigned group) const noexcept {
  if (group == 0) return port_.collections[own_class].has_ready();
  const Word grouped = port_.task_groups[own_class].load(std::memory_order_acquire);  // M80
  return (grouped & bit(group)) != 0 && lane_of(port_, group).collections[own_class].has_ready();
}

/// The group whose turn it is, of `ready` ones; 0 if there are none.
unsigned ExecutorRuntime::choose_group(unsigned own_class, Word ready) noexcept {
  GroupBook* const book = group_book();
  unsigned group = 0;
  if (book == nullptr) {
    const Word after = from(ready, served_group_ + 1);
    if (ready != 0) group = lowest(after != 0 ? after : ready);
  } else {
    const Nanos now = surroundings_.now();
    bill_group(now);
    each_bit(ready & ~bit(0),
             [&](unsigned g) { book->look_at(g, surroundings_.group_wishes, now); });
    group = book->turns.pick(own_class, ready, now);
    if (group == policy::kNoGroup) group = 0;
  }
  served_class_ = own_class;
  served_group_ = group;
  group_polls_ = kPollsPerTurn;
  return group;
}

/// A poll of that group was asked to give way after its slice, with others about: is it still the
/// group's turn? It is billed for what it ran.
bool ExecutorRuntime::group_goes_on(unsigned own_class, unsigned group) noexcept {
  served_class_ = own_class;
  served_group_ = group;
  const unsigned next = choose_group(own_class, groups_ready(own_class) | bit(group));
  // What runs is the group's until it has given way. Then it is asked again who follows: of this
  // group there may be no lane here, or nothing that pick would ask about.
  served_group_ = group;
  group_polls_ = 0;
  if (!running_->weak) budget_ = 0;
  return next == group;
}

/// The next task of a class in which task groups have some. Null: none is left, or the turn is that
/// of a parked executor (weak_next_).
Slot* ExecutorRuntime::pick_in_groups(unsigned own_class, unsigned& arrived) noexcept {
  for (;;) {
    const Word grouped = port_.task_groups[own_class].load(std::memory_order_acquire);  // M80
    unsigned group = served_group_;
    // Only a group that is ready here is sure to have its lane.
    const bool here = ((grouped | weak_groups_[own_class] | bit(0)) & bit(group)) != 0;
    if (group_polls_ == 0 || served_class_ != own_class || grouped != chosen_among_groups_ ||
        !here) {
      const Word ready = groups_ready(own_class);
      group = choose_group(own_class, ready);
      chosen_among_groups_ = grouped;
      if (ready == 0) return nullptr;
    }
    --group_polls_;
    if ((weak_groups_[own_class] & bit(group)) != 0 && !group_ready(own_class, group)) {
      weak_classes_ = weak_ready();
      weak_next_ = (weak_groups_[own_class] & bit(group)) != 0;
      if (weak_next_) {
        // take_turns asks again, and without a book the next one in turn would be another group.
        if (group_book_ == nullptr) served_group_ = (group + kTaskGroups - 1) % kTaskGroups;
        return nullptr;
      }
    } else if (Sweep& sweep =
                   group == 0 ? sweeps_[own_class] : lane_of(port_, group).sweeps[own_class];
               Slot* slot = sweep.next(arrived)) {
      return slot;
    }
    // It has nothing any more. Who is left is asked at once: it counts as idle from now on.
    group_polls_ = 0;
  }
}

}  // namespace paceline::core
