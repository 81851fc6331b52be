// SPDX-License-Identifier: BSL-1.0
// A one-shot hand-over between two tasks, made of the public waker: what wake/* measures.
#pragma once

#include <atomic>
#include <memory>

#include <paceline/paceline.hpp>

namespace pacebench {

/// Shared by a sender and a receiver; heap-allocated once, like other runtimes' one-shot channels.
class Oneshot {
 public:
  void send() noexcept {
    // Whoever comes second sees the other: kSent is set before `waker_` is read, and the receiver
    // writes `waker_` before it sets kWaiting.
    if ((state_.fetch_or(kSent, std::memory_order_acq_rel) & kWaiting) != 0) waker_.wake();
  }
  auto receive() {
    return paceline::suspend_until(
        [this]() noexcept { return (state_.load(std::memory_order_acquire) & kSent) != 0; },
        [this](paceline::waker w) {
          waker_ = w;
          if ((state_.fetch_or(kWaiting, std::memory_order_acq_rel) & kSent) != 0) w.wake();
        });
  }

 private:
  static constexpr unsigned kSent = 1;
  static constexpr unsigned kWaiting = 2;
  std::atomic<unsigned> state_{0};
  paceline::waker waker_;
};

}  // namespace pacebench
