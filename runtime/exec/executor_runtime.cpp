// SPDX-License-Identifier: BSL-1.0
#include "exec/executor_runtime.hpp"

#include <new>
#include <utility>

#include <paceline/detail/awaitable.hpp>

#include "base/assert.hpp"
#include "exec/completion.hpp"
#include "exec/poll.hpp"

namespace paceline::core {

namespace {

// Polls per round and class, most important first; documented in <paceline/qos.hpp>. Powers of two
// from 32 to 1: each class gets at least as much as all less important ones together.
constexpr std::array<unsigned, qos_count> kWeights = {32, 16, 8, 4, 2, 1};

template <std::size_t... I>
std::array<Sweep, qos_count> make_sweeps(Port& port, std::index_sequence<I...>) {
  return {Sweep(port.collections[I])...};
}

}  // namespace

ExecutorRuntime::ExecutorRuntime(Port& port, Worker& worker, const Surroundings& surroundings,
                                 std::size_t stack_bytes)
    : port_(port),
      worker_(worker),
      surroundings_(surroundings),
      stack_bytes_(stack_bytes),
      credit_(kWeights),
      has_credit_(all_bits(qos_count)),
      sweeps_(make_sweeps(port, std::make_index_sequence<qos_count>())) {
  strong_ = new Executor(*this, stack_bytes);
}

bool ExecutorRuntime::step(unsigned budget) noexcept {
  budget_ = budget;
  drained_ = false;
  running_ = strong_;
  strong_->enter();
  while (strong_->standing != Standing::at_rest) [[unlikely]] {
    replace_strong();
    strong_->enter();
  }
  running_ = nullptr;
  if (spare_count_ > kSparesMax) trim_spares(kSparesMax);
  flush_freed();
  return drained_;
}

inline Slot* ExecutorRuntime::pick() noexcept {
  // Loot alternates with the worker's own tasks: neither waits for the other to run dry.
  if (!loot_.empty()) {
    loot_turn_ = !loot_turn_;
    if (loot_turn_) {
      if (Slot* slot = loot_.pop()) return slot;
    }
  }
  for (;;) {
    const Word ready = port_.classes.load(std::memory_order_acquire);  // M6
    if (ready == 0) return loot_.pop();
    if ((ready & has_credit_) == 0) {
      credit_ = kWeights;
      has_credit_ = all_bits(qos_count);
    }
    const unsigned chosen = lowest(ready & has_credit_);
    unsigned arrived = 0;
    if (Slot* slot = sweeps_[chosen].next(arrived)) {
      if (--credit_[chosen] == 0) has_credit_ &= ~bit(chosen);
      if (chosen != port_.run_class.load(std::memory_order_relaxed)) note_class(chosen);
      if (arrived != 0) {
        // Whoever sent them may have found no helper that could run beside it; we ask again.
        ready_ += arrived - 1;
        became_ready();
      }
      return slot;
    }
    // The sweep found nothing and lowered the class's bit; look again.
  }
}

void ExecutorRuntime::resume_posted() noexcept {
  while (posted_) {
    const auto next = std::exchange(posted_, nullptr);
    if (!posted_more_.empty()) [[unlikely]] {
      posted_ = posted_more_.front();
      posted_more_.erase(posted_more_.begin());
    }
    next.resume();
  }
}

/// A poll ended without a word about the task: it stands in a foreign awaitable.
Outcome ExecutorRuntime::how_it_rests(Slot& slot) noexcept {
  check(slot.stay != nullptr, "a poll ends with the task's end or a suspension");
  slot.resume = slot.stay->frame.address();
  slot.waiting = slot.stay;
  return stay_is_over(*slot.stay) ? Outcome::yielded : Outcome::suspended;
}

/// The host of poll_slot: real coroutines on this runtime.
struct ExecutorRuntime::PollHost {
  ExecutorRuntime& runtime;

  bool may_resume(Slot& slot) noexcept {
    return core::may_resume(slot, [&] { return runtime.stop_requested(*slot.root); });
  }
  [[gnu::always_inline]] Rest run(Slot*& slot) noexcept {
    bump(runtime.port_.polls);
    if (Executor::of(slot->resume) != nullptr) [[unlikely]]
      return runtime.run_parked(*slot);
    runtime.current_ = slot;
    runtime.outcome_ = Outcome::none;
    runtime.resume_chain(std::coroutine_handle<>::from_address(slot->resume));
    slot = runtime.current_;  // the task may have moved
    const auto root =
        std::coroutine_handle<>::from_address(slot->frame.load(std::memory_order_relaxed));
    if (root.done()) return Rest::finished;
    if (runtime.outcome_ == Outcome::none) runtime.outcome_ = runtime.how_it_rests(*slot);
    runtime.current_ = nullptr;
    return runtime.outcome_ == Outcome::suspended ? Rest::suspended : Rest::yielded;
  }
  void finish(Slot& slot) noexcept {
    // The body is over: what its arguments' destructors do is done outside the task, here as when a
    // joiner frees the frame.
    runtime.current_ = nullptr;
    core::finish(runtime, slot);
  }
  void rearm(Slot& slot) noexcept { runtime.rearm(slot); }
  void put_back(Slot& slot) noexcept { runtime.put_back(slot); }
};

inline void ExecutorRuntime::poll(Slot& slot) noexcept {
  if (poll_slot(slot, PollHost{*this}) != Claim::polled) bump(counters_.stale);
}

void ExecutorRuntime::run_polls(Executor& self) noexcept {
  for (unsigned i = 0; i < foreign_count_; ++i) {
    resume_chain(foreign_[i]);
    count_end();
  }
  foreign_count_ = 0;
  if (first_ != nullptr) {
    poll(*std::exchange(first_, nullptr));
    if (self.weak) [[unlikely]]
      return;
  }
  while (budget_ > 0) {
    --budget_;
    Slot* slot = pick();
    if (slot == nullptr) {
      drained_ = true;
      ready_ = 0;
      return;
    }
    if (ready_ > 0) --ready_;
    poll(*slot);
    if (self.weak) [[unlikely]]
      return;  // it was parked in that poll, which is over now
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
  } else if (!loot_.full()) {
    loot_.push(slot);
    ++ready_;
  } else {
    notify(slot);
  }
}

}  // namespace paceline::core
