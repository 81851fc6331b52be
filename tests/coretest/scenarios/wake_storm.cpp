// SPDX-License-Identifier: BSL-1.0
// C04 wake-storm. Threads, signal handlers and tasks wake tasks, each wake preceded by its own
// event. Half of the time the waker waits until its event was seen, so that no later wake covers up
// for a lost one; the other half it storms on, so that wakes meet running tasks and each other.
//
// Invariants: at quiescence every task has seen every event; no task runs twice at once; an awaited
// event is seen within the bound.
#include <atomic>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "../helper.hpp"
#include "duels.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kWakesPerThread = kSanitized ? 400 : 4'000;

struct Target {
  paceline::waker owner;  // written before the storm begins
  std::atomic<std::uint64_t> produced{0};
  std::atomic<std::uint64_t> seen{0};
  std::atomic<bool> inside{false};
  std::atomic<std::int64_t> sent_at{0};  // of an awaited event; 0: nobody waits
};

void wake_once(Target& target) noexcept {
  target.produced.fetch_add(1, std::memory_order_release);
  target.owner.wake();
}

std::atomic<std::uint64_t> wakes_by_signal{0};

/// Runs in a signal handler; what it wakes is the thread's own word.
void on_interruption() {
  auto* const target = static_cast<Target*>(own_word());
  if (target == nullptr) return;
  wake_once(*target);
  wakes_by_signal.fetch_add(1, std::memory_order_relaxed);
}

class Storm {
 public:
  Storm(Context& context, paceline::runtime& rt, Rng rng)
      : context_(context), rt_(rt), rng_(rng), targets_(1 + rng_.below(context.size(256))) {}

  void blow() {
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      tasks_.push_back(rt_.spawn(watch(targets_[i], i, split(rng_.next(), i))));
    }
    wait_until([this] { return ready_.load() == targets_.size(); });
    const std::uint64_t threads = 1 + rng_.below(3);
    const std::uint64_t inner = rng_.below(3);
    std::vector<paceline::join_handle<void>> wakers;
    for (std::uint64_t i = 0; i < inner; ++i)
      wakers.push_back(rt_.spawn(wake_from_task(rng_.next())));
    std::vector<Helper> outer;
    for (std::uint64_t i = 0; i < threads; ++i) {
      outer.emplace_back([this, seed = rng_.next()] { wake_from_thread(Rng(seed)); });
    }
    pester(outer);
    for (auto& thread : outer) thread.join();
    for (auto& task : wakers) task.join();
    calm();
  }

 private:
  paceline::task<void> watch(Target& me, std::size_t number, std::uint64_t seed) {
    Rng rng(seed);
    me.owner = paceline::this_task::waker();
    ready_.fetch_add(1, std::memory_order_acq_rel);
    std::uint64_t seen = 0;
    for (;;) {
      auto event = paceline::suspend_until(
          [this, &me, &seen]() noexcept {
            return me.produced.load(std::memory_order_acquire) != seen ||
                   over_.load(std::memory_order_acquire);
          },
          [](paceline::waker) noexcept {});
      co_await std::move(event);
      context_.check(!me.inside.exchange(true), "double", "task {} runs twice at once", number);
      const std::uint64_t produced = me.produced.load(std::memory_order_acquire);
      context_.check(produced >= seen, "order", "task {} has seen {} of {} events", number, seen,
                     produced);
      if (const std::int64_t sent = me.sent_at.exchange(0, std::memory_order_relaxed)) {
        const std::int64_t delay = now_ns() - sent;
        context_.delays().add(delay);
        context_.check(delay <= context_.late_bound_ns(), "late",
                       "task {} was woken {} ns ago; the bound is {} ns", number, delay,
                       context_.late_bound_ns());
      }
      // Stay a while, so that some wakes meet a running task.
      if (rng.below(8) == 0) busy_for(static_cast<std::int64_t>(rng.below(20)) * kMicro);
      running_met_.reach_if(me.produced.load(std::memory_order_relaxed) != produced);
      context_.op(produced - seen);
      together_.reach_if(produced - seen > 1);
      seen = produced;
      me.seen.store(seen, std::memory_order_release);
      const bool last = over_.load(std::memory_order_acquire);
      me.inside.store(false);
      if (last) break;
      if (rng.below(16) == 0) co_await paceline::yield();
    }
  }

  /// Wakes one task and, if `waits`, lets nobody cover up: goes on when the event was seen.
  template <class Pause>
  void wake_from_outside(Target& target, bool waits, Pause&& pause) {
    if (waits) target.sent_at.store(now_ns(), std::memory_order_relaxed);
    const std::uint64_t mine = target.produced.fetch_add(1, std::memory_order_release) + 1;
    target.owner.wake();
    if (!waits) return;
    wait_until([&] { return target.seen.load(std::memory_order_acquire) >= mine; });
    pause();
  }

  void wake_from_thread(Rng rng) {
    const bool waits = rng.below(2) == 0;
    for (std::uint64_t i = 0; i < kWakesPerThread && !hurried(); ++i) {
      Target& target = targets_[rng.below(targets_.size())];
      own_word() = &target;
      if (rng.below(64) == 0) interrupt_self();
      // Gaps around the time a worker takes to fall asleep.
      wake_from_outside(target, waits,
                        [&] { busy_for(static_cast<std::int64_t>(rng.below(40)) * kMicro); });
    }
    own_word() = nullptr;
    finished_.fetch_add(1, std::memory_order_release);
    // The pesterer may still signal us: wait until it has stopped.
    wait_until([this] { return !pestering_.load(std::memory_order_acquire); });
  }

  paceline::task<void> wake_from_task(std::uint64_t seed) {
    Rng rng(seed);
    const bool waits = rng.below(2) == 0;
    for (std::uint64_t i = 0; i < kWakesPerThread && !hurried(); ++i) {
      Target& target = targets_[rng.below(targets_.size())];
      const std::uint64_t mine = target.produced.fetch_add(1, std::memory_order_release) + 1;
      target.owner.wake();
      if (!waits && rng.below(32) != 0) continue;
      do {
        co_await paceline::yield();
      } while (waits && target.seen.load(std::memory_order_acquire) < mine);
    }
  }

  /// Signals the wakers at any moment, in the middle of a wake as well.
  void pester(std::vector<Helper>& outer) {
    while (finished_.load(std::memory_order_acquire) < outer.size()) {
      // All of them still live: they wait for us.
      outer[rng_.below(outer.size())].interrupt();
      busy_for(static_cast<std::int64_t>(rng_.below(20)) * kMicro);
      give_way();
    }
    pestering_.store(false, std::memory_order_release);
  }

  void calm() {
    // No more events: what was produced must be seen without any further wake.
    for (Target& target : targets_) {
      wait_until([&] {
        return target.seen.load(std::memory_order_acquire) ==
               target.produced.load(std::memory_order_acquire);
      });
    }
    over_.store(true, std::memory_order_release);
    for (Target& target : targets_) target.owner.wake();
    for (auto& task : tasks_) task.join();
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      context_.check(targets_[i].seen.load() == targets_[i].produced.load(), "lost",
                     "task {} has seen {} of {} events", i, targets_[i].seen.load(),
                     targets_[i].produced.load());
    }
  }

  /// Is the run's time up? Then the round ends early.
  bool hurried() const noexcept {
    return context_.settings().duration_s > 0 && context_.elapsed() >= 1;
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::vector<Target> targets_;
  std::vector<paceline::join_handle<void>> tasks_;
  std::atomic<std::size_t> ready_{0};
  std::atomic<std::size_t> finished_{0};
  std::atomic<bool> pestering_{true};
  std::atomic<bool> over_{false};
  Goal& running_met_ = context_.goal("woken while running");
  Goal& together_ = context_.goal("several wakes seen at once");
};

}  // namespace

void run_wake_storm(Context& context) {
  handle_interruptions(&on_interruption);
  Goal& by_signal = context.goal("woken from a signal handler");
  Goal& coalesced = context.goal("two wakes became one");
  Goal& slept = context.goal("a worker slept and was woken");
  LiveRuntime rt(context);
  for (Rng rng = context.rng(1); context.more();) {
    if (context.round() % 2 == 0) {
      fight_duels(context, *rt, Rng(rng.next()));
      continue;
    }
    Storm storm(context, *rt, Rng(rng.next()));
    storm.blow();
    const paceline::worker_stats total = rt->stats().total;
    coalesced.reach_if(total.coalesced_wakes != 0);
    slept.reach_if(total.unparks != 0);
    by_signal.reach_if(wakes_by_signal.load() != 0);
  }
  rt.settle();
}

}  // namespace coretest
