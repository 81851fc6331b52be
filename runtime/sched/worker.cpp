// SPDX-License-Identifier: BSL-1.0
#include "sched/worker.hpp"

#include <algorithm>
#include <utility>

#include "exec/async.hpp"
#include "exec/hold.hpp"
#include "machine/frame_heap.hpp"
#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

// Polls between two looks at the clock. The batch shrinks while polls are long, so that timers and
// the inbox are looked after about every kLookAfter however long the polls are.
constexpr unsigned kBatchMax = 256;
constexpr Nanos kLookAfter = 50 * kMicrosecond;

// How long a worker searches before it sleeps. Of the order of what a park and an unpark cost
// together (docs/benchmarks.md, "What a wake costs"): searching longer cannot pay.
constexpr Nanos kSearchFor = 30 * kMicrosecond;
// A victim that has started no poll for so long keeps its ready tasks waiting.
constexpr Nanos kStuckAfter = 5 * kMicrosecond;

// A raid pays if the thief is busy for at least so long per stolen task: moving a task's lines
// there and back costs both sides some hundred nanoseconds (docs/benchmarks.md, "What a steal
// costs").
constexpr Nanos kRaidPays = 500;
// After raids that did not pay the thief waits before the next, twice as long each time.
constexpr Nanos kRaidPauseMin = 20 * kMicrosecond;
constexpr Nanos kRaidPauseMax = kMillisecond;

// Unused memory goes back to the system after so long without work.
constexpr Nanos kTrimAfter = kSecond;
constexpr std::size_t kKeepChunks = 4;

}  // namespace

Worker::Worker(RuntimeCore& core, Seat& seat, Hub& hub, const Surroundings& surroundings, Plan plan)
    : core_(core),
      seat_(seat),
      hub_(hub),
      plan_(std::move(plan)),
      first_heap_(FrameHeap::acquire(), &FrameHeap::recycle),
      runtime_(seat, *this, surroundings, plan_.stack_bytes),
      timers_(machine::now()),
      batch_(kBatchMax),
      victims_(plan_.victims.size()) {
  seat_.worker.store(this, std::memory_order_release);  // M29
}

Worker::~Worker() { seat_.worker.store(nullptr, std::memory_order_release); }  // M29

bool Worker::run() noexcept {
  machine::this_thread().heap = first_heap_.get();
  begin_regions(seat_.own_region, core_.async_signal());
  runtime_.take_charge(0);
  last_look_ = machine::now();
  return drive();
}

void Worker::settle_in() noexcept {
  machine::ThisThread& self = machine::this_thread();
  self.runtime = &runtime_;
  if (core_.options().preemption != preemption_mode::off) {
    machine::take_requests_from(&seat_.request);
  }
  thread_number_.store(machine::this_thread_number(), std::memory_order_relaxed);
}

void Worker::settle_out() noexcept {
  machine::this_thread().runtime = nullptr;
  machine::take_requests_from(nullptr);
}

bool Worker::drive() noexcept {
  settle_in();
  machine::want_precise_timers();
  if (plan_.cpu >= 0) {
    const int error = machine::pin_this_thread(plan_.cpu);
    pinned_.store(error == 0, std::memory_order_relaxed);
    if (error == 0) seat_.cpu.store(plan_.cpu, std::memory_order_relaxed);
    if (error != 0) core_.note_unpinned(plan_.cpu, error);
  }
  if (plan_.thread_class) core_.thread_classes().ask(*plan_.thread_class);
  for (;;) {
    // Called to search: do that first, so that nobody waits for a searcher that polls instead.
    if (called_) search();
    const ExecutorRuntime::Step step = runtime_.step(batch_);
    if (step == ExecutorRuntime::Step::lost) [[unlikely]]
      return true;
    look_after_time();
    if (take_from_inbox() || step == ExecutorRuntime::Step::more || own_work_visible()) continue;
    if (search()) continue;
    if (let_go_.load(std::memory_order_acquire)) break;  // M7
    rest();
  }
  runtime_.retire();
  trim();
  settle_out();
  return false;
}

// --- hand-off ---

std::uint32_t Worker::set_down() noexcept {
  runtime_.flush_freed();
  machine::ThisThread& self = machine::this_thread();
  self.runtime = nullptr;
  self.task = nullptr;
  machine::change_requests_to(nullptr);
  // Whatever becomes ready from now on is told to the monitor: see ask_to_give_way.
  seat_.run_class.store(Port::kOverdue, std::memory_order_relaxed);
  const std::uint32_t lent = Hold::lend(seat_, self.hold);
  if (seat_.classes.load(std::memory_order_seq_cst) != 0 || !inbox_.empty()) {  // M31
    Monitor::hurry(hub_);
  }
  return lent;
}

void Worker::pick_up(std::uint32_t lent) noexcept {
  machine::ThisThread& self = machine::this_thread();
  self.runtime = &runtime_;
  self.hold = lent & ~Hold::kStates;
  while (!Hold::reclaim(seat_, lent)) {
    if (self.mail.load(std::memory_order_relaxed) != nullptr) {
      runtime_.come_in_late().go_out();
      return;
    }
    machine::yield_thread();  // the takeover ends, or is given up
  }
  machine::change_requests_to(&seat_.request);
  self.task = runtime_.current();
  runtime_.note_current_class();
  runtime_.go_out();
}

void Worker::look_after_time() noexcept {
  const Nanos now = machine::now();
  const Nanos took = now - last_look_;
  if (took > kLookAfter) {
    batch_ = std::max(1u, batch_ / 2);
  } else if (took < kLookAfter / 4 && batch_ < kBatchMax) {
    batch_ *= 2;
  }
  last_look_ = now;
  const std::uint64_t polls = epoch() - polls_at_look_;
  polls_at_look_ += polls;
  if (polls != 0) {
    const Nanos each = std::min<Nanos>(took / static_cast<Nanos>(polls), kSecond);
    const std::uint32_t before = seat_.poll_ns.load(std::memory_order_relaxed);
    seat_.poll_ns.store(static_cast<std::uint32_t>((Nanos{before} * 3 + each) / 4),
                        std::memory_order_relaxed);
  }
  if (const std::size_t fired = timers_.expire(now)) bump(runtime_.counters().timers_fired, fired);
  if (seat_.taken.load(std::memory_order_relaxed) != 0) {
    runtime_.forget_ready(seat_.taken.exchange(0, std::memory_order_relaxed));
  }
  seat_.load.store(runtime_.ready_estimate(), std::memory_order_relaxed);
  seat_.looked_at.store(now, std::memory_order_relaxed);
  if (seat_.inflow.load(std::memory_order_relaxed) != 0) {
    seat_.inflow.store(0, std::memory_order_relaxed);
  }
}

bool Worker::take_from_inbox() noexcept {
  unsigned taken = 0;
  while (taken < ExecutorRuntime::kForeignBatch) {
    const std::coroutine_handle<> frame = inbox_.take();
    if (!frame) break;
    runtime_.queue_foreign(frame);
    ++taken;
  }
  // Foreign code runs as long as it likes, and a timer may fall due meanwhile: somebody should
  // watch.
  if (taken != 0 && hub_.sleepers.load(std::memory_order_relaxed) != 0) help_wanted(seat_, 1);
  return taken != 0;
}

bool Worker::own_work_visible() const noexcept {
  return seat_.classes.load(std::memory_order_seq_cst) != 0 || !inbox_.empty() ||  // M7
         !runtime_.loot_empty() || runtime_.has_first();
}

/// The re-check of the park protocol.
bool Worker::any_work_visible() noexcept {
  if (own_work_visible() || let_go_.load(std::memory_order_seq_cst) ||  // M7
      want_trim_.load(std::memory_order_seq_cst)) {                     // M7
    return true;
  }
  // With a searcher about, what is ready elsewhere is the searcher's business: it calls the next
  // helper when it finds more than it can take.
  if (hub_.searching.load(std::memory_order_seq_cst) != 0) return false;  // M9
  for (std::size_t v = 0; v < victims_.size(); ++v) {
    if (worth_stealing(victim(v), victims_[v].cursors)) return true;
  }
  return false;
}

// --- stealing ---

Seat& Worker::victim(std::size_t v) noexcept {
  return *hub_.seats[plan_.victims[v]].load(std::memory_order_relaxed);
}

bool Worker::others_have_work() noexcept {
  for (std::size_t v = 0; v < victims_.size(); ++v) {
    // M9
    if ((victim(v).classes.load(std::memory_order_seq_cst) & Port::kClasses) != 0) return true;
  }
  return false;
}

void Worker::note_epochs() noexcept {
  for (std::size_t v = 0; v < victims_.size(); ++v) {
    victims_[v].epoch = core_.worker(plan_.victims[v]).epoch();
  }
}

/// One round over the victims, nearest first. `epochs_are_old`: a victim whose epoch has not moved
/// since note_epochs counts as stuck.
bool Worker::raid(bool epochs_are_old, bool& more) noexcept {
  for (std::size_t v = 0; v < victims_.size(); ++v) {
    Seat& seat = victim(v);
    Worker& other = core_.worker(plan_.victims[v]);
    const bool asleep = seat.park.load(std::memory_order_relaxed) != Seat::kAwake;
    const bool stuck = asleep || (epochs_are_old && other.epoch() == victims_[v].epoch);
    if ((seat.classes.load(std::memory_order_relaxed) & Port::kClasses) != 0) {
      const Haul haul = steal_from(seat, victims_[v].cursors, stuck);
      if (haul.bits != 0) {
        Counters& counters = runtime_.counters();
        bump(counters.steals);
        bump(counters.tasks_stolen, count(haul.bits));
        each_bit(haul.bits,
                 [&](unsigned i) { runtime_.add_loot(haul.group->page_slots(haul.page)[i]); });
        seat.taken.fetch_add(count(haul.bits), std::memory_order_relaxed);
        raided_at_ = machine::now();
        raided_tasks_ = count(haul.bits);
        more = haul.more;
        return true;
      }
    }
    if (stuck && other.runtime_.loot().size_hint() != 0) {
      if (Slot* slot = other.runtime_.loot().take_any()) {
        bump(runtime_.counters().steals);
        bump(runtime_.counters().tasks_stolen);
        seat.taken.fetch_add(1, std::memory_order_relaxed);
        runtime_.poll_first(*slot);
        more = other.runtime_.loot().size_hint() > 1;
        return true;
      }
    }
  }
  return false;
}

/// Did the last raid pay? Asked when its tasks are done with: they ended, or wait for something.
void Worker::weigh_last_raid(Nanos now) noexcept {
  if (raided_at_ == 0) return;
  const bool paid = now - raided_at_ >= kRaidPays * raided_tasks_;
  raided_at_ = 0;
  if (paid) {
    raid_pause_ = 0;
  } else {
    raid_pause_ = std::clamp(raid_pause_ * 2, kRaidPauseMin, kRaidPauseMax);
  }
}

/// Sleeps through the raid pause, so that a victim with many tiny tasks does not pay for helpers it
/// is better off without. True if there is work of our own.
bool Worker::nap(Nanos now) noexcept {
  if (hub_.napping.exchange(1, std::memory_order_acq_rel) != 0) return false;  // M27
  const Nanos until = std::min(now + raid_pause_, timers_.next_expiry());
  const Wakeup wakeup = park(hub_, seat_, until, [this, until] {
    return own_work_visible() || timers_.next_expiry() < until ||
           let_go_.load(std::memory_order_seq_cst);  // M7
  });
  hub_.napping.store(0, std::memory_order_release);  // M27
  if (wakeup.slept) bump(runtime_.counters().parks);
  if (wakeup.token != Seat::kAsleep) bump(runtime_.counters().unparks);
  core_.worker_woke();
  // Nobody calls a helper during a nap, but a call may have been on its way when it began.
  if (wakeup.token == Seat::kCalled) end_search(hub_);
  return own_work_visible();
}

bool Worker::search() noexcept {
  const bool called = std::exchange(called_, false);
  if (victims_.empty()) {
    if (called) end_search(hub_);
    return false;
  }
  Nanos now = machine::now();
  weigh_last_raid(now);
  if (!kInfiniteParks && raid_pause_ != 0 && !called && !own_work_visible()) {
    if (nap(now)) return true;
    now = machine::now();
  }
  if (!called && !begin_search(hub_)) return false;
  note_epochs();
  const Nanos start = now;
  bool found = false;
  bool more = false;
  for (;;) {
    found = own_work_visible() || raid(now - start >= kStuckAfter, more);
    if (found || now - start >= kSearchFor || now >= timers_.next_expiry()) break;
    for (int i = 0; i < 16; ++i) machine::relax();
    now = machine::now();
  }
  const bool last = end_search(hub_);
  // Whoever made work ready meanwhile relied on this search.
  if (found && last && (more || others_have_work())) {
    help_wanted(seat_, runtime_.ready_estimate());
  }
  last_look_ = now;
  return found;
}

// --- rest ---

/// Sleeps until there is a reason to run the loop again.
void Worker::rest() noexcept {
  machine::this_thread().heap->flush();
  Nanos now = machine::now();
  const std::uint64_t polls = epoch();
  if (polls != polls_at_rest_) {
    polls_at_rest_ = polls;
    trim_at_ = saturating_add(now, kTrimAfter);
  }
  seat_.load.store(0, std::memory_order_relaxed);
  seat_.inflow.store(0, std::memory_order_relaxed);
  bool go_on = false;
  while (!go_on) {
    Nanos deadline = timers_.next_expiry();
    if constexpr (!kInfiniteParks) deadline = std::min({deadline, trim_at_, watch_until(now)});

    const bool others_slept = deadline == kForever && all_others_sleep();
    const Wakeup wakeup = park(hub_, seat_, deadline, [&] {
      core_.worker_rests();
      // Whoever woke up since we decided not to watch may count on a watch; and a thread that has
      // lost its worker may have armed a timer here.
      return any_work_visible() || timers_.next_expiry() < deadline ||
             (others_slept && !all_sleep());
    });

    now = last_look_ = machine::now();
    Counters& counters = runtime_.counters();
    if (wakeup.slept) bump(counters.parks);
    if (wakeup.token != Seat::kAsleep) bump(counters.unparks);
    called_ = wakeup.token == Seat::kCalled;
    if (want_trim_.exchange(false, std::memory_order_acq_rel) || now >= trim_at_) trim();  // M7
    // No token and no sleep: the re-check saw work, unless it was time to get up already. Then it
    // is the watch that is due, perhaps for somebody else's timer; to leave without a look would
    // lead back here at once, and so on.
    const bool saw_work = !wakeup.slept && now < deadline;
    go_on = wakeup.token != Seat::kAsleep || saw_work || now >= timers_.next_expiry() ||
            look_after_others(now) || own_work_visible();
  }
  core_.worker_woke();
  if (end_watch() && (runtime_.ready_estimate() > 1 || others_have_work())) {
    help_wanted(seat_, runtime_.ready_estimate());  // a successor
  }
}

void Worker::trim() noexcept {
  trim_at_ = kForever;
  machine::this_thread().heap->trim(kKeepChunks);
  for (TaskCollection& collection : seat_.collections) collection.trim();
  trim_shared_frames();
}

void Worker::let_go() noexcept {
  let_go_.store(true, std::memory_order_seq_cst);  // M7
  wake_seat(seat_, Seat::kWoken);
}

void Worker::want_trim() noexcept {
  want_trim_.store(true, std::memory_order_seq_cst);  // M7
  wake_seat(seat_, Seat::kWoken);
}

}  // namespace paceline::core
