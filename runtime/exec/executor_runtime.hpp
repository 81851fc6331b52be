// SPDX-License-Identifier: BSL-1.0
// ExecutorRuntime: what a core runs - its collections, its strong executor, the task running now.
// Flow rooms: run, suspend, end. Called by its worker only, but for what is marked otherwise.
// It must never keep a pointer to per-worker state across user code (decision D15).
// Proof: tests/unit/exec/; its use of poll_slot: tests/model/wake_model.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <paceline/detail/promise.hpp>
#include <paceline/detail/suspension.hpp>
#include <paceline/qos.hpp>

#include "base/atomic.hpp"
#include "exec/executor.hpp"
#include "exec/group_book.hpp"
#include "exec/hold.hpp"
#include "exec/loot.hpp"
#include "exec/poll.hpp"
#include "exec/region.hpp"
#include "exec/surroundings.hpp"
#include "machine/machine.hpp"
#include "policy/class_turns.hpp"
#include "policy/fixed_watch.hpp"
#include "task/collection.hpp"
#include "task/sweep.hpp"
#include "trace/counters.hpp"

namespace paceline::core {

class ExecutorRuntime {
 public:
  ExecutorRuntime(Port& port, Worker& worker, const Surroundings& surroundings,
                  std::size_t stack_bytes);
  ExecutorRuntime(const ExecutorRuntime&) = delete;
  ExecutorRuntime& operator=(const ExecutorRuntime&) = delete;
  ~ExecutorRuntime() { retire(); }

  /// How a step ended.
  enum class Step : std::uint8_t {
    more,     // the budget is used up
    drained,  // nothing is left to poll here
    lost,     // the thread lost this runtime in that step: it must not touch it any more
  };
  /// Polls up to `budget` ready tasks on the strong executor. The worker's thread.
  Step step(unsigned budget) noexcept;

  /// The body of a batch; called by the executor, on its stack.
  static void run_polls(Executor& self) noexcept;

  /// Hands in a coroutine that has no slot; the next step runs it first, outside any task.
  /// At most kForeignBatch per step.
  void queue_foreign(std::coroutine_handle<> frame) noexcept { foreign_[foreign_count_++] = frame; }
  static constexpr unsigned kForeignBatch = 16;

  /// Ends the executors that are at rest; twice does nothing. After the last step; a task that is
  /// parked in the middle of a poll is left behind with its stack.
  void retire() noexcept;

  // --- demotion (demotion.cpp); on the stack of the executor that runs ---

  /// Somebody set the request word: parks this poll if that is still worth it (Answer::gave_way),
  /// or says why not. `by_signal`: in the handler, not at a safepoint.
  Answer at_safepoint(bool by_signal = false) noexcept;
  /// The request that was set could not be answered yet. Also without having come in.
  void ask_again() noexcept {
    if (surroundings_.ask_again != nullptr) surroundings_.ask_again(port_);
  }
  /// Sets aside what waiting on the stack takes. False: there is no stack, or no slot.
  bool reserve_for_wait() noexcept;
  /// Runs `frame`, a coroutine that returns to its resumer when it has ended, as part of the
  /// current task, and parks this poll until it has. After reserve_for_wait.
  static void run_here(Executor& self, std::coroutine_handle<> frame) noexcept;
  Executor& running() const noexcept { return *running_; }
  /// The class of the task that runs was not to be seen for a while.
  void note_current_class() noexcept;
  /// In run_here: the task must stay on this thread.
  bool waits_on_stack() const noexcept { return waits_on_stack_; }
  /// Executors parked in the middle of a poll. The worker's thread.
  unsigned weak_count() const noexcept { return weak_preempted_ + weak_waiting_; }

  // --- hand-off (handoff.cpp) ---
  //
  // While user code runs in a poll its thread touches nothing of the runtime, so another thread may
  // take it over. Every way from user code into the runtime begins with come_in.

  /// User code runs from here on. The thread of the poll.
  void go_out() noexcept { Hold::go_out(machine::own_record().inside); }
  /// Is the thread that drives this runtime out? Another thread.
  bool in_user_code() const noexcept {
    const Atomic<std::uint32_t>* inside = inside_.load(std::memory_order_acquire);  // M31
    return inside != nullptr && Hold::is_out(*inside);
  }
  /// User code has come back, or calls. The runtime of the calling thread from here on: this one,
  /// or the refuge if it has lost this one. The thread that went out.
  ExecutorRuntime& come_in() noexcept {
    machine::ThisThread& self = machine::own_record();
    if (self.inside.load(std::memory_order_relaxed) != 0) return *self.runtime;  // it stayed
    return come_in_from_outside();
  }
  /// The same for a thread that is known to be out.
  ExecutorRuntime& come_in_from_outside() noexcept {
    machine::ThisThread& self = machine::own_record();
    if (Hold::come_in(self.inside, port_, self.hold)) [[likely]]
      return *this;
    return come_in_late();
  }
  /// The hold word is not as the calling thread left it: waits until it is again, or for the
  /// refuge.
  ExecutorRuntime& come_in_late() noexcept;
  /// Frees what is kept for the end of the step.
  void flush_freed() noexcept;
  /// A thread, as a rule the calling one, drives this runtime from now on; `hold` is the hold word
  /// then.
  void take_charge(std::uint32_t hold,
                   machine::ThisThread& self = machine::this_thread()) noexcept {
    self.hold = hold;
    self.inside.store(1, std::memory_order_relaxed);  // M31
    mail_ = &self.mail;
    // Release. Pairs: in_user_code. Publishes: `mail_`, and that this thread is inside.
    inside_.store(&self.inside, std::memory_order_release);  // M31
    // Release. Pairs: signal_seat. Publishes: the region's numbers.
    port_.region.store(self.region, std::memory_order_release);  // M41
  }
  enum class Takeover : std::uint8_t {
    late,     // the hold word is another by now
    refused,  // its thread is not out, or there is no memory
    done,
  };
  /// Takes this runtime over from the thread that is out in its poll number `poll`, if the hold
  /// word is still `hold`, and gives that thread the refuge. Raises `count` before it may know.
  Takeover take_over(ExecutorRuntime& refuge, std::uint32_t hold, std::uint64_t poll,
                     Atomic<std::uint64_t>& count) noexcept;
  /// The task that is out there goes on here. The thread that went out.
  void pick_up() noexcept {
    away_.store(nullptr, std::memory_order_relaxed);
    take_up(*running_);
  }
  /// A refuge: the task that was out when its thread lost its worker, until it comes in. Any
  /// thread.
  Slot* away() const noexcept { return away_.load(std::memory_order_relaxed); }
  /// True for the refuge of a thread that has lost its worker: nobody steals from it or spawns to
  /// it.
  bool apart() const noexcept { return surroundings_.apart; }

  // --- the task that runs now ---

  /// Null while user code is asked between two polls, and while foreign work runs.
  Slot* current() const noexcept { return current_.get(); }
  /// The same, a hint for other threads.
  Slot* look_at_current() const noexcept { return current_.look(); }
  void set_outcome(Outcome outcome) noexcept { outcome_ = outcome; }
  /// Does a stack of this thread wait with the task of this slot? Then nobody else can run it. The
  /// worker's thread.
  bool stands_here(const Slot& slot) const noexcept;
  /// The task that runs now lives in another slot from now on.
  void move_current(Slot& to) noexcept { set_current(&to); }
  /// When the task that runs now is next ready it waits at its home, which is elsewhere, and not
  /// here as if it had been stolen.
  void current_goes_home() noexcept { goes_home_ = current(); }
  /// Resumes `next` when the present resumption has returned. False: no memory to remember it.
  bool post_transfer(std::coroutine_handle<> next) noexcept;

  // --- making tasks ready ---

  /// A task whose home is here. Not in a signal handler.
  void wake_home(Slot& slot) noexcept;
  /// A spawned task in a slot of this worker: publishes it. `page`: the slot's, in `collection`.
  [[gnu::always_inline]] void admit_home(Slot& slot, WakerPage& page,
                                         const TaskCollection& collection) noexcept {
    const unsigned own = collection.class_index();
    slot.state.admit();
    notify_home(page, slot, sweeps_[own].page() == &page);
    became_ready(own);
  }

  /// A timer was armed here. If tasks are ready, one of them may run past it: somebody should
  /// watch.
  void timer_armed() noexcept {
    if (ready_estimate() != 0 && surroundings_.sleepers->load(std::memory_order_relaxed) != 0) {
      surroundings_.help_wanted(port_, 1);
    }
  }

  /// A vacant slot that not only this worker hands out is free again, at the latest when the step
  /// ends.
  void give_back(Slot& slot) noexcept;
  /// Tiny tasks come from outside so fast that it pays to wait until some have come together: a
  /// step ends, as if drained, behind a pass to which others have added few.
  void let_gather(bool in_stream) noexcept { in_stream_ = in_stream; }
  /// One task ended here, or one piece of foreign work.
  void count_end() noexcept {
    // Release. Pairs: RuntimeCore::quiescent, which must not see an end before its spawn.
    counters_.completed.store(counters_.completed.load(std::memory_order_relaxed) + 1,
                              std::memory_order_release);  // M21
  }

  Port& port() const noexcept { return port_; }
  Worker& worker() const noexcept { return *worker_; }
  Loot& loot() noexcept { return loot_; }
  const Loot& loot() const noexcept { return loot_; }
  bool loot_empty() const noexcept { return loot_.empty(); }
  Counters& counters() noexcept { return counters_; }
  const Counters& counters() const noexcept { return counters_; }
  /// How many tasks are ready here, roughly: what thieves took is counted until the worker's next
  /// look at the clock.
  std::uint64_t ready_estimate() const noexcept {
    const auto left =
        static_cast<std::int64_t>(made_ready_ - port_.polls.load(std::memory_order_relaxed));
    return left > 0 ? static_cast<std::uint64_t>(left) : 0;
  }
  /// Thieves took so many of them.
  void forget_ready(std::uint64_t taken) noexcept {
    made_ready_ -= std::min(ready_estimate(), taken);
  }
  /// Polls that nobody had counted are no debt of those to come.
  void owe_no_polls() noexcept {
    if (ready_estimate() == 0) made_ready_ = port_.polls.load(std::memory_order_relaxed);
  }
  /// A claimed task joins the loot; only when that is not full.
  void add_loot(Slot& slot) noexcept {
    loot_.push(slot);
    ++made_ready_;
    settled_ = kUnsettled;
  }
  /// A claimed task that is polled first in the next step and that nobody can take before. Only
  /// while there is none. What was taken from another's loot comes here: through the loot two
  /// thieves could hand it to and fro for ever.
  void poll_first(Slot& slot) noexcept {
    first_ = &slot;
    ++made_ready_;
  }
  bool has_first() const noexcept { return first_ != nullptr; }
  /// As if there were no memory for what task groups need: for tests.
  void do_without_group_book() noexcept { no_group_book_ = true; }
  /// Raised when the whole runtime was asked to stop.
  const Atomic<bool>* stopping() const noexcept { return surroundings_.stopping; }
  bool stop_requested(const detail::PromiseBase& root) const noexcept {
    return (root.stop.load(std::memory_order_seq_cst) & 1) != 0 ||   // M16
           surroundings_.stopping->load(std::memory_order_seq_cst);  // M17
  }
  void report_unhandled(detail::PromiseBase& promise) noexcept {
    surroundings_.unhandled(*this, promise);
  }

 private:
  struct Picked;
  struct PollHost;
  struct HomeHost;
  struct TakenHost;

  // Executors kept for the next demotion; the rest give their stacks back to the pool.
  static constexpr unsigned kSparesMax = 4;

  // Inlined into run_polls, their one caller: a poll costs as much as a few calls.
  [[gnu::always_inline]] Picked pick() noexcept;
  [[gnu::always_inline]] static void poll_home(Executor& self, const Picked& picked) noexcept;
  [[gnu::always_inline]] Picked pick_unsettled(Word raised) noexcept;
  [[gnu::noinline]] Picked pick_noted() noexcept;
  [[gnu::noinline]] Picked pick_among_all() noexcept;
  static void poll(Executor& self, Slot& slot) noexcept;
  void note_stale() noexcept;
  [[gnu::noinline]] static void not_polled(Executor& self, const Slot& slot, Claim claim) noexcept;
  [[gnu::noinline]] static void poll_taken(Executor& self, Slot& slot) noexcept;
  /// The thread is out. Gives the runtime of `self` afterwards.
  [[gnu::always_inline]] static ExecutorRuntime& resume_chain(
      Executor& self, std::coroutine_handle<> frame) noexcept;
  [[gnu::noinline]] static void resume_posted(Executor& self) noexcept;
  /// One more is ready here. Did that call for somebody?
  bool count_ready() noexcept {
    ++made_ready_;
    if (surroundings_.sleepers->load(std::memory_order_relaxed) == 0) [[likely]]
      return false;
    surroundings_.help_wanted(port_, ready_estimate());
    return true;
  }
  /// While a poll runs; `own` is the class of what has become ready.
  void became_ready(unsigned own) noexcept {
    if (count_ready() && surroundings_.alike) return;
    // Nobody else could come, or perhaps nobody who may. If this is more important than what runs
    // here, or that is overdue, it gives way at its next safepoint.
    const std::uint32_t runs = port_.run_class.load(std::memory_order_relaxed);
    if (own < runs) [[unlikely]]
      ask_running(runs);
  }
  [[gnu::noinline]] void ask_running(std::uint32_t runs) noexcept;
  void count_arrived(unsigned arrived) noexcept;
  void rearm(Slot& slot) noexcept;
  void put_back(Slot& slot) noexcept;

  // demotion.cpp
  static Rest run_parked(Executor& below, Slot& claimed) noexcept;
  static void park(Executor& self, Standing standing) noexcept;
  void set_aside(Executor& self) noexcept;
  void take_up(Executor& self) noexcept;
  void receive(Executor& executor) noexcept;
  void list_parked(Executor& executor) noexcept;
  void unlist_parked(Executor& executor) noexcept;
  void publish_parked(Executor& executor) noexcept;
  static void show_parked(Executor& executor) noexcept;
  void replace_strong() noexcept;
  bool reserve() noexcept;
  bool reserve_fresh() noexcept;
  static void furnish_slot(Executor& executor, Slot& slot) noexcept;
  /// Moves everything that is bound to the thread that is out in user code to that thread's refuge;
  /// the rest is the caller's. False: no memory, or no task is out there;
  /// nothing changed.
  bool hand_over(ExecutorRuntime& refuge) noexcept;
  void move_out(Executor& executor, ExecutorRuntime& refuge) noexcept;
  bool give_slot(Executor& executor) noexcept;
  static Outcome how_it_rests(Slot& slot) noexcept;
  void count_weak(Standing standing, int change) noexcept;
  void spare(Executor& executor) noexcept;
  void trim_spares(unsigned keep) noexcept;
  void vacate_own(Executor& executor) noexcept;
  void leave_slot(Slot& slot) noexcept;
  void vacate_claimed(Slot& slot) noexcept;
  void destroy(Executor& executor) noexcept;

  // turn.cpp
  void take_turns() noexcept;
  bool goes_on(unsigned own, bool strong_is_ready, Nanos now) noexcept;
  Word weak_ready() noexcept;
  Executor* least_served(unsigned own_class, unsigned group) const noexcept;
  bool should_give_way(unsigned own, bool slice_is_over, Nanos now) noexcept;
  Nanos charge_strong(Nanos now) noexcept;
  void charge(Executor& weak, const Slot& task, Nanos now) noexcept;
  void charge_after_poll(Executor& weak) noexcept;
  void opens_share(Executor& weak, Nanos now) noexcept;
  Nanos parked_when(const Executor& executor) const noexcept;
  void moves_share(Executor& weak, ExecutorRuntime& refuge) noexcept;
  [[gnu::noinline]] unsigned choose_class(Word ready) noexcept;
  unsigned choose_class(Word ready, Nanos now) noexcept;
  Word tasks_ready() noexcept;

  // group_turn.cpp
  GroupBook* group_book() noexcept;
  policy::Turns& turns_of(unsigned group) noexcept;
  void bill_group(Nanos now) noexcept;
  void serve_class(unsigned own_class, Nanos now) noexcept;
  void end_group_turn() noexcept;
  void open_group_bill() noexcept;
  void forget_groups_gone() noexcept;
  void close_group_bill(bool all_rest) noexcept;
  Word groups_ready(unsigned own_class) const noexcept;
  bool group_ready(unsigned own_class, unsigned group) const noexcept;
  unsigned choose_group(unsigned own_class, Word ready) noexcept;
  bool group_goes_on(unsigned own_class, unsigned group) noexcept;
  [[gnu::noinline]] Slot* pick_in_groups(unsigned own_class, unsigned& arrived) noexcept;
  /// Is anything of a task group ready in the class?
  bool has_groups(unsigned own_class) const noexcept {
    return ((port_.task_groups[own_class].load(std::memory_order_relaxed) |
             weak_groups_[own_class]) &
            ~bit(0)) != 0;
  }

  void set_current(Slot* slot) noexcept {
    current_.set(slot);
    machine::own_record().task = slot;
  }
  void note_class(unsigned class_index) noexcept {
    // Others read the line: it is theirs as well while nothing changes.
    if (class_index == port_.run_class.load(std::memory_order_relaxed)) return;
    port_.run_class.store(class_index, std::memory_order_relaxed);
  }
  void note_turn_end(Nanos end) noexcept {
    if (end == port_.turn_end.load(std::memory_order_relaxed)) return;
    port_.turn_end.store(end, std::memory_order_relaxed);
  }

  Port& port_;
  Worker* worker_;
  const Surroundings surroundings_;

  // The run.
  Shown<Slot*> current_;
  Slot* first_ = nullptr;
  const Slot* goes_home_ = nullptr;                   // an address, maybe of a task long gone
  std::coroutine_handle<> posted_;                    // resumed next,
  std::vector<std::coroutine_handle<>> posted_more_;  // and after it; rarely any
  Outcome outcome_ = Outcome::none;
  bool drained_ = false;
  bool in_stream_ = false;
  bool few_came_ = false;  // from outside in the pass that is served
  bool loot_turn_ = false;
  unsigned budget_ = 0;
  std::uint64_t made_ready_ = 0;  // the number of polls that there will be, roughly
  unsigned foreign_count_ = 0;
  std::array<std::coroutine_handle<>, kForeignBatch> foreign_;

  // Executors. At most one of them runs.
  const std::size_t stack_bytes_;
  Executor* strong_ = nullptr;
  Executor* running_ = nullptr;
  Executor* fresh_ = nullptr;   // set aside to be the next strong one
  Executor* spares_ = nullptr;  // at rest
  Executor* parked_ = nullptr;  // in the middle of a poll
  unsigned spare_count_ = 0;
  unsigned weak_preempted_ = 0;
  unsigned weak_waiting_ = 0;
  bool waits_on_stack_ = false;
  Atomic<const Atomic<std::uint32_t>*> inside_{nullptr};  // of the thread that drives it
  Atomic<ExecutorRuntime*>* mail_ = nullptr;
  Atomic<Slot*> away_{nullptr};

  // Freed slots of one page on their way back, so that a pass over a page frees it with one RMW.
  Group* freed_group_ = nullptr;
  unsigned freed_page_ = 0;
  Word freed_ = 0;

  // Turns of weak executors.
  Word weak_classes_ = 0;   // of those that wait, roughly
  bool weak_next_ = false;  // this step ends, for it is a weak one's turn
  Slot* turn_ = nullptr;    // polled first in this step
  policy::Turns turns_;
  Nanos turn_since_ = 0;  // up to here everybody has been billed
  Nanos overrun_ = 0;     // of what gives way just now, since it was asked
  std::uint64_t parkings_ = 0;
  Sweep weak_sweep_;  // over what remains of slots that serve nobody any more

  // Which class: good for so many polls, while the ready ones stay the same.
  policy::ClassTurns class_turns_;
  policy::FixedWatch fixed_watch_;
  Word chosen_among_ = 0;
  unsigned chosen_ = 0;
  unsigned chosen_polls_ = 0;
  // The port's class word for which all of this stands, and nothing else is to be asked before the
  // next task of the page that is being served, by that sweep.
  static constexpr Word kUnsettled = ~Word{0};
  Word settled_ = kUnsettled;
  Sweep* serving_ = nullptr;
  // For whom the poll of that number gave way: the next question is the same one.
  struct Foreseen {
    Word among = 0;
    std::uint64_t poll = 0;
    unsigned answer = 0;
    Nanos at = 0;
  };
  Foreseen foreseen_;

  // Which task group, while several have tasks ready; and who is billed for what runs.
  std::array<Word, qos_count> weak_groups_{};  // of those in weak_classes_
  Word chosen_among_groups_ = 0;
  unsigned served_class_ = 0;
  unsigned served_group_ = 0;
  unsigned group_polls_ = 0;
  bool group_bill_open_ = false;
  bool no_group_book_ = false;
  Nanos group_since_ = 0;  // up to here everybody has been billed
  std::unique_ptr<GroupBook> group_book_;

  std::array<Sweep, qos_count> sweeps_;  // of tasks without a group
  Loot loot_;
  Counters counters_;
};

inline ExecutorRuntime& ExecutorRuntime::resume_chain(Executor& self,
                                                      std::coroutine_handle<> frame) noexcept {
  frame.resume();
  ExecutorRuntime& now = machine::own_record().runtime->come_in();
  if (!now.posted_) [[likely]]
    return now;
  resume_posted(self);
  return self.runtime();
}

}  // namespace paceline::core
