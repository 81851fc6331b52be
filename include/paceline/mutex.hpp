// SPDX-License-Identifier: BSL-1.0
// mutex: one task at a time. Who holds it is lent the class of those who wait for it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>

namespace paceline {

namespace detail {

struct MutexWaiter;

/// What a mutex consists of.
///
/// Writers: whoever locks, unlocks, waits or withdraws, under a lock that mutexes share by address.
/// `holder`, `lent` and the links of the list of held mutexes: under a lock that holders share,
/// which a task that ends takes too.
/// I1: while nobody holds it nobody waits; it is handed over to the first waiter directly.
/// I2: `holder` is alive or null, for a task that ends leaves the mutexes that name it.
struct MutexState {
  constexpr MutexState() noexcept = default;
  MutexState(const MutexState&) = delete;
  MutexState& operator=(const MutexState&) = delete;
  ~MutexState() { require_free(); }

  void require_free() const noexcept;

  bool locked = false;
  // The most important waiter first, then the one that came first.
  MutexWaiter* first = nullptr;
  MutexWaiter* last = nullptr;
  std::uint64_t tickets = 0;

  Atomic<PromiseBase*> holder{nullptr};  // the root that is lent to; null: none
  TaskRef lent;                          // its stand-in for the waiters' class
  MutexState* next_held = nullptr;
  MutexState* previous_held = nullptr;
};

extern const SuspensionOps mutex_ops;

/// A task in the queue of a mutex. In the awaiter.
struct MutexWaiter : Suspension {
  explicit MutexWaiter(MutexState& wanted) noexcept : Suspension(mutex_ops), state(&wanted) {}

  MutexState* state;
  MutexWaiter* next = nullptr;
  MutexWaiter* previous = nullptr;
  std::uint64_t ticket = 0;
  unsigned rank = 0;
  bool queued = false;
  bool cancelled = false;
};

/// Takes it for the current task, or for nobody in particular outside one. False: it is held.
bool mutex_try_lock(MutexState& state) noexcept;
/// Queues the current task, which is suspended at `waiter`. False: it has the mutex already.
bool mutex_wait(MutexWaiter& waiter) noexcept;
void mutex_unlock(MutexState& state) noexcept;
/// The guard came to the current task, perhaps from another one.
void mutex_moved(MutexState& state) noexcept;
/// The root's promise dies: mutexes that it still holds are held by nobody in particular.
void leave_mutexes(PromiseBase& promise) noexcept;

class MutexAwaiter;

/// What mutex::lock() gives, to be awaited.
class MutexLock {
 public:
  explicit MutexLock(MutexState& state) noexcept : state_(&state) {}
  MutexAwaiter operator co_await() const noexcept;

 private:
  MutexState* state_;
};

}  // namespace detail

/// Excludes tasks from each other; a task that waits suspends, its worker goes on.
///
/// `const auto guard = co_await m.lock();`. Waiters get it in the order of their classes, those of
/// one class in the order in which they came. While a more important task of the same runtime
/// waits, the holder has its turns in that one's class, and so has what the holder waits for
/// itself. Not recursive: a task that locks it twice waits until it is cancelled. May be a static
/// object, and is 80 bytes. Destroying it while somebody holds it or waits ends the program with a
/// message.
class mutex {
 public:
  constexpr mutex() noexcept = default;

  /// Holds the mutex as long as it lives. May be moved, also to another task, which is then the
  /// one that is lent to. An empty one holds nothing.
  class [[nodiscard("the guard holds the mutex only while it lives")]] guard {
   public:
    guard() noexcept = default;
    guard(guard&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {
      if (state_ != nullptr) detail::mutex_moved(*state_);
    }
    guard& operator=(guard&& other) noexcept {
      if (this == &other) return *this;
      unlock();
      state_ = std::exchange(other.state_, nullptr);
      if (state_ != nullptr) detail::mutex_moved(*state_);
      return *this;
    }
    ~guard() { unlock(); }

    /// Does it hold a mutex?
    explicit operator bool() const noexcept { return state_ != nullptr; }

    /// Gives the mutex to the first waiter, if there is one. Any thread; blocks nothing; empties
    /// the guard.
    void unlock() noexcept {
      if (state_ != nullptr) detail::mutex_unlock(*std::exchange(state_, nullptr));
    }

   private:
    friend class mutex;
    friend class detail::MutexAwaiter;
    explicit guard(detail::MutexState& state) noexcept : state_(&state) {}
    detail::MutexState* state_ = nullptr;
  };

  /// Waits until the task has the mutex and gives a guard. Task only (std::logic_error elsewhere).
  /// Cancelling throws operation_cancelled and loses the place in the queue; a task that is asked
  /// to stop while it is being given the mutex gets it.
  auto lock() noexcept { return detail::MutexLock(state_); }

  /// A guard, empty if somebody holds the mutex. Any thread; suspends and blocks nobody. Outside a
  /// task nobody is lent anything.
  guard try_lock() noexcept { return detail::mutex_try_lock(state_) ? guard(state_) : guard(); }

 private:
  detail::MutexState state_;
};

namespace detail {

class MutexAwaiter : public NativeAwaiter {
 public:
  explicit MutexAwaiter(MutexState& state) noexcept : where_(state) {}
  MutexAwaiter(const MutexAwaiter&) = delete;
  MutexAwaiter& operator=(const MutexAwaiter&) = delete;

  bool await_ready() {
    require_task("mutex::lock");
    return mutex_try_lock(*where_.state);
  }
  bool await_suspend(std::coroutine_handle<> frame) {
    if (!suspend_at(where_, frame)) {
      where_.cancelled = true;
      return false;
    }
    if (mutex_wait(where_)) return true;
    not_suspended();  // it was unlocked meanwhile
    return false;
  }
  mutex::guard await_resume() {
    if (where_.cancelled) throw operation_cancelled();
    return mutex::guard(*where_.state);
  }

 private:
  MutexWaiter where_;
};

inline MutexAwaiter MutexLock::operator co_await() const noexcept { return MutexAwaiter(*state_); }

}  // namespace detail

}  // namespace paceline
