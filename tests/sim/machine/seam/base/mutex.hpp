// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/mutex.hpp for the simulated machine: taking a lock is a scheduler point, and
// waiting for one blocks the simulated thread only. The unit tests check the ranks, not this.
#pragma once

#include <mutex>

#include "sim/machine/simulation.hpp"
#include "sim/machine/touch.hpp"

namespace paceline::core {

enum class LockRank : unsigned char {
  registry,
  runtime,
  crew,
  timers,
  sync,
  holders,
  growth,
  stop_list,
  frames,
  memory,
};

class Mutex {
 public:
  explicit constexpr Mutex(LockRank) noexcept {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept {
    if (simulation::self() == 0) return;  // nobody else takes part: start-up, or a dump at the end
    simulation::point(simulation::Point::lock);
    simulation::touch(this, simulation::Access::rmw);
    while (held_) simulation::block(this, kForever, simulation::Point::lock);
    held_ = true;
  }
  void unlock() noexcept {
    if (simulation::self() == 0) return;
    simulation::touch(this, simulation::Access::rmw);
    held_ = false;
    simulation::wake(this, false);
  }

 private:
  bool held_ = false;
};

using LockGuard = std::lock_guard<Mutex>;
using UniqueLock = std::unique_lock<Mutex>;

}  // namespace paceline::core
