// SPDX-License-Identifier: BSL-1.0
// Proves that the signal stays the application's business: one that has a handler is refused or
// left alone, masks and handlers that come later lose nothing, and there are three ways to switch
// it off.
#include <csignal>
#include <cstdlib>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit/api/async_storm.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

[[gnu::section("paceline_async")]] [[gnu::noinline]] void spin(const bool* done) {
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
  }
}

std::atomic<int> calls_of_theirs{0};
void theirs(int) { ++calls_of_theirs; }

/// A disposition, put back when it ends.
class Disposition {
 public:
  Disposition(int number, void (*handler)(int)) : number_(number) {
    struct sigaction now = {};
    now.sa_handler = handler;
    ::sigaction(number, &now, &before_);
  }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;
  ~Disposition() { ::sigaction(number_, &before_, nullptr); }

 private:
  int number_;
  struct sigaction before_ = {};
};

/// A hog in a region and somebody of its class. How often the hog was preempted by signal.
std::uint64_t preempted(const runtime_options& options, int times = 1) {
  runtime rt(options);
  for (int i = 0; i < times; ++i) {
    bool done = false;
    std::atomic<bool> begun{false};
    auto hog = rt.spawn({}, [&] {
      const async_region region;
      begun = true;
      spin(&done);
    });
    eventually("the hog runs", [&] { return begun.load(); });
    rt.spawn({}, [&] { __atomic_store_n(&done, true, __ATOMIC_RELAXED); }).join();
    hog.join();
  }
  check_books(rt);
  return rt.stats().total.demotions_async;
}

runtime_options with_signal(int number) {
  runtime_options options = one_worker();
  options.handoff_after = 2ms;  // for those that no signal interrupts
  options.slice = 200us;
  options.async_signal = number;
  return options;
}

/// Enough time before the core is lost for whoever can be interrupted.
runtime_options patient(runtime_options options) {
  options.handoff_after = 1h;
  return options;
}

}  // namespace

TEST_CASE("any signal that nobody handles may be chosen, a real-time one as well") {
  if (!kSignals) {
    CHECK(preempted(with_signal(SIGRTMIN + 3)) == 0);
    return;
  }
  CHECK(preempted(patient(with_signal(SIGRTMIN + 3))) >= 1);
  CHECK(preempted(patient(with_signal(SIGUSR2))) >= 1);
  CHECK(preempted(patient(with_signal(SIGURG))) >= 1);
  CHECK(preempted(patient(with_signal(0))) >= 1);
}

TEST_CASE("a chosen signal that the application handles is refused at the start, with the reason") {
  const Disposition owner(SIGUSR1, &theirs);
  const std::string what =
      message_of<std::invalid_argument>([] { const runtime rt(with_signal(SIGUSR1)); });
  CHECK(says(what, "the application has a handler"));
  CHECK(says(what, "async_signal"));
  ::raise(SIGUSR1);
  CHECK(calls_of_theirs > 0);
}

TEST_CASE("signals that cannot be had are refused with the reason") {
  for (const int number : {SIGSEGV, SIGKILL, SIGSTOP, SIGPROF, 65, 1000}) {
    CHECK(says(message_of<std::invalid_argument>([&] { const runtime rt(with_signal(number)); }),
               std::to_string(number)));
  }
}

TEST_CASE("there are three switches: the option, the environment and a call") {
  CHECK(preempted(with_signal(-1)) == 0);
  runtime_options safepoints = with_signal(0);
  safepoints.preemption = preemption_mode::off;
  {
    const runtime rt(safepoints);  // its regions do nothing
  }
  ::setenv("PACELINE_ASYNC", "off", 1);
  CHECK(preempted(with_signal(0)) == 0);
  ::unsetenv("PACELINE_ASYNC");
  allow_async_preemption(false);
  CHECK(preempted(with_signal(0)) == 0);
  allow_async_preemption(true);
  CHECK((preempted(kSignals ? patient(with_signal(0)) : with_signal(0)) >= 1) == kSignals);
}

TEST_CASE("a handler that the application installs later stops the signals and loses nothing") {
  const int number = SIGRTMIN + 4;
  if (kSignals) CHECK(preempted(patient(with_signal(number))) >= 1);
  const int before = calls_of_theirs;
  {
    const Disposition owner(number, &theirs);
    runtime_options options = with_signal(0);
    options.async_signal = -1;
    CHECK(preempted(options) == 0);
  }
  // Back to ours, which is still installed underneath.
  runtime rt(with_signal(number));
  bool done = false;
  std::atomic<bool> begun{false};
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    const Disposition owner(number, &theirs);
    begun = true;
    spin(&done);
  });
  eventually("the hog runs", [&] { return begun.load(); });
  rt.spawn({}, [&] { __atomic_store_n(&done, true, __ATOMIC_RELAXED); }).join();
  hog.join();
  CHECK(calls_of_theirs == before);
  check_books(rt);
}

TEST_CASE("a task that blocks the signal in its region ends the region all the same") {
  runtime rt(with_signal(SIGRTMIN + 5));
  bool done = false;
  std::atomic<bool> begun{false};
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGRTMIN + 5);
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    pthread_sigmask(SIG_BLOCK, &one, nullptr);
    begun = true;
    spin(&done);
  });
  eventually("the hog runs", [&] { return begun.load(); });
  // By hand-off: the signal waits.
  rt.spawn({}, [&] { __atomic_store_n(&done, true, __ATOMIC_RELAXED); }).join();
  hog.join();
  if (kSignals) CHECK(rt.stats().total.signals_refused_masked == 1);
  check_books(rt);
}

TEST_CASE("signals of others with our number are ignored, inside regions and outside") {
  runtime rt(patient(with_signal(SIGURG)));
  std::atomic<bool> began{false};
  bool done = false;
  std::atomic<pthread_t> thread{};
  auto hog = rt.spawn({}, [&] {
    const async_region region;
    thread = pthread_self();
    began = true;
    spin(&done);
  });
  eventually("the hog runs", [&] { return began.load(); });
  // Many more than its stack has room for, should one come on top of the other.
  for (int i = 0; i < 100'000; ++i) pthread_kill(thread, SIGURG);
  __atomic_store_n(&done, true, __ATOMIC_RELAXED);
  hog.join();
  ::raise(SIGURG);
  CHECK(rt.stats().total.demotions_async == 0);
  check_books(rt);
}
