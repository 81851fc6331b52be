// SPDX-License-Identifier: BSL-1.0
// The lock seam: a mutex for cold paths, ranked so that a cycle is an assertion, not a rare hang.
// A lock is never held while user code, a waker or a destructor of user data runs (failure L24).
// Proof: tests/unit/base/mutex_test.cpp.
#pragma once

#include <mutex>

namespace paceline::core {

/// Order of acquisition: a thread may only take a lock of a higher rank than those it holds.
enum class LockRank : unsigned char {
  registry = 1,   // process-wide list of runtimes
  runtime = 2,    // start, stop, waiting for idle
  crew = 3,       // spare threads of one runtime
  timers = 4,     // one worker's wheel
  sync = 5,       // the queues of mutexes
  holders = 6,    // which mutexes tasks hold, and what they are lent for it
  growth = 7,     // one collection's directory
  stop_list = 8,  // stop sources of one runtime
  frames = 9,     // a frame heap shared by outside threads
  memory = 10,    // pools of chunks, stacks, heaps
};

#ifndef NDEBUG
void lock_rank_enter(LockRank rank) noexcept;
void lock_rank_leave(LockRank rank) noexcept;
#else
inline void lock_rank_enter(LockRank) noexcept {}
inline void lock_rank_leave(LockRank) noexcept {}
#endif

class Mutex {
 public:
  explicit constexpr Mutex(LockRank rank) noexcept : rank_(rank) {}
  LockRank rank() const noexcept { return rank_; }
  void lock() {
    lock_rank_enter(rank_);
    mutex_.lock();
  }
  void unlock() {
    mutex_.unlock();
    lock_rank_leave(rank_);
  }
  std::mutex& native() noexcept { return mutex_; }

 private:
  std::mutex mutex_;
  LockRank rank_;
};

using LockGuard = std::lock_guard<Mutex>;
using UniqueLock = std::unique_lock<Mutex>;

}  // namespace paceline::core
