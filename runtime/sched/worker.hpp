// SPDX-License-Identifier: BSL-1.0
// Worker: the OS thread that drives one core's ExecutorRuntime.
// Flow room: run. The loop below is the whole of it: step, look after time, gather, search, park.
// It must never sleep while work of its own is visible, nor spin for long while there is none.
// Proof: tests/unit/sched/worker_test.cpp, coretest.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "policy/edge_table.hpp"
#include "sched/idle.hpp"
#include "sched/inbox.hpp"
#include "sched/residence.hpp"
#include "sched/steal.hpp"
#include "sched/timers.hpp"

namespace paceline::core {

class FrameHeap;
class RuntimeCore;

class Worker {
 public:
  struct Range {
    unsigned first = 0;
    unsigned last = 0;  // one past
  };
  struct Plan {
    unsigned index = 0;
    int cpu = -1;                                      // bind to it; -1: do not bind
    std::optional<machine::ThreadClass> thread_class;  // asked for its thread
    unsigned kind = 0;                                 // of core that it is meant for
    std::size_t stack_bytes = 0;
    std::vector<unsigned> victims;  // the other workers, nearest first, cluster by cluster
    std::vector<Range> of_cluster;  // where in `victims` those of a cluster are; see Clusters
  };

  /// Throws std::bad_alloc.
  Worker(RuntimeCore& core, Seat& seat, Hub& hub, const Surroundings& surroundings, Plan plan);
  ~Worker();

  /// The life of the thread it starts with; see drive.
  bool run() noexcept;
  /// Frames of the thread it starts with, whichever worker that drives later.
  FrameHeap& first_heap() const noexcept { return *first_heap_; }
  /// Runs the worker on the calling thread, which has taken charge. False: the runtime lets its
  /// workers go. True: the thread has lost the worker to another one and must not touch it any
  /// more.
  bool drive() noexcept;

  /// The poll that runs leaves the worker alone until it calls pick_up: another thread may take it
  /// over. Gives what pick_up wants. The worker's thread.
  std::uint32_t set_down() noexcept;
  /// The poll goes on: on the worker, or in the refuge of its thread.
  void pick_up(std::uint32_t lent) noexcept;

  /// The calling thread drives no worker any more.
  static void settle_out() noexcept;
  /// The system's number of the thread that drives it.
  int thread_number() const noexcept { return thread_number_.load(std::memory_order_relaxed); }

  ExecutorRuntime& runtime() noexcept { return runtime_; }
  const ExecutorRuntime& runtime() const noexcept { return runtime_; }
  TimerWheel& timers() noexcept { return timers_; }
  Inbox& inbox() noexcept { return inbox_; }
  Seat& seat() noexcept { return seat_; }
  RuntimeCore& core() noexcept { return core_; }
  unsigned index() const noexcept { return plan_.index; }
  const Residence& residence() const noexcept { return residence_; }
  bool pinned() const noexcept { return pinned_.load(std::memory_order_relaxed); }

  /// There is a note, and `next` is about to be polled here: see Surroundings::instead. The
  /// worker's thread.
  Slot* look_at_note(Slot* next) noexcept;

  /// Asks the worker to leave its loop once it has nothing to do. Any thread.
  void let_go() noexcept;
  /// Asks the worker to give unused memory back soon. Any thread.
  void want_trim() noexcept;

  /// Moves whenever the worker starts a poll.
  std::uint64_t epoch() const noexcept { return seat_.polls.load(std::memory_order_relaxed); }

 private:
  struct Victim {
    RaidCursors cursors{};
    std::uint64_t epoch = 0;  // at note_epochs
  };
  /// How long ago note_epochs was.
  enum class Epochs : std::uint8_t {
    fresh,
    old,      // whoever has started no poll since counts as stuck
    watched,  // for so long that it keeps its mail waiting, too
  };
  /// Victims, by place in plan_.victims, and what may be taken from them.
  struct Prey {
    unsigned first;
    unsigned last;
    Word classes;
    bool lone = false;         // also the only ready task of a victim that is getting on
    bool loot_only = false;    // what they have stolen or been sent and not begun, nothing else
    bool to_be_asked = false;  // nothing may be taken, but a task that runs there is wanted here
    unsigned at_most = kPageSlots;
    Atomic<std::uint64_t> Counters::* counted = nullptr;  // besides the steals
  };

  void settle_in() noexcept;
  bool bind() noexcept;
  void look_after_time() noexcept;
  void fit_batch(Nanos took, std::uint64_t polls) noexcept;
  void gather() noexcept;
  bool take_from_inbox() noexcept;
  bool own_work_visible() const noexcept;
  bool any_work_visible() noexcept;

  bool search() noexcept;
  void weigh_last_raid(Nanos now) noexcept;
  bool nap(Nanos now) noexcept;
  bool await_answer(bool& called) noexcept;
  Wakeup nap_until(Nanos until) noexcept;
  template <class Visit>
  bool each_prey(Visit&& visit) noexcept;
  bool raid(Epochs epochs, bool& more) noexcept;
  unsigned raid_one(unsigned v, const Prey& prey, Epochs epochs, bool& more) noexcept;
  Seat& victim(std::size_t v) noexcept;
  void note_epochs() noexcept;

  // giving.cpp
  void consider_giving(Nanos now) noexcept;
  void ask_rebalance() noexcept;
  void keep(Slot& slot) noexcept;
  bool parts_with(Slot& next, const Mail& mail) noexcept;
  bool sends_home(Slot& slot, qos q) noexcept;
  bool shares(Slot& slot, qos q) noexcept;
  bool gives_to_free(Slot& slot, policy::ClusterIndex there) noexcept;
  bool gives_turn(Slot& slot, qos q, Nanos now) noexcept;
  bool makes_room(Slot& slot, qos q, const Mail& newcomer) noexcept;
  bool moving_pays(Nanos now) const noexcept;
  bool polls_are_long() const noexcept;
  bool more_is_ready() const noexcept;
  Nanos quantum_of(qos q) const noexcept;

  void rest() noexcept;
  void note_rest(Nanos slept) noexcept;
  bool others_have_work() noexcept;
  void call_for_others(bool stuck) noexcept;
  bool all_others_sleep() const noexcept;
  bool all_sleep() const noexcept;
  bool begin_watch() noexcept;
  bool end_watch() noexcept;
  Nanos watch_until(Nanos now) noexcept;
  bool look_after_others(Nanos now) noexcept;
  void trim() noexcept;

  RuntimeCore& core_;
  Seat& seat_;
  Hub& hub_;
  const Plan plan_;
  const std::unique_ptr<FrameHeap, void (*)(FrameHeap*) noexcept> first_heap_;
  ExecutorRuntime runtime_;
  TimerWheel timers_;
  Inbox inbox_;
  Residence residence_;

  unsigned batch_;            // polls until the next look at the clock
  Nanos last_look_ = 0;       // and when the last one was
  bool called_ = false;       // counted as a searcher by whoever called
  unsigned quiet_looks_ = 0;  // of the watch, without a finding
  std::uint64_t polls_at_look_ = 0;
  std::uint64_t polls_at_rest_ = 0;
  Nanos trim_at_ = kForever;      // give unused memory back then
  std::vector<Victim> victims_;   // parallel to plan_.victims
  std::uint32_t came_ = 0;        // spawns from elsewhere between the last two looks,
  Nanos came_within_ = 0;         // which lay so far apart,
  Nanos came_since_ = 0;          // the later one then
  unsigned lone_quick_ = 0;       // of these, lone ones that came quickly
  Nanos raided_at_ = 0;           // the last raid whose gain is not weighed yet; 0: none
  const Seat* raided_ = nullptr;  // at whom
  unsigned raided_tasks_ = 0;
  Nanos raid_pause_ = 0;  // wait so long before the next raid: they do not pay
  Nanos awake_since_ = 0;
  Nanos give_again_at_ = 0;  // before, what runs here is nobody else's
  Nanos answer_by_ = 0;      // until then somebody may come in the place of who took a turn
  Atomic<bool> let_go_{false};
  Atomic<bool> want_trim_{false};
  unsigned refused_pins_ = 0;
  unsigned served_ = 0;  // the class that it served last
  Atomic<bool> pinned_{false};
  Atomic<int> thread_number_{0};
};

}  // namespace paceline::core
