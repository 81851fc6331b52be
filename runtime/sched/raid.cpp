// SPDX-License-Identifier: BSL-1.0
// What a worker without work of its own does before it sleeps: look for some at other workers.
//
// Where all workers are alike, or nobody can tell them apart, they are visited nearest first. Where
// they sit on several clusters, those of the own cluster come first, and then what the Edge policy
// proposes (policy/idle_search.hpp): what only sits elsewhere for want of a core of the right kind,
// then like clusters, then overloaded ones. Whatever a search would find, the re-check before a
// sleep sees, and the other way round: else a worker would sleep beside work, or never sleep.
//
// A task that *runs* on the wrong kind of core is asked for (giving.cpp): between two polls it can
// be handed over, in the middle of one it is bound to its thread.
// Proof: tests/unit/sched/steal_test.cpp, tests/unit/api/clusters_test.cpp, coretest steal.
#include <algorithm>
#include <utility>

#include "policy/idle_search.hpp"
#include "sched/parks.hpp"
#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"

namespace paceline::core {

namespace {

// How long a worker searches before it sleeps. Of the order of what a park and an unpark cost
// together (docs/benchmarks.md, "What a wake costs"): searching longer cannot pay.
constexpr Nanos kSearchFor = 30 * kMicrosecond;
// A victim that has started no poll for so long keeps its ready tasks waiting.
constexpr Nanos kStuckAfter = 5 * kMicrosecond;

// A raid pays if a stolen task takes at least so long, here and at home: moving a task's lines
// there and back costs both sides some hundred nanoseconds (docs/benchmarks.md, "What a steal
// costs").
constexpr Nanos kRaidPays = 500;
constexpr Nanos kMovingAtMost = 2 * kMicrosecond;
// After raids that did not pay the thief waits before the next, twice as long each time.
constexpr Nanos kRaidPauseMin = 20 * kMicrosecond;
constexpr Nanos kRaidPauseMax = kMillisecond;

}  // namespace

/// The re-check of the park protocol.
bool Worker::any_work_visible() noexcept {
  if (own_work_visible() || let_go_.load(std::memory_order_seq_cst) ||  // M7
      want_trim_.load(std::memory_order_seq_cst)) {                     // M7
    return true;
  }
  // With a searcher about, what is ready elsewhere is the searcher's business: it calls the next
  // helper when it finds more than it can take.
  if (hub_.searching.load(std::memory_order_seq_cst) != 0) return false;  // M9
  return each_prey([this](const Prey& prey) {
    if (prey.loot_only || prey.to_be_asked) return false;
    for (unsigned v = prey.first; v < prey.last; ++v) {
      if (worth_stealing(victim(v), victims_[v].cursors, prey.lone, prey.classes)) return true;
    }
    return false;
  });
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

/// Calls visit(prey) for what this worker may take, in order, until it returns true. True if it
/// did.
template <class Visit>
bool Worker::each_prey(Visit&& visit) noexcept {
  const auto all = static_cast<unsigned>(victims_.size());
  const Clusters& clusters = core_.clusters();
  if (!clusters.several()) return visit(Prey{0, all, Port::kClasses});
  const policy::ClusterIndex own = clusters.of(index());
  // Where no work is to go what waits is for others, who count it as too much (Clusters::workers).
  if (!clusters.recommended(own)) return false;
  const Range neighbours = plan_.of_cluster[own];
  if (visit(Prey{neighbours.first, neighbours.last, Port::kClasses})) return true;
  policy::IdleSearch search(clusters.table(), own);
  for (;;) {
    const policy::IdleVerdict verdict = search.next(clusters, false);
    if (verdict.what == policy::IdleWhat::park) break;
    const Range there = plan_.of_cluster[verdict.where];
    Prey prey{there.first, there.last, verdict.classes};
    if (verdict.what == policy::IdleWhat::rebalance) {
      // The policy would rest here. But a poll may last, and what else there is would wait for us.
      prey.to_be_asked = true;
    } else if (verdict.what == policy::IdleWhat::take_foreign) {
      prey.classes = clusters.native_classes(own);
      prey.lone = true;
      prey.counted = &Counters::fetched;
    } else if (verdict.reason == policy::IdleReason::overloaded) {
      prey.counted = &Counters::relieved;
      // What could not go back goes one at a time: the rest may have to wait here while others idle
      // that may take it from where it is, but not from here.
      const policy::Edge back = clusters.table().edge(own, verdict.where);
      if ((back.steal & verdict.classes) != verdict.classes) prey.at_most = 1;
    }
    if (visit(prey)) return true;
  }
  // What others have stolen, or been sent, and not begun is on no cluster's books.
  for (const policy::Candidate& other : clusters.table().candidates(own)) {
    const Range there = plan_.of_cluster[other.cluster];
    Word classes = other.native ? Port::kClasses : clusters.native_classes(own);
    if (clusters.is_overloaded(other.cluster)) classes |= other.steal_from;
    if (visit(Prey{there.first, there.last, classes, true, true})) return true;
  }
  return false;
}

/// One round over the victims.
bool Worker::raid(Epochs epochs, bool& more) noexcept {
  return each_prey([&](const Prey& prey) {
    if (prey.to_be_asked) {
      ask_rebalance();
      return false;
    }
    for (unsigned v = prey.first; v < prey.last; ++v) {
      if (const unsigned taken = raid_one(v, prey, epochs, more); taken != 0) {
        if (prey.counted != nullptr) bump(runtime_.counters().*prey.counted, taken);
        return true;
      }
    }
    return false;
  });
}

/// How many tasks were taken from victim number `v`.
unsigned Worker::raid_one(unsigned v, const Prey& prey, Epochs epochs, bool& more) noexcept {
  Seat& seat = victim(v);
  Worker& other = core_.worker(plan_.victims[v]);
  const bool asleep = seat.park.load(std::memory_order_relaxed) != Seat::kAwake;
  const bool stuck = asleep || (epochs != Epochs::fresh && other.epoch() == victims_[v].epoch);
  if (!prey.loot_only && (seat.classes.load(std::memory_order_relaxed) & prey.classes) != 0) {
    const Haul haul =
        steal_from(seat, victims_[v].cursors, stuck || prey.lone, prey.classes, prey.at_most);
    if (haul.bits != 0) {
      const unsigned taken = count(haul.bits);
      bump(runtime_.counters().steals);
      bump(runtime_.counters().tasks_stolen, taken);
      each_bit(haul.bits,
               [&](unsigned i) { runtime_.add_loot(haul.group->page_slots(haul.page)[i]); });
      seat.taken.fetch_add(taken, std::memory_order_relaxed);
      raided_at_ = machine::now();
      raided_ = &seat;
      raided_tasks_ = taken;
      more = haul.more;
      return taken;
    }
  }
  const auto wanted = [&](const Slot& slot) { return is_of_class(slot, prey.classes); };
  if (stuck && other.runtime_.loot().size_hint() != 0) {
    if (Slot* slot = other.runtime_.loot().take_any(wanted)) {
      bump(runtime_.counters().steals);
      bump(runtime_.counters().tasks_stolen);
      seat.taken.fetch_add(1, std::memory_order_relaxed);
      runtime_.poll_first(*slot);
      more = other.runtime_.loot().size_hint() > 1;
      return 1;
    }
  }
  // Later than that: what came to take a turn waits until a poll ends, and whoever sent it may be
  // the one who looks.
  if (stuck && epochs == Epochs::watched && !seat.mail.empty()) {
    if (Slot* slot = seat.mail.take_if(wanted)) {
      bump(runtime_.counters().steals);
      bump(runtime_.counters().tasks_stolen);
      runtime_.poll_first(*slot);
      return 1;
    }
  }
  return 0;
}

/// Calls somebody for what waits at others, of the kind of core it waits on: such a one may take
/// all of it, whatever the edges to and from other kinds allow. So those who may not cannot call
/// each other for ever, however many kinds there are. `stuck`: only for what nobody has looked at
/// since note_epochs, lone tasks included.
void Worker::call_for_others(bool stuck) noexcept {
  for (std::size_t v = 0; v < victims_.size(); ++v) {
    if (stuck && core_.worker(plan_.victims[v]).epoch() != victims_[v].epoch) continue;
    if (!worth_stealing(victim(v), victims_[v].cursors, stuck, Port::kClasses)) continue;
    if (call_helper(hub_, plan_.victims[v], Helpers::of_its_kind)) return;
  }
}

/// Did the last raid pay? Asked when its tasks are done with: they ended, or wait for something.
void Worker::weigh_last_raid(Nanos now) noexcept {
  if (raided_at_ == 0) return;
  // What they took here may have been the moving itself; then the mean at home decides, though it
  // may be that of other tasks.
  Nanos each = (now - raided_at_) / raided_tasks_;
  const Nanos at_home{raided_->poll_ns.load(std::memory_order_relaxed)};
  if (each < kMovingAtMost && at_home != 0) each = std::min(each, at_home);
  const bool paid = each >= kRaidPays;
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
  const Wakeup wakeup = nap_until(now + raid_pause_);
  hub_.napping.store(0, std::memory_order_release);  // M27
  // Nobody calls a helper during a nap, but a call may have been on its way when it began.
  if (wakeup.token == Seat::kCalled) end_search(hub_);
  return own_work_visible();
}

/// Who ran here was sent to take a turn elsewhere, and who makes room there comes here: what this
/// worker takes from others meanwhile it would have too much. True if there is work of our own.
bool Worker::await_answer(bool& called) noexcept {
  const Wakeup wakeup = nap_until(std::exchange(answer_by_, 0));
  called = wakeup.token == Seat::kCalled;
  if (!own_work_visible()) return false;
  if (std::exchange(called, false) && end_search(hub_)) {
    // As at the end of search(): whoever called relied on one.
    call_for_others(false);
    if (others_have_work()) help_wanted(seat_, runtime_.ready_estimate());
  }
  return true;
}

Wakeup Worker::nap_until(Nanos latest) noexcept {
  const Nanos until = std::min(latest, timers_.next_expiry());
  const Nanos slept_from = machine::now();
  seat_.rests_since.store(slept_from, std::memory_order_relaxed);
  const Wakeup wakeup = park(hub_, seat_, until, [this, until] {
    return own_work_visible() || timers_.next_expiry() < until ||
           let_go_.load(std::memory_order_seq_cst);  // M7
  });
  if (wakeup.slept) bump(runtime_.counters().parks);
  if (wakeup.token != Seat::kAsleep) bump(runtime_.counters().unparks);
  core_.worker_woke();
  last_look_ = machine::now();
  note_rest(last_look_ - slept_from);
  seat_.looked_at.store(last_look_, std::memory_order_relaxed);  // a sleep is no long poll
  return wakeup;
}

/// False: `idle` stays raised.
bool Worker::search() noexcept {
  seat_.idle.store(1, std::memory_order_relaxed);
  bool called = std::exchange(called_, false);
  if (victims_.empty()) {
    if (called) end_search(hub_);
    return false;
  }
  Nanos now = machine::now();
  weigh_last_raid(now);
  if (!parks_are_infinite() && now < answer_by_ && !called) {
    if (own_work_visible() || await_answer(called)) return true;
    now = machine::now();
  }
  if (!parks_are_infinite() && raid_pause_ != 0 && !called && !own_work_visible()) {
    if (nap(now)) return true;
    now = machine::now();
  }
  if (!called && !begin_search(hub_)) return false;
  note_epochs();
  const Nanos start = now;
  bool found = false;
  bool more = false;
  for (;;) {
    found =
        own_work_visible() || raid(now - start >= kStuckAfter ? Epochs::old : Epochs::fresh, more);
    if (found || now - start >= kSearchFor || now >= timers_.next_expiry()) break;
    for (int i = 0; i < 16; ++i) machine::relax();
    now = machine::now();
  }
  const bool last = end_search(hub_);
  // Whoever made work ready meanwhile relied on this search, what we may not take included.
  if (last && core_.clusters().several()) call_for_others(false);
  if (found && last && (more || others_have_work())) {
    help_wanted(seat_, runtime_.ready_estimate());
  }
  last_look_ = now;
  return found;
}

}  // namespace paceline::core
