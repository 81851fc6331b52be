// SPDX-License-Identifier: BSL-1.0
// C16 shutdown. Runtimes are built, loaded with tasks of every kind, and destroyed at random
// moments, several at once, from outside and from a worker of their own, while other threads spawn,
// post and wake.
//
// Invariants: the end comes within the bound; what is spawned or posted is accepted and ends, or is
// refused; every frame that was begun is destroyed; late wakes and posts do no harm; threads,
// descriptors and memory are back where they were.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "../context.hpp"
#include "../helper.hpp"
#include "scenarios.hpp"
#include "shutdown_tasks.hpp"
#include "support/alive.hpp"

namespace coretest {

namespace {

using namespace shutdown;

// The first cycles fill the pools; from then on memory must stay where it is.
constexpr std::uint64_t kWarmUpCycles = 40;
constexpr std::size_t kGrowthAllowed = std::size_t{32} << 20;

struct Goals {
  Goal& cancelled;
  Goal& spawn_refused;
  Goal& post_refused;
  Goal& from_inside;
};

paceline::runtime_options options_for(Context& context, Rng& rng) {
  paceline::runtime_options options;
  options.workers = context.settings().workers != 0 ? context.settings().workers : 1 + rng.below(4);
  options.name = "mortal";
  // The one exception that nobody joins: a task whose own spawn came after the end had begun.
  options.on_unhandled = [&context](std::exception_ptr error, std::string_view) {
    try {
      std::rethrow_exception(error);
    } catch (const paceline::runtime_stopped&) {
    } catch (const std::exception& other) {
      context.check(false, "exception", "a task ended with: {}", other.what());
    }
  };
  return options;
}

/// One runtime from its start to after its end.
class Life {
 public:
  Life(Context& context, Goals goals, Rng rng)
      : context_(context),
        goals_(goals),
        rng_(rng),
        runtime_(std::make_unique<LiveRuntime>(context, options_for(context, rng_))) {}

  void live_and_die() {
    const std::uint64_t tasks = rng_.below(context_.size(100));
    for (std::uint64_t i = 0; i < tasks; ++i) spawn_one();
    const paceline::scheduler scheduler = (*runtime_)->get_scheduler();
    Helper waker([this, seed = rng_.next()] { wake_until_dead(Rng(seed)); });
    Helper poster(
        [this, scheduler, seed = rng_.next()] { post_until_refused(scheduler, Rng(seed)); });
    Helper spawner([this, seed = rng_.next()] { spawn_until_refused(Rng(seed)); });
    busy_for(static_cast<std::int64_t>(rng_.below(rng_.below(3) == 0 ? 3000 : 100)) * kMicro);
    if (rng_.below(3) == 0) stop_some();
    const std::int64_t start = now_ns();
    // Who spawns must know that the runtime lives: the request to stop comes first, then the
    // spawner's end, then ours. Posts and wakes may come at any time.
    (*runtime_)->request_stop();
    spawner.join();
    runtime_.reset();
    const std::int64_t took = now_ns() - start;
    dead_.store(true, std::memory_order_release);
    poster.join();
    waker.join();
    for (const paceline::waker& late : ledger_.copy_wakers()) late.wake();
    context_.delays().add(took);
    context_.check(took <= context_.late_bound_ns(), "late",
                   "the end took {} ns; the bound is {} ns", took, context_.late_bound_ns());
    balance();
  }

 private:
  void spawn_one() {
    const auto kind = static_cast<Kind>(rng_.below(static_cast<std::uint64_t>(Kind::count)));
    paceline::spawn_options how;
    if (rng_.below(4) == 0) how.qos = static_cast<paceline::qos>(rng_.below(paceline::qos_count));
    if (rng_.below(8) == 0) how.name = "lingerer";
    paceline::join_handle<void> handle = (*runtime_)->spawn(body(Ticket(ledger_), kind), how);
    ledger_.accepted.fetch_add(1);
    // Some are let go, the others' handles outlive the runtime.
    if (rng_.below(3) != 0) handles_.push_back(std::move(handle));
  }

  void stop_some() {
    for (auto& handle : handles_) {
      if (rng_.below(2) == 0) handle.request_stop();
    }
  }

  void spawn_until_refused(Rng rng) {
    try {
      for (;;) {
        const auto kind = static_cast<Kind>(rng.below(static_cast<std::uint64_t>(Kind::count)));
        (*runtime_)->spawn(body(Ticket(ledger_), kind)).detach();
        ledger_.accepted.fetch_add(1);
        busy_for(static_cast<std::int64_t>(rng.below(100)) * kMicro);
        give_way();
      }
    } catch (const paceline::runtime_stopped&) {
      ledger_.refused.fetch_add(1);
      goals_.spawn_refused.reach();
    }
  }

  void post_until_refused(const paceline::scheduler& scheduler, Rng rng) {
    while (!dead_.load(std::memory_order_acquire)) {
      post(Ticket(ledger_), scheduler);
      busy_for(static_cast<std::int64_t>(rng.below(100)) * kMicro);
      give_way();
    }
    post(Ticket(ledger_), scheduler);  // the runtime is gone for sure
    goals_.post_refused.reach_if(ledger_.refused.load() > 1);
  }

  void wake_until_dead(Rng rng) {
    while (!dead_.load(std::memory_order_acquire)) {
      for (const paceline::waker& waker : ledger_.copy_wakers()) waker.wake();
      busy_for(static_cast<std::int64_t>(rng.below(50)) * kMicro);
      give_way();
    }
  }

  void balance() {
    for (auto& handle : handles_) {
      context_.check(handle.done(), "shutdown", "a task is not done although its runtime is gone");
      try {
        handle.join();
      } catch (const paceline::operation_cancelled&) {
        goals_.cancelled.reach();
      } catch (const paceline::runtime_stopped&) {
        // Its own spawn was refused.
      }
    }
    context_.check(ledger_.frames.load() == 0, "leak", "{} frames outlive their runtime",
                   ledger_.frames.load());
    context_.check(ledger_.ended.load() >= ledger_.accepted.load(), "lost",
                   "{} tasks were accepted, {} ended", ledger_.accepted.load(),
                   ledger_.ended.load());
    context_.op(1 + ledger_.ended.load());
  }

  Context& context_;
  const Goals goals_;
  Rng rng_;
  Ledger ledger_;
  std::unique_ptr<LiveRuntime> runtime_;
  std::vector<paceline::join_handle<void>> handles_;
  std::atomic<bool> dead_{false};
};

/// A runtime whose last owner is one of its own tasks.
class InnerDeath {
 public:
  InnerDeath(Context& context, Goals goals, Rng rng)
      : context_(context), goals_(goals), rng_(rng) {}

  void live_and_die() {
    auto runtime = std::make_unique<LiveRuntime>(context_, options_for(context_, rng_));
    paceline::runtime& rt = **runtime;
    const std::uint64_t tasks = rng_.below(20);
    for (std::uint64_t i = 0; i < tasks; ++i) {
      const auto kind = static_cast<Kind>(rng_.below(static_cast<std::uint64_t>(Kind::count)));
      rt.spawn(body(Ticket(ledger_), kind)).detach();
    }
    const std::int64_t start = now_ns();
    rt.spawn(end_from_inside(Ticket(ledger_), std::move(runtime))).detach();
    wait_until([this] { return ledger_.frames.load() == 0; });
    const std::int64_t took = now_ns() - start;
    context_.check(took <= context_.late_bound_ns(), "late",
                   "an end from inside took {} ns; the bound is {} ns", took,
                   context_.late_bound_ns());
    context_.op();
    goals_.from_inside.reach();
  }

 private:
  paceline::task<void> end_from_inside(Ticket ticket, std::unique_ptr<LiveRuntime> runtime) {
    const Ending ending(ticket.ledger());
    co_await paceline::yield();
    runtime.reset();
  }

  Context& context_;
  const Goals goals_;
  Rng rng_;
  Ledger ledger_;
};

void one_cycle(Context& context, Goals goals, Rng& rng) {
  if (context.round() == 2 || rng.below(8) == 0) {
    InnerDeath(context, goals, Rng(rng.next())).live_and_die();
    return;
  }
  const std::uint64_t lives = 1 + rng.below(3);
  std::vector<Helper> others;
  for (std::uint64_t i = 1; i < lives; ++i) {
    others.emplace_back(
        [&context, goals, seed = rng.next()] { Life(context, goals, Rng(seed)).live_and_die(); });
  }
  Life(context, goals, Rng(rng.next())).live_and_die();
  for (Helper& other : others) other.join();
}

}  // namespace

void run_shutdown(Context& context) {
  const Goals goals{context.goal("a task ended because its runtime did"),
                    context.goal("a spawn was refused"), context.goal("a post was refused"),
                    context.goal("a runtime was ended by its own task")};
  std::size_t warm = 0;
  for (Rng rng = context.rng(1); context.more();) {
    one_cycle(context, goals, rng);
    if (context.round() == kWarmUpCycles) warm = paceline_test::resident_bytes();
  }
  context.metric("cycles", static_cast<double>(context.round()));
  // Sanitizers keep freed memory on purpose.
  if (warm == 0 || kSanitized) return;
  const std::size_t now = paceline_test::resident_bytes();
  context.check_bound(now <= warm + kGrowthAllowed, "memory",
                      "{} bytes resident after {} cycles, {} after {}", now, context.round(), warm,
                      kWarmUpCycles);
}

}  // namespace coretest
