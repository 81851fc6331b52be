// SPDX-License-Identifier: BSL-1.0
// Coroutine types and awaiters of "somebody else's library": they know nothing of Paceline, resume
// the handle they are given directly, and from whatever thread they like.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace paceline_test {

/// Starts at once, nobody awaits it; its end can be watched from any thread.
class Eager {
 public:
  struct State {
    std::atomic<bool> ended{false};
    std::exception_ptr error;
  };
  struct promise_type {
    std::shared_ptr<State> state = std::make_shared<State>();
    Eager get_return_object() { return Eager(state); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept { state->ended = true; }
    void unhandled_exception() noexcept {
      state->error = std::current_exception();
      state->ended = true;
    }
  };

  bool ended() const noexcept { return state_->ended; }
  /// Rethrows what the coroutine threw; only after it has ended.
  void rethrow() const {
    if (state_->error) std::rethrow_exception(state_->error);
  }

 private:
  explicit Eager(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// A lazy coroutine with symmetric transfer both ways, like most libraries' task type.
class Lazy {
 public:
  struct promise_type {
    std::coroutine_handle<> awaiter;
    std::exception_ptr error;
    int value = 0;
    Lazy get_return_object() noexcept {
      return Lazy(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Back {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          return self.promise().awaiter;
        }
        void await_resume() noexcept {}
      };
      return Back{};
    }
    void return_value(int result) noexcept { value = result; }
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };

  Lazy(Lazy&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Lazy& operator=(Lazy&&) = delete;
  ~Lazy() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    frame_.promise().awaiter = awaiter;
    return frame_;
  }
  int await_resume() {
    if (frame_.promise().error) std::rethrow_exception(frame_.promise().error);
    return frame_.promise().value;
  }

 private:
  explicit Lazy(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

/// Suspends; somebody calls resume() later, from any thread. Once per suspension.
class Parked {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) noexcept {
    coroutine_.store(coroutine.address(), std::memory_order_release);
  }
  void await_resume() const noexcept {}

  bool waits() const noexcept { return coroutine_.load(std::memory_order_acquire) != nullptr; }
  void resume() { std::coroutine_handle<>::from_address(coroutine_.exchange(nullptr)).resume(); }

 private:
  std::atomic<void*> coroutine_{nullptr};
};

/// Resumes from a thread of its own, which nobody but this object knows.
class OnNewThread {
 public:
  explicit OnNewThread(int value) noexcept : value_(value) {}
  OnNewThread(const OnNewThread&) = delete;
  OnNewThread& operator=(const OnNewThread&) = delete;
  ~OnNewThread() {
    if (thread_.joinable()) thread_.join();
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    thread_ = std::thread([this, coroutine] {
      result_ = value_;
      coroutine.resume();
    });
  }
  int await_resume() const noexcept { return result_; }

 private:
  int value_;
  int result_ = 0;
  std::thread thread_;
};

}  // namespace paceline_test
