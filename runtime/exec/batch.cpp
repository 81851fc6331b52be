// SPDX-License-Identifier: BSL-1.0
// A batch of polls on one executor: who is next, and its poll.
//
// What a poll costs is decided here. So the common one - a task at home, without a group, in the
// class that was chosen last - takes the short way, and everything else leaves it at one test.
#include <utility>

#include <paceline/detail/awaitable.hpp>

#include "base/assert.hpp"
#include "base/probe.hpp"
#include "exec/completion.hpp"
#include "exec/executor_runtime.hpp"
#include "exec/loan.hpp"
#include "exec/poll.hpp"
#include "policy/gather.hpp"

namespace paceline::core {

namespace {

// While several classes are ready the class level is asked again after so many polls: often enough
// for windows of a millisecond, and seldom enough that its look at the clock costs a poll little.
constexpr unsigned kPollsPerChoice = 16;

// One note may lead to so many tasks that are wanted elsewhere before one is polled.
constexpr unsigned kGivenAtOnce = 8;

}  // namespace

/// The class whose turn it is. `ready` may have classes that only seem ready.
unsigned ExecutorRuntime::choose_class(Word ready, Nanos now) noexcept {
  const auto buckets = static_cast<policy::BucketMask>(ready);
  const policy::BucketMask seen = fixed_watch_.seen(buckets, now);
  const unsigned answer = class_turns_.pick(seen, now).bucket;
  note_turn_end(class_turns_.turn_end());
  chosen_among_ = ready;
  settled_ = kUnsettled;
  // One class alone stays chosen without a look at the clock until another one is ready.
  chosen_polls_ = without_lowest(ready) == 0 && class_turns_.only(seen) ? ~0u : kPollsPerChoice - 1;
  chosen_ = fixed_watch_.meant(answer, buckets, now);
  if (group_book_ != nullptr && chosen_ != served_class_) serve_class(chosen_, now);
  return chosen_;
}

/// The same where a poll may just have given way.
unsigned ExecutorRuntime::choose_class(Word ready) noexcept {
  const std::uint64_t poll = port_.polls.load(std::memory_order_relaxed);
  if (foreseen_.among != ready || foreseen_.poll != poll || group_book_ != nullptr) {
    return choose_class(ready, surroundings_.now());
  }
  chosen_among_ = ready;
  settled_ = kUnsettled;
  chosen_polls_ = kPollsPerChoice - 1;
  chosen_ =
      fixed_watch_.meant(foreseen_.answer, static_cast<policy::BucketMask>(ready), foreseen_.at);
  return chosen_;
}

/// Who is polled next. `page`: where its bits are, if it is at home; null: it was taken from
/// another worker, or there is nobody.
struct ExecutorRuntime::Picked {
  Slot* slot = nullptr;
  WakerPage* page = nullptr;
};

inline ExecutorRuntime::Picked ExecutorRuntime::pick_unsettled(Word raised) noexcept {
  // Loot alternates with the worker's own tasks: neither waits for the other to run dry.
  loot_turn_ = !loot_turn_ || (raised & Port::kClasses) == 0;
  if (loot_turn_ && !loot_.empty()) {
    if (Slot* slot = loot_.pop()) return {slot};
  }
  return pick_among_all();
}

/// There is a note: who is next may be wanted elsewhere, and somebody may have come instead.
ExecutorRuntime::Picked ExecutorRuntime::pick_noted() noexcept {
  for (unsigned given = 0;; ++given) {
    const Picked next = pick_unsettled(port_.classes.load(std::memory_order_acquire));  // M6
    // While it gives it does not look after its timers, nor after the time.
    if (surroundings_.instead == nullptr || given == kGivenAtOnce) return next;
    Slot* slot = surroundings_.instead(*worker_, next.slot);
    if (slot == next.slot) return next;
    if (next.slot != nullptr) forget_ready(1);
    if (slot != nullptr) {
      ++made_ready_;
      return {slot};
    }
  }
}

inline ExecutorRuntime::Picked ExecutorRuntime::pick() noexcept {
  const Word raised = port_.classes.load(std::memory_order_acquire);  // M6
  if (raised != settled_) [[unlikely]] {
    return (raised & bit(Port::kNote)) == 0 ? pick_unsettled(raised) : pick_noted();
  }
  Sweep& sweep = *serving_;
  Slot* slot = sweep.next_of_page();
  if (slot == nullptr) [[unlikely]] {
    // Relaxed: as in pick_among_all.
    if (port_.task_groups[chosen_].load(std::memory_order_relaxed) != 0) return pick_among_all();
    // The next ones are let come together, if nobody else waits; the summary stays raised.
    if (std::exchange(few_came_, false) && raised == bit(chosen_) && sweep.is_quiet()) return {};
    unsigned arrived = 0;
    if (!sweep.begin_again(arrived)) return pick_among_all();
    if (arrived != 0) count_arrived(arrived);
    slot = sweep.next_of_page();
    if (slot == nullptr) return pick_among_all();
  }
  if (--chosen_polls_ == 0) settled_ = kUnsettled;
  note_class(chosen_);
  return {slot, sweep.page()};
}

/// Whoever sent them may have found no helper that could run beside the one that is polled now; we
/// ask again.
void ExecutorRuntime::count_arrived(unsigned arrived) noexcept {
  few_came_ = in_stream_ && arrived < policy::kGatherLeast;
  made_ready_ += arrived - 1;
  count_ready();
}

ExecutorRuntime::Picked ExecutorRuntime::pick_among_all() noexcept {
  few_came_ = false;
  for (;;) {
    const Word raised = port_.classes.load(std::memory_order_acquire);  // M6
    const Word here = raised & Port::kClasses;
    if (here == 0) return {loot_.pop()};
    const Word ready = here | weak_classes_;
    unsigned chosen = chosen_;
    if (ready == chosen_among_ && chosen_polls_ != 0)
      --chosen_polls_;
    else
      chosen = choose_class(ready);
    if ((here & bit(chosen)) == 0) [[unlikely]] {
      weak_classes_ = weak_ready();
      weak_next_ = (weak_classes_ & bit(chosen)) != 0;
      if (weak_next_) return {};
      continue;
    }
    unsigned arrived = 0;
    // Relaxed: a group that is missed here keeps its class raised, and the next page asks again.
    const bool grouped = port_.task_groups[chosen].load(std::memory_order_relaxed) != 0;
    serving_ = &sweeps_[chosen];
    Slot* slot = grouped ? pick_in_groups(chosen, arrived) : serving_->next(arrived);
    if (slot != nullptr) {
      // Not with a note that came meanwhile, or it would never be looked at.
      const Word without_note = raised & ~bit(Port::kNote);
      settled_ = !grouped && loot_.empty() && chosen_polls_ != 0 ? without_note : kUnsettled;
      note_class(chosen);
      if (arrived != 0) count_arrived(arrived);
      return {slot, &page_of(*slot)};
    }
    if (weak_next_) return {};
    // The sweep found nothing and lowered its bit in the port; look again.
  }
}

void ExecutorRuntime::resume_posted(Executor& self) noexcept {
  for (;;) {
    ExecutorRuntime& runtime = self.runtime();
    if (!runtime.posted_) return;
    const auto next = std::exchange(runtime.posted_, nullptr);
    if (!runtime.posted_more_.empty()) [[unlikely]] {
      runtime.posted_ = runtime.posted_more_.front();
      runtime.posted_more_.erase(runtime.posted_more_.begin());
    }
    runtime.go_out();
    next.resume();
    machine::own_record().runtime->come_in();
  }
}

/// A poll ended without a word about the task: it stands in a foreign awaitable.
Outcome ExecutorRuntime::how_it_rests(Slot& slot) noexcept {
  check(slot.stay != nullptr, "a poll ends with the task's end or a suspension");
  slot.resume = slot.stay->frame.address();
  slot.waiting = slot.stay;
  return stay_is_over(*slot.stay) ? Outcome::yielded : Outcome::suspended;
}

/// The host of poll_slot: real coroutines on this executor. Its runtime may be another one after
/// user code ran.
struct ExecutorRuntime::PollHost {
  Executor& self;

  ExecutorRuntime& runtime() const noexcept { return self.runtime(); }

  bool may_resume(Slot& slot) noexcept {
    // As core::may_resume begins; what else it asks is asked apart.
    if (slot.waiting == nullptr || slot.waiting->ready.load(std::memory_order_acquire) != 0)  // M12
        [[likely]]
      return true;
    return may_resume_asking(self, slot);  // not as a member, so that the host stays in a register
  }
  /// By a question to user code, outside any task: the one that was polled last may be gone.
  [[gnu::noinline]] static bool may_resume_asking(Executor& self, Slot& slot) noexcept {
    self.runtime().set_current(nullptr);
    const auto stopped = [&] { return self.runtime().stop_requested(*slot.root); };
    if (core::may_resume(slot, stopped)) return true;
    // Perhaps somebody lends it something, or does no longer.
    pass_on(slot);
    return false;
  }
  [[gnu::always_inline]] Rest run(Slot*& slot) noexcept { return run(runtime(), slot); }
  [[gnu::always_inline]] Rest run(ExecutorRuntime& before, Slot*& slot) noexcept {
    bump(before.port_.polls);
    if (Executor::is_tagged(slot->resume)) [[unlikely]]
      return run_parked(self, *slot);
    before.set_current(slot);
    before.outcome_ = Outcome::none;
    if (forced(Whim::ask)) before.port_.ask(Ask::slice, before.surroundings_.now());
    before.go_out();
    ExecutorRuntime& now = resume_chain(self, std::coroutine_handle<>::from_address(slot->resume));
    // The task may have moved. It stays the current one until the next is, or user code is asked
    // something: nobody else looks in between.
    slot = now.current();
    // Whatever the outcome: that of a coroutine inside may be left, which the task has destroyed.
    const auto root =
        std::coroutine_handle<>::from_address(slot->frame.load(std::memory_order_relaxed));
    if (root.done()) return Rest::finished;
    if (now.outcome_ == Outcome::none) now.outcome_ = how_it_rests(*slot);
    if (any_loans()) [[unlikely]] {
      const Rest rest = now.outcome_ == Outcome::suspended ? Rest::suspended : Rest::yielded;
      return rest_lent(*slot, rest, PollHost{self});  // a copy: this one stays in a register
    }
    return now.outcome_ == Outcome::suspended ? Rest::suspended : Rest::yielded;
  }
  void finish(Slot& slot) noexcept {
    // The body is over: what its arguments' destructors do is done outside the task, here as when a
    // joiner frees the frame.
    ExecutorRuntime& now = runtime();
    now.set_current(nullptr);
    core::finish(now, slot);
  }
  void rearm(Slot& slot) noexcept { runtime().rearm(slot); }
  void put_back(Slot& slot) noexcept { runtime().put_back(slot); }
};

/// The host of a task at home, which knows where its bits are.
struct ExecutorRuntime::HomeHost : PollHost {
  const Picked& picked;
  ExecutorRuntime& home;

  [[gnu::always_inline]] Rest run(Slot*& slot) noexcept { return PollHost::run(home, slot); }
  [[gnu::always_inline]] void put_back(Slot& slot) noexcept {
    // One that has moved, or whose worker has another thread by now, takes the long way.
    if (&slot != picked.slot || &runtime() != &home) [[unlikely]] {
      PollHost::put_back(slot);
      return;
    }
    notify_home(*picked.page, slot, home.serving_->page() == picked.page);
    home.count_ready();  // twice, if it was woken meanwhile: until the worker has run dry
  }
};

/// The host of a task that was taken from another worker. Its class is known to its poller only:
/// until then it may end there, and its place serve another task.
struct ExecutorRuntime::TakenHost : PollHost {
  const Slot& taken;
  ExecutorRuntime& thief;

  [[gnu::always_inline]] Rest run(Slot*& slot) noexcept {
    // What ran until now was of another class, and somebody keeps books.
    if (thief.weak_preempted_ != 0) [[unlikely]]
      thief.charge_strong(thief.surroundings_.now());
    thief.note_class(rank_of(*slot));
    return PollHost::run(thief, slot);
  }
  /// It stays where its frame is warm until it waits for something.
  [[gnu::always_inline]] void put_back(Slot& slot) noexcept {
    if (&slot == &taken && &runtime() == &thief && !thief.loot_.full()) [[likely]]
      thief.add_loot(slot);
    else
      PollHost::put_back(slot);
  }
};

void ExecutorRuntime::poll_taken(Executor& self, Slot& slot) noexcept {
  Claim claim = poll_slot(slot, TakenHost{{self}, slot, self.runtime()});
  if (claim == Claim::loan) [[unlikely]]
    claim = poll_behind(slot, TakenHost{{self}, slot, self.runtime()});
  ExecutorRuntime& now = self.runtime();
  if (claim != Claim::polled) now.note_stale();
  if (now.weak_preempted_ != 0 && !self.weak) now.charge_strong(now.surroundings_.now());
}

/// A claim that was in vain, or a loan's.
void ExecutorRuntime::not_polled(Executor& self, const Slot& slot, Claim claim) noexcept {
  if (claim == Claim::loan) claim = poll_behind(slot, PollHost{self});
  if (claim != Claim::polled) self.runtime().note_stale();
}

void ExecutorRuntime::note_stale() noexcept {
  bump(counters_.stale);
  forget_ready(1);
}

void ExecutorRuntime::poll(Executor& self, Slot& slot) noexcept {
  const Claim claim = poll_slot(slot, PollHost{self});
  if (claim != Claim::polled) not_polled(self, slot, claim);
}

inline void ExecutorRuntime::poll_home(Executor& self, const Picked& picked) noexcept {
  const Claim claim = poll_slot(*picked.slot, HomeHost{{self}, picked, self.runtime()});
  if (claim != Claim::polled) [[unlikely]]
    not_polled(self, *picked.slot, claim);
}

void ExecutorRuntime::run_polls(Executor& self) noexcept {
  // Good until a poll has parked the executor or cost its thread the runtime: then it is weak, and
  // this batch is over.
  ExecutorRuntime& runtime = self.runtime();
  for (unsigned i = 0; i < runtime.foreign_count_; ++i) {
    runtime.go_out();
    resume_chain(self, runtime.foreign_[i]);
    runtime.count_end();
  }
  runtime.foreign_count_ = 0;
  if (runtime.first_ != nullptr) {
    poll_taken(self, *std::exchange(runtime.first_, nullptr));
    if (self.weak) [[unlikely]]
      return;
  }
  if (runtime.turn_ != nullptr) [[unlikely]] {
    poll(self, *std::exchange(runtime.turn_, nullptr));
    if (self.weak) return;
    runtime.end_group_turn();
  }
  while (runtime.budget_ > 0) {
    --runtime.budget_;
    const Picked picked = runtime.pick();
    if (picked.slot == nullptr) [[unlikely]] {
      if (runtime.weak_next_) break;
      runtime.drained_ = true;
      runtime.made_ready_ = runtime.port_.polls.load(std::memory_order_relaxed);  // all of it
      break;
    }
    if (picked.page != nullptr) [[likely]]
      poll_home(self, picked);
    else
      poll_taken(self, *picked.slot);
    if (self.weak) [[unlikely]]
      return;
  }
  runtime.set_current(nullptr);
}

/// A claim met the task while it ran: its bit is set again.
void ExecutorRuntime::rearm(Slot& slot) noexcept {
  if (is_home(slot, port_)) {
    if (notify_home(slot)) count_ready();
  } else {
    notify(slot);
  }
}

/// A yielded task goes behind the others: at home into the next pass, elsewhere to the end of the
/// loot, so that a borrowed task stays where its frame is warm until it waits for something.
void ExecutorRuntime::put_back(Slot& slot) noexcept {
  if (outcome_ == Outcome::left) {
    notify(slot);
    count_end();  // here; it was counted there when it was admitted
  } else if (is_home(slot, port_)) {
    if (notify_home(slot)) count_ready();
  } else if (!loot_.full() && !apart() && &slot != goes_home_) {
    add_loot(slot);
  } else {
    goes_home_ = nullptr;
    notify(slot);
  }
}

}  // namespace paceline::core
