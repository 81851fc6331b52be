// SPDX-License-Identifier: BSL-1.0
// What does it cost to take a worker away from a thread that is blocked? From the decision, which
// the benchmark makes in the monitor's place, to the first task on the spare thread.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "machine/machine.hpp"
#include "sched/runtime_core.hpp"

namespace {

using namespace pacebench;
using namespace paceline::core;
using paceline::task;
using Word32 = Atomic<std::uint32_t>;

constexpr std::uint64_t kBlocks = 31;
constexpr unsigned kFutexTrips = 100;

void set(Word32& word, std::uint32_t value) noexcept {
  word.store(value, std::memory_order_release);
  machine::unpark(word);
}

void await(Word32& word, std::uint32_t value) noexcept {
  for (;;) {
    const std::uint32_t now = word.load(std::memory_order_acquire);
    if (now == value) return;
    machine::park(word, now, kForever);
  }
}

/// Somebody to play ping-pong with by futex: there and back.
class Partner {
 public:
  Partner() : thread_([this] { play(); }) {}
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;
  ~Partner() {
    set(ball_, kOver);
    thread_.join();
  }

  double round_trip_ns() {
    std::vector<double> took;
    for (unsigned i = 0; i < kFutexTrips; ++i) {
      const Stopwatch watch;
      set(ball_, kThere);
      await(ball_, kHere);
      took.push_back(watch.ns());
    }
    return median_of(took);
  }

 private:
  static constexpr std::uint32_t kHere = 0;
  static constexpr std::uint32_t kThere = 1;
  static constexpr std::uint32_t kOver = 2;

  void play() noexcept {
    for (;;) {
      std::uint32_t now = ball_.load(std::memory_order_acquire);
      while (now == kHere) {
        machine::park(ball_, kHere, kForever);
        now = ball_.load(std::memory_order_acquire);
      }
      if (now == kOver) return;
      set(ball_, kHere);
    }
  }

  Word32 ball_{kHere};
  std::thread thread_;
};

/// A runtime of one worker whose monitor waits for an hour before it hands off by itself.
class Stage {
 public:
  Stage() : core_(RuntimeCore::start({.workers = 1, .handoff_after = std::chrono::hours(1)})) {}
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() { core_->shut_down(); }

  /// One hand-off; from the decision to the first task. False: it was refused.
  bool hand_off(double& took_ns) {
    Word32 blocked{0};
    Word32 first_ran{0};
    auto blocker = spawn(block(blocked));
    await(blocked, 1);
    // Asleep in the kernel, as a thread is that deserves to lose its worker.
    while (blocker_runs()) std::this_thread::yield();
    Stopwatch watch;
    auto first = spawn(run_first(watch, took_ns, first_ran));
    Worker& worker = core_->worker(0);
    Seat& seat = worker.seat();
    const std::uint64_t refused = core_->crew().refused();
    watch = Stopwatch();
    const bool sent = core_->crew().send(worker, seat.hold.load(std::memory_order_relaxed),
                                         seat.polls.load(std::memory_order_relaxed), {});
    bool done = false;
    while (sent && !done && core_->crew().refused() == refused) {
      done = wait_a_while(first_ran);
    }
    set(blocked, 2);
    blocker.join();
    first.join();
    return done;
  }

 private:
  static task<void> block(Word32& blocked) {
    set(blocked, 1);
    await(blocked, 2);
    co_return;
  }
  static task<void> run_first(const Stopwatch& watch, double& took_ns, Word32& ran) {
    took_ns = watch.ns();
    set(ran, 1);
    co_return;
  }
  static bool wait_a_while(Word32& ran) noexcept {
    if (ran.load(std::memory_order_acquire) == 0) {
      machine::park(ran, 0, machine::now() + 10 * kMillisecond);
    }
    return ran.load(std::memory_order_acquire) != 0;
  }
  bool blocker_runs() {
    const auto state = machine::look_at_thread(core_->worker(0).thread_number());
    return state && state->runnable;
  }
  paceline::join_handle<void> spawn(task<void> t) {
    return paceline::detail::SpawnAccess::start(core_, std::move(t), nullptr);
  }

  RuntimeCore* core_;
};

Sample measure(Stage& stage, Partner& partner, std::uint64_t n) {
  std::vector<double> ratios;
  std::uint64_t refused = 0;
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    std::vector<double> took;
    for (std::uint64_t i = 0; i < n; ++i) {
      double ns = 0;
      if (stage.hand_off(ns)) {
        took.push_back(ns);
      } else {
        ++refused;
      }
    }
    require(!took.empty(), "a worker was handed off");
    ratios.push_back(median_of(took) / partner.round_trip_ns());
  }
  return {median_of(ratios), mix(kHashStart, n), {{"refused", static_cast<double>(refused)}}};
}

const Register handoff({"preempt/handoff", "x",
                        "from the decision to the first task on the spare thread, over a futex "
                        "ping-pong",
                        [](const Settings& s) {
                          const std::uint64_t n = s.n != 0 ? s.n : 20;
                          auto stage = std::make_shared<Stage>();
                          auto partner = std::make_shared<Partner>();
                          return Prepared{
                              [stage, partner, n] { return measure(*stage, *partner, n); },
                              {{"n", std::to_string(n)}}};
                        }});

}  // namespace
