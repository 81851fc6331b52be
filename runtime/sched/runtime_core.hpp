// SPDX-License-Identifier: BSL-1.0
// RuntimeCore: the workers of one runtime, their start, their end, and what they share.
// Flow rooms: start, spawn (place), stop. Any thread, unless marked.
// It must never be destroyed while a worker may still run: workers hold references.
// Proof: tests/unit/api/runtime_test.cpp, tests/fault/, coretest shutdown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <paceline/options.hpp>
#include <paceline/stats.hpp>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "base/time.hpp"
#include "machine/machine.hpp"
#include "machine/overflow.hpp"
#include "machine/thread_class.hpp"
#include "sched/clusters.hpp"
#include "sched/crew.hpp"
#include "sched/group_board.hpp"
#include "sched/idle.hpp"
#include "sched/monitor.hpp"
#include "sched/steering.hpp"
#include "sched/worker.hpp"

namespace paceline::detail {
struct PromiseBase;
struct StopRecord;
}  // namespace paceline::detail

namespace paceline::core {

/// How many workers, and where.
struct WorkerPlan {
  std::size_t workers = 1;
  bool pin = false;
  std::vector<int> cpus;  // of the pinned workers; the usable ones
};

/// Pure: from what the machine says to a plan. `quota`: CPUs' worth of time granted, <= 0 for none.
/// Workers are bound only if there is one per usable core: a smaller set bound to the first cores
/// would collide with every other process that does the same.
WorkerPlan plan_workers(std::size_t asked, bool pin, std::vector<int> usable, double quota);

/// The workers of a machine: plan_workers for this one; for another one virtual workers, never
/// bound, whatever mask and quota say.
WorkerPlan plan_for(const runtime_options& options, const topology& machine);

class RuntimeCore {
 public:
  /// Throws std::invalid_argument, std::system_error or std::bad_alloc; then nothing is left.
  static RuntimeCore* start(runtime_options options);

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  /// What ~runtime does. Gives up the caller's reference.
  void shut_down() noexcept;

  /// Throws std::logic_error in the child of a fork.
  void require_same_process(const char* caller) const {
    if (machine::fork_generation() != fork_generation_) throw_other_process(caller);
  }

  // --- work ---

  /// Counts one task from an outside thread and admits it, or throws runtime_stopped. Its number
  /// among those.
  std::uint64_t admit_from_outside(const char* caller) {
    // Counted first, then checked; the stopper raises the flag first and then counts. So a task is
    // either refused here or waited for there (failure L2).
    const std::uint64_t before = outside_spawned_.fetch_add(1, std::memory_order_seq_cst);  // M21
    if (stopping()) [[unlikely]]
      refuse_from_outside(caller);
    return before + 1;
  }
  /// The same for a task's own children while the runtime may be stopping.
  std::uint64_t count_from_outside() noexcept {
    return outside_spawned_.fetch_add(1, std::memory_order_seq_cst) + 1;  // M21
  }
  /// The admitted task could not be started.
  void forget_from_outside() noexcept;
  /// The seat for a task of a class from elsewhere; `core` was asked for by the user. Any thread.
  Seat& place(const std::optional<std::size_t>& core, unsigned qos_class) noexcept;
  /// Does the last answer that the calling thread got hold for one more task?
  bool goes_on_with_run(unsigned qos_class) const noexcept {
    const machine::ThisThread& self = machine::own_record();
    return self.placements_left != 0 && self.placed_runtime == id_ &&
           (self.placed_class == qos_class || !clusters_.several());
  }
  /// That answer. Only if it does.
  Seat& place_in_run() noexcept {
    machine::ThisThread& self = machine::own_record();
    if (self.placements_left == 1) return end_run();
    --self.placements_left;
    return *seats_[self.placed_seat];
  }
  /// The last one placed was neither the first nor the last of its run.
  static bool is_midway() noexcept {
    const machine::ThisThread& self = machine::own_record();
    return self.placements_left != 0 && self.placements_left + 1 != self.placement_run;
  }
  /// The least loaded seat of the cluster that the Edge policy chooses for a class. Only where
  /// there are several clusters; `taken_cpu` as below. Any thread.
  Seat& emptiest_for(unsigned qos_class, int taken_cpu = -1) noexcept;
  /// The least loaded seat of those looked at; one whose worker is bound to `taken_cpu` counts as
  /// unable to run for a while (-1: none). Any thread.
  Seat& emptiest(int taken_cpu = -1) noexcept;
  /// The index of the least loaded worker among these, which hold one at least. Any thread.
  std::size_t emptiest_of(std::span<const std::size_t> workers, int taken_cpu = -1) const noexcept;

  void request_stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_seq_cst); }  // M17
  /// No task lives. Any thread.
  bool quiescent() const noexcept;
  /// Blocks until no task lives and every worker sleeps, or until `deadline`. False: deadline.
  bool wait_idle(Nanos deadline) noexcept;
  /// Called by a worker that is about to sleep.
  void worker_rests() noexcept;
  void trim() noexcept;

  // --- for workers and reports ---

  Worker& worker(std::size_t index) noexcept { return *workers_[index]; }
  const Worker& worker(std::size_t index) const noexcept { return *workers_[index]; }
  std::size_t worker_count() const noexcept { return plan_.workers; }
  /// The machine whose core i, or i modulo its cores, worker i is.
  const topology& machine() const noexcept { return machine_; }
  GroupBoard& groups() noexcept { return groups_; }
  const GroupBoard& groups() const noexcept { return groups_; }
  /// Of a group that the caller has a handle of: see GroupBoard::index_of.
  unsigned index_of(TaskGroup& group) { return groups_.index_of(group, id_, seats_); }
  /// Empty where cores are alike, or workers are neither bound nor virtual.
  const CpuKinds& cpu_kinds() const noexcept { return cpu_kinds_; }
  /// A worker's thread was found on the wrong kind of core and is bound once more.
  void note_rebound() noexcept { rebound_.fetch_add(1, std::memory_order_relaxed); }
  machine::ThreadClasses& thread_classes() noexcept { return thread_classes_; }
  Hub& hub() noexcept { return *hub_; }
  std::uint32_t id() const noexcept { return id_; }
  /// The id of a task by its number among those of a lane: 0 for all outside threads, then one for
  /// each worker. Lanes and 2^48 numbers per runtime make ids unique in the process without a
  /// shared counter, and small in a process with one runtime.
  std::uint64_t task_id(std::uint64_t sequence, std::size_t lane) const noexcept {
    return first_task_id_ | (sequence * lanes_ + lane);
  }
  const runtime_options& options() const noexcept { return options_; }
  runtime_stats stats() const;
  /// The calling worker is awake again.
  void worker_woke() noexcept {
    if (monitor_) monitor_->worker_woke();
  }
  /// Does a worker whose thread is away change its thread?
  bool hands_off() const noexcept { return options_.preemption == preemption_mode::automatic; }
  /// The signal that preempts in async regions; 0: none.
  int async_signal() const noexcept { return async_signal_; }
  Crew& crew() noexcept { return crew_; }
  const Clusters& clusters() const noexcept { return clusters_; }
  Clusters& clusters() noexcept { return clusters_; }
  /// The controller over them, on the monitor's thread.
  Steering& steering() noexcept { return steering_; }
  const Crew& crew() const noexcept { return crew_; }
  const Surroundings& surroundings() const noexcept { return surroundings_; }
  /// Null with preemption_mode::off.
  const Monitor* monitor() const noexcept { return monitor_.get(); }
  void note_unpinned(int cpu, int error) noexcept;
  void unhandled(detail::PromiseBase& promise) noexcept;
  void count_unhandled() noexcept;

  void list(detail::StopRecord& record);
  void unlist(detail::StopRecord& record) noexcept;

  /// Calls visit(slot, collection, home) for every live slot. Any thread.
  template <class Visit>
  void each_live_slot(Visit&& visit) const {
    for (Seat* seat : seats_) each_live_slot_of(*seat, visit);
  }
  template <class Visit>
  static void each_live_slot_of(Seat& seat, Visit&& visit) {
    each_collection(seat, [&](TaskCollection& collection) {
      collection.each_page([&](Group& group, unsigned page) {
        Slot* slots = group.page_slots(page);
        for (unsigned i = 0; i < kPageSlots; ++i) {
          if (StateWord::phase_of(slots[i].state.peek(std::memory_order_seq_cst)) !=  // M17
              Phase::vacant) {
            visit(slots[i], collection, seat.index);
          }
        }
      });
    });
  }

  /// The runtime with that id, retained, or null. Any thread.
  static RuntimeCore* find(std::uint32_t id) noexcept;

 private:
  [[noreturn]] static void throw_other_process(const char* caller);
  [[noreturn]] void refuse_from_outside(const char* caller);
  explicit RuntimeCore(runtime_options options);
  ~RuntimeCore();
  void start_workers();
  void stop_workers(std::size_t started) noexcept;
  void give_up_on_tasks() noexcept;
  void report_holders() noexcept;
  bool retain_if_alive() noexcept;
  void unregister() noexcept;
  static void push_front(detail::StopRecord*& list, detail::StopRecord& record) noexcept;
  void detach(detail::StopRecord& record) noexcept;
  std::stop_source next_unstopped();
  void stop_records() noexcept;
  void settle_clusters();
  Worker::Plan plan_worker(unsigned index) const;
  static Nanos expected_wait(const Seat& seat, int taken_cpu) noexcept;
  Seat& end_run() noexcept;
  static void thread_body(void* worker) noexcept;

  const runtime_options options_;
  const topology machine_;
  const WorkerPlan plan_;
  const std::uint64_t fork_generation_;
  const std::uint32_t id_;
  const std::uint64_t first_task_id_ = (std::uint64_t{id_} - 1) << 48;
  const std::uint64_t lanes_ = plan_.workers + 1;
  const int async_signal_;  // 0: none

  Hub* hub_ = nullptr;
  std::vector<Seat*> seats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<machine::ThreadHandle> threads_;
  CpuKinds cpu_kinds_;
  Clusters clusters_;
  Steering steering_;
  std::unique_ptr<Monitor> monitor_;
  std::optional<machine::OverflowReports> overflow_reports_;
  Surroundings surroundings_;
  Crew crew_{*this};
  machine::ThreadClasses thread_classes_;
  GroupBoard groups_;

  Atomic<bool> stopping_{false};
  Atomic<bool> orphaned_{false};  // destroyed on an own worker: the workers end by themselves
  Atomic<bool> said_unpinned_{false};
  Atomic<std::uint32_t> references_{1};
  bool abandoned_ = false;

  alignas(kCacheLinePair) Atomic<std::uint64_t> outside_spawned_{0};
  Atomic<std::uint64_t> outside_forgotten_{0};
  Atomic<std::uint64_t> unhandled_{0};
  Atomic<std::uint64_t> rebound_{0};
  Atomic<std::uint32_t> idle_waiters_{0};
  Atomic<std::uint32_t> idle_epoch_{0};  // futex of wait_idle

  Mutex stop_list_lock_{LockRank::stop_list};
  detail::StopRecord* stop_list_ = nullptr;     // not asked to stop by this runtime yet
  detail::StopRecord* stopped_list_ = nullptr;  // asked

  RuntimeCore* next_registered_ = nullptr;
};

/// Hands an exception that nobody can join to the runtime's hook, or to stderr if `core` is null or
/// has none. operation_cancelled is no failure and is dropped.
void report_unhandled(RuntimeCore* core, const std::exception_ptr& error,
                      std::string_view name) noexcept;

}  // namespace paceline::core
