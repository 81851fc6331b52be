// SPDX-License-Identifier: BSL-1.0
// Crew: the spare threads of one runtime, which take over workers whose threads are away.
// Flow room: preempt. The monitor sends; the spare threads serve.
// It must never take a worker back from a thread that works.
// Proof: tests/unit/api/blocking_test.cpp, coretest blocking.
#pragma once

#include <cstdint>
#include <memory>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "sched/idle.hpp"
#include "sched/stalls.hpp"

namespace paceline::core {

class FrameHeap;
class RuntimeCore;
class Worker;

/// Where a thread that has lost its worker finishes what is bound to it: a runtime that nobody
/// steals from and nobody spawns to. It also is the place where a spare thread waits for a job. A
/// takeover gives it to the thread that loses: each spare thread has one, threads that drive a
/// worker have none.
///
/// `word`: kIdle -> kSent by whoever sends it (the monitor, or the end), kSent -> kIdle by its
/// thread. `job` is written before kSent and read after it.
struct Refuge {
  static constexpr std::uint32_t kIdle = 0;
  static constexpr std::uint32_t kSent = 1;

  /// Throws std::bad_alloc.
  Refuge(RuntimeCore& core, Worker& any, const Surroundings& surroundings);

  RuntimeCore& core;
  const std::unique_ptr<Seat, void (*)(Seat*) noexcept> own_seat;
  Seat& seat;
  const std::unique_ptr<FrameHeap, void (*)(FrameHeap*) noexcept>
      heap;  // of the thread it began with
  ExecutorRuntime runtime;
  Atomic<std::uint32_t> word{kIdle};
  Worker* job = nullptr;   // null: the end
  std::uint32_t hold = 0;  // the job's hold word,
  std::uint64_t poll = 0;  // and the poll that is to lose it
  Refuge* next_idle = nullptr;
  // The monitor's.
  std::uint64_t seen_poll = 0;
  Nanos seen_since = 0;
  Suspect suspect;  // the poll that is to lose the job's worker, if it answers no request
  int suspect_thread = 0;
  Atomic<unsigned> suspect_worker{0};  // a dump looks at it
};

class Crew {
 public:
  explicit Crew(RuntimeCore& core) noexcept : core_(core) {}
  ~Crew();

  static constexpr std::size_t kMax = 64;

  /// Lets a spare thread take `worker` over from its poll with that number, if the hold word is
  /// still `hold`. `suspect`: what is known of that poll. False: there is no spare thread and none
  /// can be started. The monitor.
  bool send(Worker& worker, std::uint32_t hold, std::uint64_t poll,
            const Suspect& suspect) noexcept;

  /// What a thread does that has lost its worker: it serves its refuge until nothing is bound to
  /// the thread any more, then waits for a job, and so on. Returns when the runtime ends.
  void serve() noexcept;

  /// Lets the threads that wait end, and those that will; then joins or detaches the spare ones.
  void dismiss() noexcept;
  void end(bool join) noexcept;

  /// The runtime is abandoned: threads on which stacks wait for ever end as well.
  void give_up() noexcept;

  /// Calls visit(refuge) for all of them. Any thread.
  template <class Visit>
  void each(Visit&& visit) const {
    const std::size_t count = count_.load(std::memory_order_acquire);  // M32
    for (std::size_t i = 0; i < count; ++i) visit(*refuges_[i]);
  }
  bool owns_this_thread() const noexcept;

  std::uint64_t handoffs() const noexcept { return handoffs_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  static void thread_body(void* refuge) noexcept;
  Refuge* take_idle() noexcept;
  Refuge* start_one() noexcept;
  bool await_job(Refuge& refuge) noexcept;
  bool take_over(Refuge& refuge, Worker& worker) noexcept;
  void wait_for_jobs(Refuge& first) noexcept;
  Refuge& refuge_of(const ExecutorRuntime& runtime) const noexcept;
  void finish_bound(Refuge& refuge) noexcept;

  RuntimeCore& core_;
  std::unique_ptr<Refuge> refuges_[kMax];
  machine::ThreadHandle threads_[kMax] = {};
  Atomic<std::size_t> count_{0};  // grows; by the monitor only
  Mutex lock_{LockRank::crew};
  Refuge* idle_ = nullptr;
  bool ending_ = false;
  Atomic<bool> given_up_{false};
  Atomic<std::uint64_t> handoffs_{0};
  Atomic<std::uint64_t> refused_{0};
};

}  // namespace paceline::core
