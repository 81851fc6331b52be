// SPDX-License-Identifier: BSL-1.0
// The mutex of tasks: its queue, and what its waiters lend to whoever holds it.
// Flow rooms: suspend, wake. Any thread; waiters by their pollers.
// Bits are set and tasks completed after the locks are released: whoever that wakes may come here.
// Proof: tests/unit/api/mutex_test.cpp.
#include <paceline/mutex.hpp>

#include <array>

#include "base/assert.hpp"
#include "base/mutex.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "machine/machine.hpp"

namespace paceline::detail {

using core::Lender;
using core::LockGuard;
using core::Slot;

namespace {

// A fork holds all of them at once, of which ThreadSanitizer knows at most 64 of a thread.
constexpr std::size_t kStripes = 16;

/// A lock for the mutexes whose addresses fall here.
struct alignas(core::kCacheLine) Queues {
  core::Mutex lock{core::LockRank::sync};
};
/// A lock for the roots whose addresses fall here, and the mutexes that they hold.
struct alignas(core::kCacheLine) Holders {
  core::Mutex lock{core::LockRank::holders};
  MutexState* held = nullptr;
};
constinit std::array<Queues, kStripes> queues;
constinit std::array<Holders, kStripes> holders;

/// From the start of whatever program uses mutexes.
[[maybe_unused]] const bool kept_across_fork = [] {
  for (Queues& each : queues) core::machine::keep_across_fork(each.lock);
  for (Holders& each : holders) core::machine::keep_across_fork(each.lock);
  return true;
}();

std::size_t stripe_of(const void* address) noexcept {
  const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(address));
  return static_cast<std::size_t>(((bits >> 4) * 0x9E37'79B9'7F4A'7C15u) >> 60);
}
core::Mutex& lock_of(const MutexState& state) noexcept { return queues[stripe_of(&state)].lock; }
Holders& holders_of(const PromiseBase* root) noexcept { return holders[stripe_of(root)]; }

PromiseBase* current_root() noexcept {
  const Slot* task = core::machine::own_record().task;
  return task != nullptr ? task->root : nullptr;
}

/// Stand-ins whose bits are to be set when no lock is held. Their memory is never unmapped.
class Bits {
 public:
  void add(Slot& stand_in) noexcept { slots_[count_++] = &stand_in; }
  void set() noexcept {
    for (unsigned i = 0; i < count_; ++i) core::notify(*slots_[i]);
    count_ = 0;
  }

 private:
  std::array<Slot*, 4> slots_{};
  unsigned count_ = 0;
};

// --- the holder; with the mutex's queue locked ---

void take(MutexState& state, PromiseBase* root) noexcept {
  state.locked = true;
  if (root == nullptr) return;
  // Relaxed: the promise's destructor is ordered behind this by whatever orders it behind the task.
  if ((root->lent.load(std::memory_order_relaxed) & core::kHasHeld) == 0) {
    root->lent.fetch_or(core::kHasHeld, std::memory_order_relaxed);
  }
  Holders& group = holders_of(root);
  const LockGuard lock(group.lock);
  state.holder.store(root, std::memory_order_relaxed);
  state.previous_held = nullptr;
  state.next_held = std::exchange(group.held, &state);
  if (state.next_held != nullptr) state.next_held->previous_held = &state;
}

void unlist(Holders& group, MutexState& state) noexcept {
  MutexState*& before =
      state.previous_held != nullptr ? state.previous_held->next_held : group.held;
  before = state.next_held;
  if (state.next_held != nullptr) state.next_held->previous_held = state.previous_held;
  state.next_held = state.previous_held = nullptr;
  state.holder.store(nullptr, std::memory_order_relaxed);
}

/// Calls f(holders, root) while the holder, if there is one, cannot end.
template <class F>
void with_holder(MutexState& state, F&& f) noexcept {
  PromiseBase* root = state.holder.load(std::memory_order_relaxed);
  if (root == nullptr) return;
  Holders& group = holders_of(root);
  const LockGuard lock(group.lock);
  if (state.holder.load(std::memory_order_relaxed) == root) f(group, *root);
}

void take_back(MutexState& state, Bits& bits) noexcept {
  if (!state.lent) return;
  Slot& stand_in = Slot::of(std::exchange(state.lent, {}));
  if (core::take_back(stand_in, Lender::mutex)) bits.add(stand_in);
}

void release(MutexState& state, Bits& bits) noexcept {
  with_holder(state, [&](Holders& group, PromiseBase&) {
    take_back(state, bits);
    unlist(group, state);
  });
}

/// The most important class that waits, among those of the holder's runtime.
unsigned waiting_rank(const MutexState& state, const PromiseBase& root) noexcept {
  const std::uint32_t runtime = root.runtime_id.load(std::memory_order_relaxed);
  for (const MutexWaiter* each = state.first; each != nullptr; each = each->next) {
    if (each->root->runtime_id.load(std::memory_order_relaxed) == runtime) return each->rank;
  }
  return core::kNoRank;
}

/// The holder is lent what waits now.
void lend_again(MutexState& state, Bits& bits) noexcept {
  with_holder(state, [&](Holders&, PromiseBase& root) {
    if (state.first == nullptr && !state.lent) return;
    const unsigned rank = waiting_rank(state, root);
    if (state.lent) {
      const Slot& stand_in = Slot::of(state.lent);
      if (core::class_of(stand_in) == rank && core::leads_to(stand_in, root)) return;
    }
    const core::Lent lent =
        rank != core::kNoRank ? core::lend(root, rank, Lender::mutex) : core::Lent{};
    if (lent.news) bits.add(*lent.stand_in);
    take_back(state, bits);
    if (lent.stand_in != nullptr) state.lent = lent.stand_in->ref();
  });
}

// --- the queue ---

void enqueue(MutexState& state, MutexWaiter& waiter) noexcept {
  MutexWaiter* before = state.last;
  while (before != nullptr && (before->rank > waiter.rank ||
                               (before->rank == waiter.rank && before->ticket > waiter.ticket))) {
    before = before->previous;
  }
  waiter.previous = before;
  waiter.next = std::exchange(before != nullptr ? before->next : state.first, &waiter);
  (waiter.next != nullptr ? waiter.next->previous : state.last) = &waiter;
  waiter.queued = true;
}

void dequeue(MutexState& state, MutexWaiter& waiter) noexcept {
  (waiter.previous != nullptr ? waiter.previous->next : state.first) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : state.last) = waiter.previous;
  waiter.queued = false;
}

bool withdraw(Suspension& where) noexcept {
  auto& waiter = static_cast<MutexWaiter&>(where);
  MutexState& state = *waiter.state;
  Bits bits;
  {
    const LockGuard lock(lock_of(state));
    if (!waiter.queued) return false;  // it is being given the mutex
    dequeue(state, waiter);
    lend_again(state, bits);
  }
  bits.set();
  return waiter.cancelled = true;
}

/// The waiter's own class has changed, since somebody lends it something or does no longer.
void rank_again(Suspension& where, TaskRef waiting) noexcept {
  auto& waiter = static_cast<MutexWaiter&>(where);
  MutexState& state = *waiter.state;
  const unsigned rank = core::rank_of(Slot::of(waiting));
  Bits bits;
  {
    const LockGuard lock(lock_of(state));
    if (!waiter.queued || waiter.rank == rank) return;
    dequeue(state, waiter);
    waiter.rank = rank;
    enqueue(state, waiter);
    lend_again(state, bits);
  }
  bits.set();
}

}  // namespace

const SuspensionOps mutex_ops{"mutex", nullptr, &withdraw, &rank_again};

void MutexState::require_free() const noexcept {
  core::check(!locked, "a mutex is destroyed while nobody holds it");
}

bool mutex_try_lock(MutexState& state) noexcept {
  const LockGuard lock(lock_of(state));
  if (state.locked) return false;
  take(state, current_root());
  return true;
}

bool mutex_wait(MutexWaiter& waiter) noexcept {
  MutexState& state = *waiter.state;
  const Slot& task = *core::machine::own_record().task;
  const unsigned rank = core::rank_of(task);
  Bits bits;
  {
    const LockGuard lock(lock_of(state));
    if (!state.locked) {
      take(state, task.root);
      return false;
    }
    waiter.rank = rank;
    waiter.ticket = state.tickets++;
    enqueue(state, waiter);
    lend_again(state, bits);
  }
  bits.set();
  return true;
}

void mutex_unlock(MutexState& state) noexcept {
  Bits bits;
  MutexWaiter* next = nullptr;
  {
    const LockGuard lock(lock_of(state));
    release(state, bits);
    next = state.first;
    if (next == nullptr) {
      state.locked = false;
    } else {
      dequeue(state, *next);
      take(state, next->root);
      lend_again(state, bits);
    }
  }
  bits.set();
  if (next != nullptr) complete(*next);
}

void mutex_moved(MutexState& state) noexcept {
  PromiseBase* const root = current_root();
  if (state.holder.load(std::memory_order_relaxed) == root) return;
  Bits bits;
  {
    const LockGuard lock(lock_of(state));
    release(state, bits);
    take(state, root);
    lend_again(state, bits);
  }
  bits.set();
}

void leave_mutexes(PromiseBase& promise) noexcept {
  Holders& group = holders_of(&promise);
  const LockGuard lock(group.lock);
  for (MutexState* each = group.held; each != nullptr;) {
    MutexState* const next = each->next_held;
    if (each->holder.load(std::memory_order_relaxed) == &promise) {
      each->lent = {};
      unlist(group, *each);
    }
    each = next;
  }
}

}  // namespace paceline::detail
