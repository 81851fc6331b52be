// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/mutex.hpp: a lock whose acquisition is a scheduling point and blocks the
// virtual thread only. The ranks are checked by the unit tests, not here.
#pragma once

#include <mutex>

#include "explorer/point.hpp"

namespace paceline::core {

enum class LockRank : unsigned char {
  registry = 1,
  runtime = 2,
  crew = 3,
  timers = 4,
  sync = 5,
  holders = 6,
  growth = 7,
  stop_list = 8,
  frames = 9,
  memory = 10,
};

class Mutex {
 public:
  explicit constexpr Mutex(LockRank) noexcept {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept { model::lock(held_); }
  void unlock() noexcept { model::unlock(held_); }

 private:
  bool held_ = false;
};

using LockGuard = std::lock_guard<Mutex>;
using UniqueLock = std::unique_lock<Mutex>;

}  // namespace paceline::core
