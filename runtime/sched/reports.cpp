// SPDX-License-Identifier: BSL-1.0
// What a runtime says about itself: counters, one-time warnings, exceptions nobody can join.
#include <exception>
#include <string>
#include <system_error>

#include <spdlog/fmt/fmt.h>

#include <paceline/detail/promise.hpp>
#include <paceline/error.hpp>

#include "exec/async.hpp"
#include "exec/completion.hpp"
#include "exec/names.hpp"
#include "sched/runtime_core.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

void add_signals(worker_stats& to, const Region& region) noexcept {
  const auto refused = [&](Answer answer) {
    return region.refused[static_cast<std::size_t>(answer)].load(std::memory_order_relaxed);
  };
  to.signals_sent += region.sent.load(std::memory_order_relaxed);
  to.signals_refused_runtime += refused(Answer::runtime);
  to.signals_refused_nopreempt += refused(Answer::nopreempt);
  to.signals_refused_text += refused(Answer::text);
  to.signals_refused_stack += refused(Answer::stack);
  to.signals_refused_stale += refused(Answer::stale);
  to.signals_refused_limit += refused(Answer::cap) + refused(Answer::memory);
  to.signals_refused_masked += refused(Answer::masked);
}

}  // namespace

runtime_stats RuntimeCore::stats() const {
  runtime_stats all;
  const auto value = [](const Atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  const std::uint64_t forgotten = value(outside_forgotten_);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Counters& c = workers_[i]->runtime().counters();
    const Seat& seat = *seats_[i];
    worker_stats w;
    w.completed = c.completed.load(std::memory_order_acquire);  // M21
    w.spawned = c.spawned.load(std::memory_order_acquire);      // M21
    w.polls = value(seat.polls);
    w.wakes = value(c.wakes) + value(seat.remote_wakes);
    w.coalesced_wakes = value(c.coalesced) + value(seat.remote_coalesced);
    w.stale_wakes = value(c.stale) + value(seat.remote_stale);
    w.steals = value(c.steals);
    w.tasks_stolen = value(c.tasks_stolen);
    w.sent_abroad = value(c.sent_abroad);
    w.fetched = value(c.fetched);
    w.relieved = value(c.relieved);
    w.rebalanced = value(c.rebalanced);
    w.stirred = value(c.stirred);
    w.parks = value(c.parks);
    w.unparks = value(c.unparks);
    w.preempt_requests = value(c.preempt_requests);
    w.demotions_safepoint = value(c.demotions_safepoint);
    w.demotions_async = value(c.demotions_async);
    add_signals(w, seat.own_region);
    w.refused_cap = value(c.refused_cap);
    w.refused_memory = value(c.refused_memory);
    w.stack_waits = value(c.stack_waits);
    w.weak_live = value(c.weak_live);
    w.weak_peak = value(c.weak_peak);
    all.total.spawned += w.spawned;
    all.total.completed += w.completed;
    all.total.polls += w.polls;
    all.total.wakes += w.wakes;
    all.total.coalesced_wakes += w.coalesced_wakes;
    all.total.stale_wakes += w.stale_wakes;
    all.total.steals += w.steals;
    all.total.tasks_stolen += w.tasks_stolen;
    all.total.sent_abroad += w.sent_abroad;
    all.total.fetched += w.fetched;
    all.total.relieved += w.relieved;
    all.total.rebalanced += w.rebalanced;
    all.total.stirred += w.stirred;
    all.total.parks += w.parks;
    all.total.unparks += w.unparks;
    all.total.preempt_requests += w.preempt_requests;
    all.total.demotions_safepoint += w.demotions_safepoint;
    all.total.demotions_async += w.demotions_async;
    add_signals(all.total, seat.own_region);
    all.total.refused_cap += w.refused_cap;
    all.total.refused_memory += w.refused_memory;
    all.total.stack_waits += w.stack_waits;
    all.total.weak_live += w.weak_live;
    all.total.weak_peak += w.weak_peak;
    all.workers.push_back(w);
    if (workers_[i]->pinned()) ++all.pinned_workers;
  }
  crew_.each([&](const Refuge& refuge) {
    const Counters& c = refuge.runtime.counters();
    all.total.completed += c.completed.load(std::memory_order_acquire);  // M21
    all.total.polls += value(refuge.seat.polls);
    all.total.demotions_async += value(c.demotions_async);
    add_signals(all.total, refuge.seat.own_region);
    all.total.stack_waits += value(c.stack_waits);
    all.total.weak_live += value(c.weak_live);
    ++all.spare_threads;
  });
  all.signals_outside = async_signals_outside();
  all.handoffs = crew_.handoffs();
  all.handoffs_refused = crew_.refused();
  if (monitor_) {
    all.starved = monitor_->starved();
    all.stalls = monitor_->stalls();
    all.monitor_looks = monitor_->looks();
  }
  all.total.spawned += value(outside_spawned_) - forgotten;
  all.total.unhandled = value(unhandled_);
  all.controller_steps = steering_.steps();
  all.class_refusals = thread_classes_.refusals();
  all.rebound = value(rebound_);
  for (unsigned c = 0; c < qos_count && cpu_kinds_.count() != 0; ++c) {
    all.residency[c].resize(cpu_kinds_.count());
    for (unsigned kind = 0; kind < cpu_kinds_.count(); ++kind) {
      for (const auto& worker : workers_) {
        all.residency[c][kind] += worker->residence().count(c, kind);
      }
    }
  }
  all.live = all.total.spawned > all.total.completed ? all.total.spawned - all.total.completed : 0;
  return all;
}

void RuntimeCore::note_unpinned(int cpu, int error) noexcept {
  if (said_unpinned_.exchange(true, std::memory_order_relaxed)) return;
  try {
    log::write(
        log::Level::warn,
        fmt::format("runtime '{}': cannot bind workers to cores (CPU {}: {}); they run unbound",
                    options_.name, cpu, std::generic_category().message(error)));
  } catch (...) {
  }
}

void RuntimeCore::unhandled(detail::PromiseBase& promise) noexcept {
  const detail::TaskExtras* extras = promise.extras;
  const std::string_view name =
      extras != nullptr && extras->name != nullptr ? std::string_view(extras->name->text) : "";
  const std::exception_ptr error = std::move(promise.error);
  promise.error = nullptr;
  report_unhandled(this, error, name);
}

void RuntimeCore::count_unhandled() noexcept { unhandled_.fetch_add(1, std::memory_order_relaxed); }

void report_unhandled(RuntimeCore* core, const std::exception_ptr& error,
                      std::string_view name) noexcept {
  std::string text;
  try {
    try {
      std::rethrow_exception(error);
    } catch (const operation_cancelled&) {
      return;  // it was asked to stop, and did
    } catch (const runtime_stopped& refused) {
      // A task that wanted to start another one while its runtime stops: the same.
      if (core != nullptr && core->stopping()) return;
      text = refused.what();
    } catch (const std::exception& known) {
      text = known.what();
    } catch (...) {
      text = "an exception that is no std::exception";
    }
    if (core != nullptr) {
      core->count_unhandled();
      if (core->options().on_unhandled) {
        core->options().on_unhandled(error, name);
        return;
      }
    }
    log::report(
        fmt::format("task '{}' ended with an exception that nobody can join: {}", name, text));
  } catch (...) {
    log::report("the on_unhandled hook, or reporting an unhandled exception, itself threw");
  }
}

}  // namespace paceline::core
