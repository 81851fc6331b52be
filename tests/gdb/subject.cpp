// SPDX-License-Identifier: BSL-1.0
// A program for the debugger to look at: one task waits on its stack, one is preempted, one sleeps,
// and then it stops.
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include <paceline/paceline.hpp>

using namespace paceline;

std::atomic<int> subject_sink{0};

[[gnu::noinline]] void waits_in_the_subject(std::atomic<bool>& waits) {
  auto forever = [](std::atomic<bool>& flag) -> task<> {
    flag = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  await_here(forever(waits));
  subject_sink += 1;
}

[[gnu::noinline]] void computes_in_the_subject() {
  for (;;) {
    preempt_point();
    subject_sink += 1;
  }
}

int main() {
  runtime_options options{.workers = 1, .name = "subject"};
  options.slice = std::chrono::microseconds(100);
  runtime rt(options);
  std::atomic<bool> waits{false};
  std::atomic<bool> begun{false};
  auto sleeps = [&begun]() -> task<> {
    begun = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  rt.spawn({.qos = qos::utility, .name = "sleeper"}, sleeps).detach();
  rt.spawn({.name = "on its stack"}, [&waits] { waits_in_the_subject(waits); }).detach();
  // The hogs are more important, and would go first.
  while (!waits || !begun) std::this_thread::yield();
  rt.spawn({.name = "one hog"}, [] { computes_in_the_subject(); }).detach();
  rt.spawn({.name = "another hog"}, [] { computes_in_the_subject(); }).detach();
  while (rt.stats().total.demotions_safepoint < 2) std::this_thread::yield();
  std::raise(SIGABRT);
}
