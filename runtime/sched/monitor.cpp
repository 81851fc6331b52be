// SPDX-License-Identifier: BSL-1.0
#include "sched/monitor.hpp"

#include <algorithm>

#include "exec/hold.hpp"
#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"

namespace paceline::core {

namespace {

// Looks that find nothing become rarer up to this: how much later than after a slice the first hog
// of a quiet time may be noticed.
constexpr Nanos kQuietMax = 4 * kMillisecond;
// The same while one poll runs long and nothing waits: a wake then asks by itself.
constexpr Nanos kAloneMax = 50 * kMillisecond;
// With every worker asleep it looks a few times more before it sleeps for good, so that a worker
// that naps and wakes in turns does not pay for waking the monitor each time.
constexpr Nanos kLinger = 20 * kMillisecond;

// A worker that is lent while something waits changes its thread after so long: many times what the
// calls that are no trouble take, a few times what the change costs.
constexpr Nanos kLentAtMost = 50 * kMicrosecond;
// What a thread does is judged by what it did for so long, at least.
constexpr Nanos kWeighFor = 500 * kMicrosecond;
// A task that spawns gets so many times handoff_after (decision 0011).
constexpr Nanos kSpawnerGets = 10;
// As long as others take what it spawns it gets so many times handoff_after in all.
constexpr Nanos kSpawnerAtMost = 100;
// A monitor that looks again within so long need not be hurried.
constexpr Nanos kNapAtMost = 500 * kMicrosecond;
// In a region a safepoint may answer a request for so long; then a signal asks. One that is refused
// is repeated, each time twice as much later, up to a slice.
constexpr Nanos kPressAfter = 50 * kMicrosecond;

constexpr Word kOfTasks = Port::kClasses | bit(Port::kWeak);

bool something_ready(const Seat& seat, Word among = kOfTasks) noexcept {
  for (Word left = seat.classes.load(std::memory_order_relaxed) & among; left != 0;
       left = without_lowest(left)) {
    if (has_ready(seat, lowest(left))) return true;
  }
  return false;
}

/// Is anything ready for this worker that nobody has begun?
bool something_waits(Worker& worker) noexcept {
  return !worker.inbox().empty() || worker.runtime().loot().size_hint() != 0 ||
         !worker.seat().mail.empty() || something_ready(worker.seat());
}

/// Is anything ready that is more important than what is of class `running`, or may be? The bit of
/// weak executors says nothing of their classes.
bool something_urgent(const Seat& seat, std::uint32_t running) noexcept {
  return something_ready(seat, all_bits(running) | bit(Port::kWeak));
}

/// Does anything wait there that others may not take while the worker is stuck, or might not, as
/// they find so much else?
bool something_stays(Worker& worker, std::uint32_t running) noexcept {
  if (!worker.inbox().empty() || worker.runtime().loot().size_hint() != 0 ||
      !worker.seat().mail.empty()) {
    return true;
  }
  if (something_urgent(worker.seat(), running)) return true;
  const Word classes = worker.seat().classes.load(std::memory_order_relaxed);
  for (Word left = classes & Port::kClasses; left != 0; left = without_lowest(left)) {
    if (has_pinned_ready(worker.seat(), lowest(left))) return true;
  }
  return false;
}

}  // namespace

Monitor::Monitor(RuntimeCore& core, Nanos slice, Nanos handoff_after, Nanos stall_after)
    : core_(core),
      slice_(std::max(slice, kSliceMin)),
      handoff_after_(handoff_after),
      name_(core.options().name + "/monitor"),
      stalls_(core, stall_after),
      seen_(core.worker_count()),
      word_(core.hub().monitor) {}

void Monitor::start() { thread_ = machine::start_thread(&Monitor::thread_body, this); }

void Monitor::stop() noexcept {
  if (thread_ == 0) return;
  let_go_.store(true, std::memory_order_seq_cst);  // M30
  rouse(word_);
  machine::join_thread(thread_);
  thread_ = 0;
}

void Monitor::rouse(Atomic<std::uint32_t>& word) noexcept {
  // Whoever lowers the word wakes it: one system call per sleep.
  if (word.exchange(kAwake, std::memory_order_seq_cst) != kAwake) machine::unpark(word);  // M30
}

void Monitor::thread_body(void* raw) noexcept {
  auto& self = *static_cast<Monitor*>(raw);
  machine::name_this_thread(self.name_);
  machine::want_precise_timers();
  machine::want_prompt_wakeups();
  self.run();
}

void Monitor::run() noexcept {
  Nanos idle_since = 0;
  while (!let_go_.load(std::memory_order_acquire)) {  // M30
    const Nanos now = machine::now();
    Nanos next = kForever;
    looks_.store(looks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (look(now, next)) {
      idle_since = 0;
      next = std::min(next, core_.steering().step(now));
    } else if (idle_since == 0) {
      idle_since = now;
    }
    if (idle_since != 0) {
      const bool for_good = now - idle_since >= kLinger;
      next = for_good ? kForever : now + kLinger / 4;
    }
    // Seq_cst: published before the workers are looked at, as a worker publishes that it is awake
    // before it looks here.
    std::uint32_t how = kNaps;
    if (next - now > kNapAtMost) how = next == kForever ? kSleeps : kDozes;
    word_.exchange(how, std::memory_order_seq_cst);  // M30
    if (next == kForever && anybody_awake()) next = now + slice_ / 2;
    if (core_.hub().hurried.exchange(0, std::memory_order_seq_cst) != 0) {  // M30
      next = std::min(next, now + kLentAtMost);
    }
    if (!let_go_.load(std::memory_order_seq_cst)) machine::park(word_, how, next);  // M30
    word_.store(kAwake, std::memory_order_seq_cst);                                 // M30
  }
}

bool Monitor::anybody_awake() const noexcept {
  return core_.hub().sleepers.load(std::memory_order_seq_cst) < core_.worker_count();  // M7
}

/// False: every worker sleeps. Else `next` is when to look again.
bool Monitor::look(Nanos now, Nanos& next) noexcept {
  bool busy = false;
  moving_ = false;
  for (unsigned i = 0; i < seen_.size(); ++i) {
    Seat& seat = core_.worker(i).seat();
    if (seat.park.load(std::memory_order_relaxed) != Seat::kAwake) {
      // It was awake meanwhile, and may be again, with a task that never ends.
      if (has_moved(seat, seen_[i], now)) moving_ = true;
      continue;
    }
    busy = true;
    look_at(i, now, next);
    press(seat, seen_[i], now, next);
  }
  core_.crew().each([&](Refuge& refuge) {
    busy |= look_at_refuge(refuge, now, next);
    busy |= look_at_stuck(refuge, now, next);
  });
  if (!busy) return false;
  // Somebody waits, or is about to: then `next` says when.
  if (next < now + slice_) {
    quiet_ = slice_ / 2;
    return true;
  }
  const Nanos most = std::max(moving_ ? kQuietMax : kAloneMax, slice_);
  quiet_ = std::clamp(quiet_ * 2, slice_ / 2, most);
  next = std::min(next, now + quiet_);
  return true;
}

/// Tasks that share a refuge take turns, too. False: nothing waits there.
bool Monitor::look_at_refuge(Refuge& refuge, Nanos now, Nanos& next) noexcept {
  if (!something_ready(refuge.seat)) return false;
  const std::uint64_t poll = refuge.seat.polls.load(std::memory_order_relaxed);
  if (poll != refuge.seen_poll) {
    refuge.seen_poll = poll;
    refuge.seen_since = now;
  } else if (now - refuge.seen_since >= slice_) {
    refuge.seat.ask(Ask::slice, now);
    signal_seat(refuge.seat);
    refuge.seen_since = now;
  }
  next = std::min(next, refuge.seen_since + slice_);
  return true;
}

/// A task that has lost its worker and does not come in. False: there is none to tell of.
bool Monitor::look_at_stuck(Refuge& refuge, Nanos now, Nanos& next) noexcept {
  if (!stalls_.on() || refuge.suspect.asked_at == 0 || refuge.suspect.told) return false;
  const unsigned index = refuge.suspect_worker.load(std::memory_order_relaxed);
  const Whereabouts where{refuge.suspect_thread, index, &refuge.runtime};
  if (where.task() == nullptr) return false;
  stalls_.look_at(refuge.suspect, where, now, next);
  return true;
}

void Monitor::look_at(unsigned index, Nanos now, Nanos& next) noexcept {
  Worker& worker = core_.worker(index);
  Seat& seat = worker.seat();
  Seen& seen = seen_[index];
  TimerWheel& timers = worker.timers();
  const Nanos due = saturating_add(timers.next_expiry(), seat.timer_grace());
  if (now >= due) timers.expire(now);
  next = std::min(next, saturating_add(timers.next_expiry(), seat.timer_grace()));
  if (Hold::is_lent(seat.hold.load(std::memory_order_relaxed))) {
    look_at_lent(worker, seen, now, next);
    return;
  }
  const bool fresh = has_moved(seat, seen, now);
  if (fresh) moving_ = true;
  const Nanos over = seen.since + slice_;
  // By somebody more important who still waits: no slice is waited for.
  const bool pressed =
      seat.is_asked() && something_urgent(seat, seat.run_class.load(std::memory_order_relaxed));
  if (!pressed && !seen.asked) seen.asked_at = seen.weighed_at = 0;  // it did not wait for long
  if (!fresh || now - seen.since > slice_ / 4) look_at_turn(seat, now, next);
  if (now < over && !pressed) {
    if (!fresh || now - seen.since > slice_ / 4) next = std::min(next, over);
    return;
  }
  if (!something_waits(worker)) {
    if (now < over) {
      next = std::min(next, over);
    } else {
      seat.run_class.store(Port::kOverdue, std::memory_order_relaxed);
    }
    seen.asked_at = seen.weighed_at = 0;
    return;
  }
  // While somebody sleeps, what may be stolen will be: only what stays is this poll's business.
  const bool alone =
      core_.clusters().several() || core_.hub().sleepers.load(std::memory_order_relaxed) == 0;
  if (now >= over && (alone || now >= over + slice_)) {
    seat.ask(Ask::slice, now);
    seen.asked = true;
    seen.since = now - slice_;
  }
  if ((pressed || seen.asked) && seen.asked_at == 0) {
    seen.asked_at = seen.asked_first = now;
    seen.spawned = worker.runtime().counters().spawned.load(std::memory_order_relaxed);
    seen.taken = seat.taken.load(std::memory_order_relaxed);
    if (seen.suspect.asked_at == 0) seen.suspect.asked_at = now;
  }
  next = std::min(next, now + slice_);
  if (seen.suspect.asked_at != 0) {
    stalls_.look_at(seen.suspect,
                    {worker.thread_number(), index, &worker.runtime(), &seat, seen.poll}, now,
                    next);
  }
  if (seen.asked_at != 0 && handoff_after_ != kForever) consider_handoff(worker, seen, now, next);
}

/// A poll that does not ask by itself: at the end of its class's turn somebody else's may have
/// come, whatever is left of the slice.
void Monitor::look_at_turn(Seat& seat, Nanos now, Nanos& next) const noexcept {
  const Nanos end = seat.turn_end.load(std::memory_order_relaxed);
  if (now < end) {
    next = std::min(next, end);
  } else if (!seat.is_asked()) {
    seat.ask(Ask::urgent, now);
    next = std::min(next, now + slice_ / 4);  // to see the turn that begins
  }
}

/// Has the worker begun another poll since the last look, or answered?
bool Monitor::has_moved(const Seat& seat, Seen& seen, Nanos now) noexcept {
  const std::uint64_t poll = seat.polls.load(std::memory_order_relaxed);
  const std::uint64_t answers = seat.answers.load(std::memory_order_relaxed);
  if (poll == seen.poll && answers == seen.answers) return false;
  // One that we asked to give way was followed by this one at once, or it is its turn again.
  const bool follows = seen.asked && poll - seen.poll <= 1;
  seen.poll = poll;
  seen.answers = answers;
  seen.run_class = seat.run_class.load(std::memory_order_relaxed);
  // Where polls are long the worker looks at the clock before each.
  const bool first = poll - seat.looked_at_poll.load(std::memory_order_relaxed) <= 1;
  const Nanos began = first ? seat.looked_at.load(std::memory_order_relaxed) : now;
  seen.since = follows ? seen.since + slice_ : std::clamp(began, std::min(seen.since, now), now);
  seen.asked = false;
  seen.asked_at = seen.weighed_at = seen.press_at = 0;
  seen.suspect = {};
  return !follows;
}

/// A task has been asked to give way, and has not answered.
void Monitor::consider_handoff(Worker& worker, Seen& seen, Nanos now, Nanos& next) noexcept {
  // A task that spawns does what it is there for, and others may take what it spawns: without its
  // worker it would be slower at it. As long as they do take it, and nothing waits that they may
  // not, nobody is the worse for it; where cores are of several kinds, not all may take all.
  const std::uint64_t spawned = worker.runtime().counters().spawned.load(std::memory_order_relaxed);
  const bool spawns = spawned != seen.spawned;
  const std::uint32_t taken = worker.seat().taken.load(std::memory_order_relaxed);
  if (spawns && taken != seen.taken && !core_.clusters().several() &&
      !something_stays(worker, seen.run_class) &&
      (now - seen.asked_first) / kSpawnerAtMost < handoff_after_) {
    seen.spawned = spawned;
    seen.taken = taken;
    seen.asked_at = now;
    seen.weighed_at = 0;
  }
  // Two looks at what its thread does, half the time apart: what it did between them decides.
  const Nanos half = std::max(handoff_after_ / 2, kWeighFor) * (spawns ? kSpawnerGets : 1);
  const Nanos from = seen.weighed_at == 0 ? seen.asked_at : seen.weighed_at;
  const Nanos until = saturating_add(from, half);
  if (now >= until) {
    weigh(worker, seen);
    next = std::min(next, saturating_add(now, half));
  } else {
    next = std::min(next, until);
  }
}

/// A poll that was asked and is in a region: the second rung.
void Monitor::press(Seat& seat, Seen& seen, Nanos now, Nanos& next) noexcept {
  const Region* region = seat.region.load(std::memory_order_acquire);  // M41
  if (region == nullptr || !region->is_in() || !seat.is_asked() ||
      !Hold::is_held(seat.hold.load(std::memory_order_relaxed))) {
    seen.press_at = 0;
    return;
  }
  if (seen.press_at == 0) {
    seen.press_at = now + kPressAfter;
    seen.press_gap = kPressAfter;
  } else if (now >= seen.press_at) {
    signal_seat(seat);
    seen.press_gap = std::min(seen.press_gap * 2, slice_);
    seen.press_at = now + seen.press_gap;
  }
  next = std::min(next, seen.press_at);
}

/// A task has answered no request for long: is it the task, or does the system not let it run?
void Monitor::weigh(Worker& worker, Seen& seen) noexcept {
  const Seat& seat = worker.seat();
  const std::uint32_t hold = seat.hold.load(std::memory_order_relaxed);
  if (!Hold::is_held(hold)) return;
  const Nanos now = machine::now();  // of the same moment as the thread's clock
  const auto state = machine::look_at_thread(worker.thread_number());
  if (!state) return;
  const Nanos over = now - seen.weighed_at;
  const Nanos ran = state->cpu_time - seen.cpu_time;
  const bool second_look = seen.weighed_at != 0;
  // It computes, or it is blocked in the system. Ready to run and not running: starved, and another
  // thread in its place would starve as well. Judged by half of `handoff_after`, not by a moment: a
  // thread that comes back after a long time off its processor would seem to compute.
  const bool computes = ran >= over / 8;
  if (second_look && (computes || !state->runnable)) {
    seen.asked_at = seen.weighed_at = 0;  // from the beginning, should that fail
    core_.crew().send(worker, hold, seen.poll, seen.suspect);
    return;
  }
  if (second_look) {
    starved_.store(starved_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  seen.weighed_at = now;
  seen.cpu_time = state->cpu_time;
}

void Monitor::look_at_lent(Worker& worker, Seen& seen, Nanos now, Nanos& next) noexcept {
  const Seat& seat = worker.seat();
  const std::uint32_t hold = seat.hold.load(std::memory_order_relaxed);
  const std::uint64_t poll = seat.polls.load(std::memory_order_relaxed);
  if (hold != seen.hold || poll != seen.poll || seen.lent_since == 0) {
    seen.hold = hold;
    seen.poll = poll;
    seen.since = seen.lent_since = now;
    seen.asked_at = seen.weighed_at = 0;
    seen.suspect = {};
  }
  if (!something_waits(worker)) return;
  if (now - seen.lent_since < kLentAtMost) {
    next = std::min(next, seen.lent_since + kLentAtMost);
    return;
  }
  seen.lent_since = 0;
  core_.crew().send(worker, hold, poll, {});
  next = std::min(next, now + slice_ / 2);
}

}  // namespace paceline::core
