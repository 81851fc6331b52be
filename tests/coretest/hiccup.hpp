// SPDX-License-Identifier: BSL-1.0
// Hiccup: how long this machine keeps a plain thread waiting that only wants to run each
// millisecond. What the machine does to everybody must not be blamed on the runtime, so every
// lateness bound grows by it.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <thread>

#include "clock.hpp"

namespace coretest {

class Hiccup {
 public:
  Hiccup() : thread_([this] { watch(); }) {}
  ~Hiccup() { stop(); }
  Hiccup(const Hiccup&) = delete;
  Hiccup& operator=(const Hiccup&) = delete;

  void stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }

  /// The longest so far, nanoseconds, counting the one that may be under way.
  std::int64_t worst_ns() const noexcept {
    const std::int64_t now = now_ns() - last_.load(std::memory_order_relaxed) - kEvery;
    const std::int64_t worst = worst_.load(std::memory_order_relaxed);
    return now > worst ? now : worst;
  }

 private:
  static constexpr std::int64_t kEvery = kMilli;

  void watch() noexcept {
    while (!stopping_.load(std::memory_order_relaxed)) {
      const timespec step{0, kEvery};
      ::nanosleep(&step, nullptr);
      const std::int64_t now = now_ns();
      const std::int64_t late = now - last_.load(std::memory_order_relaxed) - kEvery;
      if (late > worst_.load(std::memory_order_relaxed)) {
        worst_.store(late, std::memory_order_relaxed);
      }
      last_.store(now, std::memory_order_relaxed);
    }
    last_.store(now_ns(), std::memory_order_relaxed);
  }

  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> last_{now_ns()};
  std::atomic<std::int64_t> worst_{0};
  std::thread thread_;
};

}  // namespace coretest
