// SPDX-License-Identifier: BSL-1.0
// What a runtime counts about itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <paceline/qos.hpp>

namespace paceline {

/// Counters of one worker since its runtime started, or the sum over all workers. Each is exact for
/// what it counts; a snapshot taken while tasks run is not a consistent cut.
struct worker_stats {
  std::uint64_t spawned = 0;           ///< tasks accepted by this worker (total: by anybody)
  std::uint64_t completed = 0;         ///< tasks that ended here, by value or exception
  std::uint64_t polls = 0;             ///< times a task was resumed here
  std::uint64_t wakes = 0;             ///< wakes of tasks whose home this worker is
  std::uint64_t coalesced_wakes = 0;   ///< of these, wakes of a task that was marked ready already
  std::uint64_t stale_wakes = 0;       ///< wakes that found nothing to do: late, twice or too early
  std::uint64_t steals = 0;            ///< successful raids on another worker
  std::uint64_t tasks_stolen = 0;      ///< ready tasks taken in these raids
  std::uint64_t sent_abroad = 0;       ///< spawned here and sent to another cluster of cores
  std::uint64_t fetched = 0;           ///< stolen because they prefer this worker's kind of core
  std::uint64_t relieved = 0;          ///< stolen from an overloaded cluster of another kind
  std::uint64_t rebalanced = 0;        ///< ready tasks handed to a worker that was free for them
  std::uint64_t stirred = 0;           ///< the same for a turn on another's fast core
  std::uint64_t parks = 0;             ///< times the worker went to sleep
  std::uint64_t unparks = 0;           ///< times somebody woke it (timer expiry not counted)
  std::uint64_t preempt_requests = 0;  ///< requests to give way that a safepoint met in time
  std::uint64_t demotions_safepoint = 0;  ///< of these, honoured: the executor became weak
  std::uint64_t refused_cap = 0;          ///< of these, refused: runtime_options::max_weak reached
  std::uint64_t refused_memory = 0;       ///< of these, refused: no stack could be had
  std::uint64_t demotions_async = 0;      ///< executors that became weak by a signal
  std::uint64_t signals_sent = 0;         ///< each was honoured (above) or refused, by gate:
  std::uint64_t signals_refused_runtime = 0;  ///< the task was inside the runtime or in blocking()
  std::uint64_t signals_refused_nopreempt = 0;  ///< a nopreempt guard lived
  std::uint64_t signals_refused_text = 0;       ///< the code was not in the async text section
  std::uint64_t signals_refused_stack = 0;      ///< too little stack was left
  std::uint64_t signals_refused_stale = 0;      ///< what asked had been served meanwhile
  std::uint64_t signals_refused_limit = 0;      ///< counted in refused_cap, refused_memory as well
  std::uint64_t signals_refused_masked = 0;     ///< the application blocked or took the signal
  std::uint64_t stack_waits = 0;                ///< times a call stack was parked by await_here()
  std::uint64_t weak_live = 0;                  ///< executors parked now
  std::uint64_t weak_peak = 0;  ///< most at a time (total: sum of the workers' peaks)
  std::uint64_t unhandled = 0;  ///< exceptions that went to on_unhandled
};

/// A snapshot of a runtime's counters.
struct runtime_stats {
  worker_stats total;                 ///< workers and spare threads, plus spawns from outside
  std::vector<worker_stats> workers;  ///< by worker index
  std::uint64_t live = 0;             ///< tasks spawned and not yet completed
  std::size_t pinned_workers = 0;     ///< workers bound to a core
  std::uint64_t class_refusals = 0;   ///< times the system refused a worker's scheduling class
  std::uint64_t rebound = 0;          ///< times a worker ran on the wrong kind and was bound again
  /// Looks that found tasks of each class (by qos) on each kind of core (topology::kinds), see
  /// docs/topology.md. Empty where cores are alike or workers are not bound.
  std::array<std::vector<std::uint64_t>, qos_count> residency;
  std::uint64_t handoffs = 0;          ///< workers that changed their thread
  std::uint64_t handoffs_refused = 0;  ///< of those that were to: no thread, or too late
  std::uint64_t spare_threads = 0;     ///< started for that so far
  std::uint64_t starved = 0;        ///< times a task was left alone because the system starved it
  std::uint64_t stalls = 0;         ///< tasks that on_stall or the log was told of
  std::uint64_t monitor_looks = 0;  ///< times the monitor woke up
  std::uint64_t controller_steps = 0;  ///< times the controller weighed the clusters (0: only one)
  /// Signals that came outside a region, of all runtimes of the process: 0 or a bug.
  std::uint64_t signals_outside = 0;
};

}  // namespace paceline
