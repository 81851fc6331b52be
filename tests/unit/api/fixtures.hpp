// SPDX-License-Identifier: BSL-1.0
// What the tests of the public API share: a gate tasks wait at, counted objects, the message of an
// expected exception, and what was written to stderr meanwhile.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include <paceline/paceline.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/sanitized.hpp"

namespace paceline_test {

/// Opened once, by anybody; tasks wait at it with `co_await gate.pass()`. Outlives its tasks.
class Gate {
 public:
  void open() noexcept {
    open_.store(true, std::memory_order_seq_cst);
    std::vector<paceline::waker> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(wakers_);
    }
    for (const paceline::waker& each : waiting) each.wake();
  }

  bool is_open() const noexcept { return open_.load(std::memory_order_seq_cst); }

  /// How many tasks have come to the closed gate.
  std::size_t arrived() const noexcept { return arrived_.load(std::memory_order_seq_cst); }

  auto pass() {
    return paceline::suspend_until([this]() noexcept { return is_open(); },
                                   [this](paceline::waker task) { admit(task); });
  }

 private:
  void admit(paceline::waker task) {
    {
      const std::lock_guard lock(mutex_);
      wakers_.push_back(task);
    }
    arrived_.fetch_add(1, std::memory_order_seq_cst);
    if (is_open()) task.wake();  // it opened between the look and the registration
  }

  std::atomic<bool> open_{false};
  std::atomic<std::size_t> arrived_{0};
  std::mutex mutex_;
  std::vector<paceline::waker> wakers_;
};

/// An object whose living instances are counted, in the counter it was given.
class Counted {
 public:
  explicit Counted(std::atomic<int>& live) noexcept : live_(&live) { live_->fetch_add(1); }
  Counted(const Counted& other) noexcept : live_(other.live_) { live_->fetch_add(1); }
  Counted(Counted&& other) noexcept : live_(other.live_) { live_->fetch_add(1); }
  Counted& operator=(const Counted& other) noexcept {
    other.live_->fetch_add(1);
    live_->fetch_sub(1);
    live_ = other.live_;
    return *this;
  }
  ~Counted() { live_->fetch_sub(1); }

 private:
  std::atomic<int>* live_;
};

/// Calls `f`, which must throw an E, and gives its message. Anything else fails the test.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const E& error) {
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

inline bool says(const std::string& text, std::string_view part) {
  INFO("the text is: " << text);
  CHECK(!text.empty());
  return text.find(part) != std::string::npos;
}

inline std::size_t times(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Keeps what the process writes to stderr while it lives.
class StderrCapture {
 public:
  StderrCapture() : file_(std::tmpfile()), saved_(::dup(STDERR_FILENO)) {
    std::fflush(stderr);
    ::dup2(::fileno(file_), STDERR_FILENO);
  }
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;
  ~StderrCapture() {
    restore();
    std::fclose(file_);
  }
  /// Ends the capture and gives the text.
  std::string text() {
    restore();
    std::string all;
    std::rewind(file_);
    char part[512];
    while (const std::size_t got = std::fread(part, 1, sizeof part, file_)) all.append(part, got);
    return all;
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    std::fflush(stderr);
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    saved_ = -1;
  }

  std::FILE* file_;
  int saved_;
};

/// A runtime whose order of events is that of its one worker.
inline paceline::runtime_options one_worker() {
  paceline::runtime_options options;
  options.handoff_after = std::chrono::hours(1);  // see below
  options.workers = 1;
  return options;
}

inline paceline::runtime_options workers(std::size_t count) {
  paceline::runtime_options options;
  options.workers = count;
  // Tasks of tests that spin keep their workers, however loaded the machine is.
  options.handoff_after = std::chrono::hours(1);
  return options;
}

/// The runtime still does its work.
inline paceline::task<int> forty_two() {
  co_await paceline::yield();
  co_return 42;
}

}  // namespace paceline_test
