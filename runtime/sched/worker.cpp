// SPDX-License-Identifier: BSL-1.0
#include "sched/worker.hpp"

#include <algorithm>
#include <utility>

#include "exec/async.hpp"
#include "exec/hold.hpp"
#include "machine/frame_heap.hpp"
#include "machine/frame_memory.hpp"
#include "policy/gather.hpp"
#include "sched/parks.hpp"
#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

// Polls between two looks at the clock. The batch shrinks while polls are long, so that timers and
// the inbox are looked after about every kLookAfter however long the polls are.
constexpr unsigned kBatchMax = 256;
constexpr Nanos kLookAfter = 50 * kMicrosecond;

// Unused memory goes back to the system after so long without work.
constexpr Nanos kTrimAfter = kSecond;
constexpr std::size_t kKeepChunks = 4;

static_assert(policy::kGatherFor <= kWakeCost, "waking a sleeper would serve them sooner");

}  // namespace

Worker::Worker(RuntimeCore& core, Seat& seat, Hub& hub, const Surroundings& surroundings, Plan plan)
    : core_(core),
      seat_(seat),
      hub_(hub),
      plan_(std::move(plan)),
      first_heap_(FrameHeap::acquire(), &FrameHeap::recycle),
      runtime_(seat, *this, surroundings, plan_.stack_bytes),
      timers_(machine::now()),
      residence_(core.cpu_kinds(), plan_.kind, plan_.cpu >= 0),
      batch_(1),  // until it is known how long polls take
      victims_(plan_.victims.size()) {
  seat_.worker.store(this, std::memory_order_release);  // M29
}

Worker::~Worker() { seat_.worker.store(nullptr, std::memory_order_release); }  // M29

bool Worker::run() noexcept {
  machine::this_thread().heap = first_heap_.get();
  begin_regions(seat_.own_region, core_.async_signal());
  runtime_.take_charge(0);
  last_look_ = machine::now();
  seat_.looked_at.store(last_look_, std::memory_order_relaxed);
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

/// The calling thread becomes what the system is to see in the worker. False: it refused.
bool Worker::bind() noexcept {
  int error = 0;
  if (plan_.cpu >= 0) {
    error = machine::pin_this_thread(plan_.cpu);
    pinned_.store(error == 0, std::memory_order_relaxed);
    seat_.cpu.store(error == 0 ? plan_.cpu : -1, std::memory_order_relaxed);
    if (error != 0) {
      ++refused_pins_;
      core_.note_unpinned(plan_.cpu, error);
    }
  }
  if (plan_.thread_class) core_.thread_classes().ask(*plan_.thread_class);
  return error == 0;
}

bool Worker::drive() noexcept {
  settle_in();
  machine::want_precise_timers();
  bind();
  seat_.idle.store(0, std::memory_order_relaxed);
  for (;;) {
    // Called to search: do that first, so that nobody waits for a searcher that polls instead.
    if (called_) {
      search();
      seat_.idle.store(0, std::memory_order_relaxed);
    }
    const ExecutorRuntime::Step step = runtime_.step(batch_);
    if (step == ExecutorRuntime::Step::lost) [[unlikely]]
      return true;
    look_after_time();
    if (step == ExecutorRuntime::Step::drained)
      gather();
    else if (core_.clusters().several())
      consider_giving(last_look_);
    if (take_from_inbox() || step == ExecutorRuntime::Step::more || own_work_visible()) continue;
    if (search()) {
      seat_.idle.store(0, std::memory_order_relaxed);
      continue;
    }
    if (let_go_.load(std::memory_order_acquire)) break;  // M7
    rest();
    seat_.idle.store(0, std::memory_order_relaxed);
  }
  seat_.idle.store(0, std::memory_order_relaxed);  // nobody is to be sent here any more
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

/// Towards as many polls as take about kLookAfter. A step without one says nothing.
void Worker::fit_batch(Nanos took, std::uint64_t polls) noexcept {
  if (polls == 0) return;
  if (took > kLookAfter) {
    batch_ = std::max(1u, batch_ / 2);
  } else if (took < kLookAfter / 2 && batch_ < kBatchMax) {
    batch_ *= 2;
  }
}

void Worker::look_after_time() noexcept {
  const Nanos now = machine::now();
  const Nanos took = now - last_look_;
  last_look_ = now;
  const std::uint64_t polls = epoch() - polls_at_look_;
  polls_at_look_ += polls;
  fit_batch(took, polls);
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
  if (residence_.is_due(now) && polls != 0) [[unlikely]] {
    const unsigned served = seat_.run_class.load(std::memory_order_relaxed);
    if (served < qos_count) served_ = served;  // else one that nobody waited for ran for long
    if (residence_.look(now, served_) && refused_pins_ < machine::ThreadClasses::kTries && bind()) {
      core_.note_rebound();
    }
  }
  seat_.load.store(runtime_.ready_estimate(), std::memory_order_relaxed);
  seat_.looked_at.store(now, std::memory_order_relaxed);
  seat_.looked_at_poll.store(polls_at_look_, std::memory_order_relaxed);
  came_ = seat_.inflow.load(std::memory_order_relaxed);
  came_within_ = now - std::exchange(came_since_, now);
  if (came_ != 0) seat_.inflow.store(0, std::memory_order_relaxed);
}

/// Lets tasks of a stream come together, unless something comes that is more important or of
/// another kind.
void Worker::gather() noexcept {
  const Nanos wait = policy::gather_for(came_, came_within_, lone_quick_);
  runtime_.let_gather(wait != 0);
  if (wait == 0) return;
  const Word others = all_bits(seat_.run_class.load(std::memory_order_relaxed)) | bit(Port::kWeak) |
                      bit(Port::kNote);
  const Nanos until = std::min(last_look_ + wait, timers_.next_expiry());
  do {
    for (int i = 0; i < 16; ++i) machine::relax();
    // The summary alone: the first of them has raised it, and the next ones leave it alone.
    if ((seat_.classes.load(std::memory_order_relaxed) & others) != 0 || !inbox_.empty()) break;
    last_look_ = machine::now();
  } while (last_look_ < until);
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
    if (!parks_are_infinite()) deadline = std::min({deadline, trim_at_, watch_until(now)});

    const bool others_slept = deadline == kForever && all_others_sleep();
    seat_.rests_since.store(now, std::memory_order_relaxed);
    const Nanos slept_from = now;
    const Wakeup wakeup = park(hub_, seat_, deadline, [&] {
      core_.worker_rests();
      // Whoever woke up since we decided not to watch may count on a watch; and a thread that has
      // lost its worker may have armed a timer here.
      return any_work_visible() || timers_.next_expiry() < deadline ||
             (others_slept && !all_sleep());
    });

    now = last_look_ = machine::now();
    note_rest(now - slept_from);
    seat_.looked_at.store(now, std::memory_order_relaxed);  // a sleep is no long poll
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
  awake_since_ = now;
  seat_.turn_since.store(now, std::memory_order_relaxed);
  core_.worker_woke();
  const bool watched = end_watch();
  if (watched && core_.clusters().several()) call_for_others(false);
  if (watched && (runtime_.ready_estimate() > 1 || others_have_work())) {
    help_wanted(seat_, runtime_.ready_estimate());  // a successor
  }
}

void Worker::note_rest(Nanos slept) noexcept {
  const Nanos before = seat_.rested.load(std::memory_order_relaxed);
  seat_.rested.store(before + slept, std::memory_order_relaxed);
  seat_.rests_since.store(0, std::memory_order_relaxed);
}

void Worker::trim() noexcept {
  trim_at_ = kForever;
  machine::this_thread().heap->trim(kKeepChunks);
  each_collection(seat_, [](TaskCollection& collection) { collection.trim(); });
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
