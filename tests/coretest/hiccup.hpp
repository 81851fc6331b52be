// SPDX-License-Identifier: BSL-1.0
// Hiccup: how long this machine keeps a plain thread waiting that only wants to run every few
// milliseconds. What the machine does to everybody must not be blamed on the runtime, so every
// lateness bound grows by it. There is one such thread on each CPU: a loaded or virtual machine may
// let one CPU stand still for most of a second, with the worker that runs there, while the others
// go on as if nothing were wrong.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <thread>

#include <sched.h>

#include "clock.hpp"

namespace coretest {

class Hiccup {
 public:
  Hiccup() {
    if (time_is_virtual()) return;  // nobody is ever kept waiting
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_ZERO(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed)) canaries_.emplace_back();
    }
    if (canaries_.empty()) canaries_.emplace_back();  // more CPUs than we can name: watch anywhere
    std::size_t next = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed)) begin(canaries_[next++], cpu);
    }
    if (next == 0) begin(canaries_[0], -1);
  }
  ~Hiccup() { stop(); }
  Hiccup(const Hiccup&) = delete;
  Hiccup& operator=(const Hiccup&) = delete;

  void stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    for (Canary& canary : canaries_) {
      if (canary.thread.joinable()) canary.thread.join();
    }
  }

  /// The longest so far, nanoseconds, counting those that may be under way.
  std::int64_t worst_ns() const noexcept {
    std::int64_t worst = worst_.load(std::memory_order_relaxed);
    if (stopping_.load(std::memory_order_relaxed)) return worst;
    const std::int64_t now = now_ns();
    for (const Canary& canary : canaries_) {
      const std::int64_t late = now - canary.last.load(std::memory_order_relaxed) - kEvery;
      if (late > worst) worst = late;
    }
    return worst;
  }

 private:
  static constexpr std::int64_t kEvery = 5 * kMilli;

  struct Canary {
    std::atomic<std::int64_t> last{now_ns()};
    std::thread thread;
  };

  void begin(Canary& canary, int cpu) {
    canary.thread = std::thread([this, &canary, cpu] { watch(canary, cpu); });
  }

  void watch(Canary& canary, int cpu) noexcept {
    if (cpu >= 0) {
      cpu_set_t here;
      CPU_ZERO(&here);
      CPU_SET(cpu, &here);
      // If it fails the canary watches wherever it runs.
      ::sched_setaffinity(0, sizeof here, &here);
    }
    while (!stopping_.load(std::memory_order_relaxed)) {
      const timespec step{0, kEvery};
      ::nanosleep(&step, nullptr);
      const std::int64_t now = now_ns();
      const std::int64_t late = now - canary.last.load(std::memory_order_relaxed) - kEvery;
      std::int64_t worst = worst_.load(std::memory_order_relaxed);
      while (late > worst &&
             !worst_.compare_exchange_weak(worst, late, std::memory_order_relaxed)) {
      }
      canary.last.store(now, std::memory_order_relaxed);
    }
  }

  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> worst_{0};
  std::deque<Canary> canaries_;  // complete before the first thread begins
};

}  // namespace coretest
