// SPDX-License-Identifier: BSL-1.0
#include "exec/executor_runtime.hpp"

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <paceline/detail/awaitable.hpp>

#include "base/assert.hpp"
#include "base/probe.hpp"
#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "exec/poll.hpp"

namespace paceline::core {

namespace {

// While several classes are ready the class level is asked again after so many polls: often enough
// for windows of a millisecond, and seldom enough that its look at the clock costs a poll little.
constexpr unsigned kPollsPerChoice = 16;

template <std::size_t... I>
std::array<Sweep, qos_count> make_sweeps(Port& port, std::index_sequence<I...>) {
  return {Sweep(port.collections[I])...};
}

}  // namespace

ExecutorRuntime::ExecutorRuntime(Port& port, Worker& worker, const Surroundings& surroundings,
                                 std::size_t stack_bytes)
    : port_(port),
      worker_(&worker),
      surroundings_(surroundings),
      stack_bytes_(stack_bytes),
      turns_(surroundings.slice),
      weak_sweep_(port.weak()),
      class_turns_(surroundings.classes),
      fixed_watch_(surroundings.classes),
      sweeps_(make_sweeps(port, std::make_index_sequence<qos_count>())) {
  strong_ = new Executor(*this, stack_bytes);
}

ExecutorRuntime::Step ExecutorRuntime::step(unsigned budget) noexcept {
  budget_ = budget;
  drained_ = weak_next_ = false;
  if (group_book_ != nullptr) [[unlikely]]
    open_group_bill();
  if ((port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) != 0) [[unlikely]]
    take_turns();
  if (group_book_ != nullptr) [[unlikely]]
    forget_groups_gone();
  for (;;) {
    Executor& entered = *strong_;
    running_ = &entered;
    entered.enter();
    if (&entered.runtime() != this) [[unlikely]] {
      // The thread lost this runtime while the executor ran.
      entered.runtime().receive(entered);
      return Step::lost;
    }
    if (entered.standing == Standing::at_rest) [[likely]]
      break;
    replace_strong();
  }
  running_ = nullptr;
  if (spare_count_ > kSparesMax) trim_spares(kSparesMax);
  flush_freed();
  const bool weak_left = (port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) != 0;
  const bool all_rest = drained_ && !weak_left;
  if (group_book_ != nullptr) [[unlikely]]
    close_group_bill(all_rest);
  return all_rest ? Step::drained : Step::more;
}

/// The class whose turn it is. `ready` may have classes that only seem ready.
unsigned ExecutorRuntime::choose_class(Word ready, Nanos now) noexcept {
  const auto buckets = static_cast<policy::BucketMask>(ready);
  const policy::BucketMask seen = fixed_watch_.seen(buckets, now);
  const unsigned answer = class_turns_.pick(seen, now).bucket;
  chosen_among_ = ready;
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
  chosen_polls_ = kPollsPerChoice - 1;
  chosen_ =
      fixed_watch_.meant(foreseen_.answer, static_cast<policy::BucketMask>(ready), foreseen_.at);
  return chosen_;
}

inline Slot* ExecutorRuntime::pick(bool& taken) noexcept {
  taken = true;
  // Loot alternates with the worker's own tasks: neither waits for the other to run dry.
  if (!loot_.empty()) {
    loot_turn_ = !loot_turn_;
    if (loot_turn_) {
      if (Slot* slot = loot_.pop()) return slot;
    }
  }
  for (;;) {
    const Word here = port_.classes.load(std::memory_order_acquire) & Port::kClasses;  // M6
    if (here == 0) return loot_.pop();
    const Word ready = here | weak_classes_;
    unsigned chosen = chosen_;
    if (ready == chosen_among_ && chosen_polls_ != 0) [[likely]]
      --chosen_polls_;
    else
      chosen = choose_class(ready);
    if ((here & bit(chosen)) == 0) [[unlikely]] {
      weak_classes_ = weak_ready();
      weak_next_ = (weak_classes_ & bit(chosen)) != 0;
      if (weak_next_) return nullptr;
      continue;
    }
    unsigned arrived = 0;
    // Relaxed: a group that is missed here keeps its class raised.
    Slot* slot = port_.task_groups[chosen].load(std::memory_order_relaxed) == 0
                     ? sweeps_[chosen].next(arrived)
                     : pick_in_groups(chosen, arrived);
    if (slot != nullptr) {
      taken = false;
      note_class(chosen);
      if (arrived != 0) {
        // Whoever sent them may have found no helper that could run beside it; we ask again.
        ready_ += arrived - 1;
        became_ready();
      }
      return slot;
    }
    if (weak_next_) return nullptr;
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
    if (core::may_resume(slot, [&] { return runtime().stop_requested(*slot.root); })) [[likely]]
      return true;
    // Perhaps somebody lends it something, or does no longer.
    pass_on(slot);
    return false;
  }
  [[gnu::always_inline]] Rest run(Slot*& slot) noexcept {
    {
      ExecutorRuntime& before = runtime();
      bump(before.port_.polls);
      if (Executor::of(slot->resume) != nullptr) [[unlikely]]
        return run_parked(self, *slot);
      before.set_current(slot);
      before.outcome_ = Outcome::none;
      if (forced(Whim::ask)) before.port_.ask(Ask::slice);
    }
    resume_chain(self, std::coroutine_handle<>::from_address(slot->resume));
    ExecutorRuntime& now = runtime();
    slot = now.current();  // the task may have moved
    const auto root =
        std::coroutine_handle<>::from_address(slot->frame.load(std::memory_order_relaxed));
    if (root.done()) return Rest::finished;
    if (now.outcome_ == Outcome::none) now.outcome_ = how_it_rests(*slot);
    now.set_current(nullptr);
    const Rest rest = now.outcome_ == Outcome::suspended ? Rest::suspended : Rest::yielded;
    if (any_loans()) [[unlikely]]
      return rest_lent(*slot, rest, PollHost{self});  // a copy: this one stays in a register
    return rest;
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

/// The host of a task that was taken from another worker. Its class is known to its poller only:
/// until then it may end there, and its place serve another task.
struct ExecutorRuntime::TakenHost : PollHost {
  Rest run(Slot*& slot) noexcept {
    ExecutorRuntime& here = runtime();
    // What ran until now was of another class, and somebody keeps books.
    if (here.weak_preempted_ != 0) here.charge_strong(here.surroundings_.now());
    here.note_class(rank_of(*slot));
    return PollHost::run(slot);
  }
};

void ExecutorRuntime::poll_lent(Executor& self, const Slot& stand_in) noexcept {
  if (poll_behind(stand_in, PollHost{self}) != Claim::polled) bump(self.runtime().counters_.stale);
}

void ExecutorRuntime::poll_taken(Executor& self, Slot& slot) noexcept {
  Claim claim = poll_slot(slot, TakenHost{{self}});
  if (claim == Claim::loan) claim = poll_behind(slot, TakenHost{{self}});
  ExecutorRuntime& now = self.runtime();
  if (claim != Claim::polled) bump(now.counters_.stale);
  if (now.weak_preempted_ != 0 && !self.weak) now.charge_strong(now.surroundings_.now());
}

inline void ExecutorRuntime::poll(Executor& self, Slot& slot) noexcept {
  const Claim claim = poll_slot(slot, PollHost{self});
  if (claim == Claim::polled) [[likely]]
    return;
  if (claim == Claim::loan)
    poll_lent(self, slot);
  else
    bump(self.runtime().counters_.stale);
}

void ExecutorRuntime::run_polls(Executor& self) noexcept {
  // Good until a poll has parked the executor or cost its thread the runtime: then it is weak, and
  // this batch is over.
  ExecutorRuntime& runtime = self.runtime();
  for (unsigned i = 0; i < runtime.foreign_count_; ++i) {
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
    if (runtime.ready_ > 0) --runtime.ready_;
    poll(self, *std::exchange(runtime.turn_, nullptr));
    if (self.weak) return;
    runtime.end_group_turn();
  }
  while (runtime.budget_ > 0) {
    --runtime.budget_;
    bool taken;
    Slot* slot = runtime.pick(taken);
    if (slot == nullptr) {
      if (runtime.weak_next_) return;
      runtime.drained_ = true;
      runtime.ready_ = 0;
      return;
    }
    if (runtime.ready_ > 0) --runtime.ready_;
    if (taken)
      poll_taken(self, *slot);
    else
      poll(self, *slot);
    if (self.weak) [[unlikely]]
      return;
  }
}

bool ExecutorRuntime::post_transfer(std::coroutine_handle<> next) noexcept {
  if (!posted_) {
    posted_ = next;
    return true;
  }
  try {
    posted_more_.push_back(next);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void ExecutorRuntime::wake_home(Slot& slot) noexcept {
  bump(counters_.wakes);
  if (notify_home(slot)) {
    became_ready();
  } else {
    bump(counters_.coalesced);
  }
}

void ExecutorRuntime::admit_home(Slot& slot) noexcept {
  slot.state.admit();
  notify_home(slot);
  became_ready();
}

/// A claim met the task while it ran: its bit is set again.
void ExecutorRuntime::rearm(Slot& slot) noexcept {
  if (is_home(slot, port_)) {
    notify_home(slot);
    became_ready();
  } else {
    notify(slot);
  }
}

void ExecutorRuntime::give_back(Slot& slot) noexcept {
  Group& group = Group::of(slot);
  if (group.role == Role::home && is_home(slot, port_)) {
    TaskCollection::release(slot, true);
    return;
  }
  const unsigned page = group.page_index(slot);
  if (&group != freed_group_ || page != freed_page_) {
    flush_freed();
    freed_group_ = &group;
    freed_page_ = page;
  }
  freed_ |= bit(group.bit_index(slot));
}

void ExecutorRuntime::flush_freed() noexcept {
  if (freed_ == 0) return;
  TaskCollection::give_back(*freed_group_, freed_page_, std::exchange(freed_, 0));
  freed_group_ = nullptr;
}

void ExecutorRuntime::count_end() noexcept {
  // Release. Pairs: RuntimeCore::quiescent, which must not see an end before its spawn.
  counters_.completed.store(counters_.completed.load(std::memory_order_relaxed) + 1,
                            std::memory_order_release);  // M21
}

/// A yielded task goes behind the others: at home into the next pass, elsewhere to the end of the
/// loot, so that a borrowed task stays where its frame is warm until it waits for something.
void ExecutorRuntime::put_back(Slot& slot) noexcept {
  if (outcome_ == Outcome::left) {
    notify(slot);
    count_end();  // here; it was counted there when it was admitted
  } else if (is_home(slot, port_)) {
    notify_home(slot);
    became_ready();
  } else if (!loot_.full() && !apart() && &slot != goes_home_) {
    loot_.push(slot);
    ++ready_;
  } else {
    goes_home_ = nullptr;
    notify(slot);
  }
}

void Entry::throw_no_task(const char* what) {
  throw std::logic_error(std::string(what) +
                         " outside a task: spawn the coroutine on a runtime, or run it with "
                         "runtime::block_on");
}

}  // namespace paceline::core
