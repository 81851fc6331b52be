// SPDX-License-Identifier: BSL-1.0
// How long does a task that matters wait beside tasks that keep every core busy?
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "hogs.hpp"

namespace {

using namespace pacebench;
using namespace std::chrono_literals;
using paceline::preemption_mode;
using paceline::task;
using Clock = TickDelays::Clock;

/// What keeps the cores busy.
enum class Hog : std::uint8_t {
  polite,    // reaches a safepoint every 10 us and never suspends
  yielding,  // the same, and yields every 10 ms: for a run without preemption, which would not end
  rude,      // never does either
  blocked,   // sleeps for a second in the system, again and again, and tells nobody
};

constexpr int kStepsBetweenYields = 1'000;

task<void> hog(Hog kind, const std::atomic<bool>& over) {
  std::uint64_t x = kHogStart;
  for (int steps = 1; !over.load(std::memory_order_relaxed); ++steps) {
    if (kind == Hog::blocked) {
      std::this_thread::sleep_for(1s);
      co_await paceline::yield();
      continue;
    }
    x = hog_step(x);
    if (kind != Hog::rude) paceline::preempt_point();
    if (kind == Hog::yielding && steps % kStepsBetweenYields == 0) co_await paceline::yield();
  }
  require(x != 0, "the hog computed");
}

task<void> tick(TickDelays& delays, std::uint64_t ticks) {
  auto due = Clock::now() + kTick;
  while (delays.count() < ticks) {
    co_await paceline::sleep_until(due);
    due = delays.serve(due, ticks);
  }
}

/// Rung from outside every 5 ms, as a reactor does that finds a socket ready.
struct Doorbell {
  explicit Doorbell(std::uint64_t rings) : when(rings) {}

  std::vector<Clock::time_point> when;
  std::atomic<std::uint64_t> rung{0};
  std::uint64_t heard = 0;
  std::atomic<bool> armed{false};
  paceline::waker listener;

  auto next() {
    return paceline::suspend_until(
        [this]() noexcept { return rung.load(std::memory_order_acquire) != heard; },
        [this](paceline::waker task) {
          if (armed.load(std::memory_order_relaxed)) return;  // it is the same task each time
          listener = task;
          armed.store(true, std::memory_order_release);
        });
  }
};

task<void> answer(Doorbell& bell, TickDelays& delays) {
  while (bell.heard != bell.when.size()) {
    co_await bell.next();
    while (bell.heard != bell.rung.load(std::memory_order_acquire)) {
      delays.add(bell.when[bell.heard++]);
    }
  }
}

void ring(Doorbell& bell) {
  while (!bell.armed.load(std::memory_order_acquire)) std::this_thread::yield();
  auto due = Clock::now();
  for (std::uint64_t i = 0; i < bell.when.size(); ++i) {
    due += kTick;
    std::this_thread::sleep_until(due);
    bell.when[i] = Clock::now();
    bell.rung.store(i + 1, std::memory_order_release);
    bell.listener.wake();
  }
}

struct Scene {
  Hog hog = Hog::polite;
  std::size_t hogs_per_worker = 2;
  preemption_mode preemption = preemption_mode::automatic;
  bool rung_from_outside = false;
};

Sample measure(paceline::runtime& rt, const Scene& scene, std::uint64_t ticks) {
  std::atomic<bool> over{false};
  std::vector<paceline::join_handle<>> hogs;
  for (std::size_t i = 0; i < scene.hogs_per_worker * rt.workers(); ++i) {
    hogs.push_back(rt.spawn(hog(scene.hog, over), {.qos = paceline::qos::utility}));
  }
  TickDelays delays;
  const paceline::spawn_options interactive{.qos = paceline::qos::user_interactive};
  if (scene.rung_from_outside) {
    Doorbell bell(ticks);
    auto answers = rt.spawn(answer(bell, delays), interactive);
    ring(bell);
    answers.join();
  } else {
    rt.spawn(tick(delays, ticks), interactive).join();
  }
  over.store(true, std::memory_order_relaxed);
  for (auto& each : hogs) each.join();
  return delays.sample();
}

Case latency(std::string name, std::string what, const Scene& scene) {
  return {"latency/" + std::move(name), "us", "p99 delay of a 5 ms tick beside " + std::move(what),
          [scene](const Settings& s) {
            const std::uint64_t ticks = s.n != 0 ? s.n : kTicks;
            auto rt = std::make_shared<paceline::runtime>(
                paceline::runtime_options{.workers = s.workers, .preemption = scene.preemption});
            return Prepared{[rt, scene, ticks] { return measure(*rt, scene, ticks); },
                            {{"n", std::to_string(ticks)},
                             {"hogs per worker", std::to_string(scene.hogs_per_worker)}}};
          }};
}

const Register registered[] = {
    Register(latency("hogs_2", "2 hogs per worker with safepoints", {})),
    Register(latency("hogs_8", "8 hogs per worker with safepoints", {.hogs_per_worker = 8})),
    Register(latency("hogs_2_off", "2 hogs per worker that yield every 10 ms, preemption off",
                     {.hog = Hog::yielding, .preemption = preemption_mode::off})),
    Register(
        latency("hogs_8_off", "8 hogs per worker that yield every 10 ms, preemption off",
                {.hog = Hog::yielding, .hogs_per_worker = 8, .preemption = preemption_mode::off})),
    Register(latency("hogs_rude", "2 hogs per worker without safepoints", {.hog = Hog::rude})),
    Register(latency("blocked", "a task per worker that sleeps 1 s in the system",
                     {.hog = Hog::blocked, .hogs_per_worker = 1})),
    Register(latency("blocked_wake", "the same, the tick being a wake by an outside thread",
                     {.hog = Hog::blocked, .hogs_per_worker = 1, .rung_from_outside = true})),
};

}  // namespace
