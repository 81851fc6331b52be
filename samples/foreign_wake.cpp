// SPDX-License-Identifier: BSL-1.0
// foreign_wake: a task waits for something that happens outside the runtime. A thread that knows
// nothing of Paceline, or a signal handler, wakes it through a paceline::waker.
#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>
#include <utility>

#include <paceline/paceline.hpp>

/// Rung from anywhere, any number of times; one task may wait for it.
class Doorbell {
 public:
  /// Any thread, signal handlers included: it takes no lock and allocates nothing.
  void ring() noexcept {
    rung_.store(true);
    if (listening_.load()) listener_.wake();
  }

  paceline::task<void> wait() {
    const auto rung = [this]() noexcept { return rung_.load(); };
    const auto listen = [this](paceline::waker self) {
      listener_ = self;
      listening_.store(true);
      // Rung just before anybody listened? Either ring() saw us listening, or we see it rung.
      if (rung_.load()) self.wake();
    };
    // In a statement of its own: g++ 12 miscompiles lambdas inside a co_await expression.
    auto until_rung = paceline::suspend_until(rung, listen);
    co_await std::move(until_rung);
  }

 private:
  std::atomic<bool> rung_{false};
  std::atomic<bool> listening_{false};
  paceline::waker listener_;  // written before listening_, read after it
};

namespace {

Doorbell signal_bell;  // a signal handler reaches only what is global

void on_signal(int) { signal_bell.ring(); }

}  // namespace

int main() {
  paceline::runtime rt;

  Doorbell thread_bell;
  auto first_guest = rt.spawn(thread_bell.wait());
  std::thread stranger([&thread_bell] { thread_bell.ring(); });
  first_guest.join();
  stranger.join();
  std::cout << "a thread rang\n";

  std::signal(SIGUSR1, &on_signal);
  auto second_guest = rt.spawn(signal_bell.wait());
  std::raise(SIGUSR1);  // the handler runs on this thread, before raise returns
  second_guest.join();
  std::cout << "a signal handler rang\n";
}
