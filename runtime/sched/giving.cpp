// SPDX-License-Identifier: BSL-1.0
// Giving: a worker hands what it would poll next to another one, where that belongs.
//
// A slot stays at home, and what runs is bound to its thread. But between two polls a ready task is
// a claimed bit, and that may go to any worker's mailbox: a task that yields stays there until it
// waits for something, as if it had been stolen (decision 0035). Who gives, and why:
// - a worker that polls what prefers another kind of core, while a core of that kind is free: it
//   sees a sleeper itself, or a searcher asks (rebalance);
// - the same at the end of a quantum while none is free: the task takes a turn on a fast core, and
//   who runs there makes room (stirring);
// - a worker whose polls are long and that has more than one to do, while another one is free;
// - a worker of a cluster that is to take no work, whatever it polls.
// All of it only where workers sit on several clusters, and never a pinned task.
// Proof: tests/unit/sched/giving_test.cpp, tests/unit/api/giving_test.cpp, ./dev sim.
#include <algorithm>
#include <array>
#include <optional>

#include "policy/avoid.hpp"
#include "policy/idle_search.hpp"
#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"
#include "task/lane.hpp"

namespace paceline::core {

namespace {

using policy::AvoidReason;
using policy::ClusterIndex;

// A turn on a fast core waits for the end of a poll there, and the slow core has nothing to do
// meanwhile. So no turn is taken where polls last for longer than this part of a quantum; and what
// could not be handed over is tried again after so long a part.
constexpr Nanos kPatienceOfQuantum = 4;
constexpr Nanos kAgainOfQuantum = 8;

// So many tasks that run on the wrong kind of core are looked at by one that asks for one of them.
constexpr std::size_t kLookAtMost = 64;

}  // namespace

Nanos Worker::quantum_of(qos q) const noexcept {
  return core_.surroundings().classes[policy::class_index(q)].quantum;
}

/// To move a task costs about what a wake costs. Either its polls are that long, or there was so
/// much to do here lately that it will have been worth it.
bool Worker::moving_pays(Nanos now) const noexcept {
  return now - awake_since_ >= kWakeCost || polls_are_long();
}

bool Worker::polls_are_long() const noexcept { return seat_.time_for(1) >= kWakeCost; }

/// Is anything ready here besides what is claimed?
bool Worker::more_is_ready() const noexcept {
  if (!runtime_.loot_empty()) return true;
  Word left = seat_.classes.load(std::memory_order_relaxed) & Port::kClasses;
  while (left != 0 && !has_ready(seat_, lowest(left))) left = without_lowest(left);
  return left != 0;
}

/// Between two steps, with more to do: would what is polled here be better off elsewhere? Then its
/// next pick looks.
void Worker::consider_giving(Nanos now) noexcept {
  const std::uint32_t runs = seat_.run_class.load(std::memory_order_relaxed);
  if (runs >= qos_count || now < give_again_at_) return;
  const Nanos quantum = quantum_of(static_cast<qos>(runs));
  // How many are ready here is known by estimate only; parts_with looks.
  bool due = polls_are_long() && hub_.sleepers.load(std::memory_order_relaxed) != 0;
  if ((seat_.native.load(std::memory_order_relaxed) & bit(runs)) == 0) {
    const Clusters& clusters = core_.clusters();
    const bool wanted =
        !clusters.recommended(clusters.of(index())) || clusters.one_sleeps_for(bit(runs));
    due = due || now - seat_.turn_since.load(std::memory_order_relaxed) >= quantum ||
          (wanted && moving_pays(now));
  }
  if (!due) return;
  give_again_at_ = now + quantum / kAgainOfQuantum;
  leave_note(seat_);
}

Slot* Worker::look_at_note(Slot* next) noexcept {
  const Mail mail = read_note(seat_);
  if (mail.slot != nullptr) {
    seat_.turn_since.store(machine::now(), std::memory_order_relaxed);
    answer_by_ = 0;
  }
  if (next == nullptr || parts_with(*next, mail)) return mail.slot;
  if (mail.slot != nullptr) keep(*mail.slot);
  return next;
}

/// Who came is not polled at once.
void Worker::keep(Slot& slot) noexcept {
  if (runtime_.loot().full()) {
    notify(slot);
  } else {
    runtime_.add_loot(slot);
  }
}

bool Worker::parts_with(Slot& next, const Mail& mail) noexcept {
  const unsigned of_class = class_if_movable(next);
  if (of_class >= qos_count || runtime_.stands_here(next)) return false;
  const auto q = static_cast<qos>(of_class);
  if (mail.answer_to != Mail::kNoAnswer) return makes_room(next, q, mail);
  return sends_home(next, q) || shares(next, q);
}

/// Others wait behind it, for long polls, and somebody has nothing to do. A thief would leave it:
/// of tasks that yield by turns only one is ready at a time.
bool Worker::shares(Slot& slot, qos q) noexcept {
  if (!polls_are_long() || !more_is_ready()) return false;
  const Clusters& clusters = core_.clusters();
  return gives_to_free(slot, clusters.place(q).where);
}

bool Worker::gives_to_free(Slot& slot, ClusterIndex there) noexcept {
  // More than once only if another giver was there before us.
  for (int attempt = 0; attempt < 4; ++attempt) {
    Seat* seat = core_.clusters().free_worker(there);
    if (seat == nullptr) return false;
    if (!deliver(*seat, {&slot})) continue;
    bump(runtime_.counters().rebalanced);
    return true;
  }
  return false;
}

/// Does the task leave, for a worker where it belongs?
bool Worker::sends_home(Slot& slot, qos q) noexcept {
  const Clusters& clusters = core_.clusters();
  const ClusterIndex here = clusters.of(index());
  const Nanos now = machine::now();
  const Nanos since = seat_.turn_since.load(std::memory_order_relaxed);
  const policy::AvoidAsk ask{.q = q,
                             .here = here,
                             .preferred = clusters.preferred(q),
                             .quantum_expired = now - since >= quantum_of(q)};
  const policy::AvoidVerdict verdict = policy::avoid(clusters.table(), ask, clusters);
  // Within a kind one that is free will do as well: see above.
  if (!verdict.leave || verdict.reason == AvoidReason::preferred_idle) return false;
  if (policy::stir(ask, verdict)) return gives_turn(slot, q, now);
  if (!moving_pays(now)) return false;
  const ClusterIndex there = clusters.place(q).where;
  if (there == here) return false;
  const bool sent_away = verdict.reason == AvoidReason::not_recommended;
  if (!sent_away && (clusters.native_classes(there) & bit(policy::index_of(q))) == 0) return false;
  if (gives_to_free(slot, there)) return true;
  if (!sent_away) return false;
  const std::span<const std::size_t> workers = clusters.workers_of(there);
  if (workers.empty()) return false;  // while the advice changes, nowhere may be right
  Seat& seat = core_.worker(core_.emptiest_of(workers)).seat();
  if (!deliver(seat, {&slot})) return false;
  bump(runtime_.counters().rebalanced);
  return true;
}

/// Its quantum is over. It takes a turn on the kind of core that it prefers.
bool Worker::gives_turn(Slot& slot, qos q, Nanos now) noexcept {
  Clusters& clusters = core_.clusters();
  const policy::PlaceVerdict to = clusters.place_in_turn(q);
  if (to.where == clusters.of(index())) return false;
  if (to.reason != policy::PlaceReason::stirred) {
    const bool native = (clusters.native_classes(to.where) & bit(policy::index_of(q))) != 0;
    return native && gives_to_free(slot, to.where);
  }
  const Nanos patience = quantum_of(q) / kPatienceOfQuantum;
  Seat* seat = clusters.where_to_take_turn(to.where, q, now, patience);
  if (seat == nullptr || !deliver(*seat, {&slot, index()})) return false;
  clusters.note_turn(q, to.where);
  answer_by_ = now + patience;
  bump(runtime_.counters().stirred);
  return true;
}

/// Another one came to take a turn here, unless this one is more important: then both stay. The
/// place that became free for it is where that one came from.
bool Worker::makes_room(Slot& slot, qos q, const Mail& newcomer) noexcept {
  if (policy::index_of(q) < class_if_movable(*newcomer.slot)) return false;
  return deliver(core_.worker(newcomer.answer_to).seat(), {&slot});
}

/// Asks a worker of another kind for a task that prefers our kind of core, unless as many are asked
/// already as workers of our cluster have nothing to do.
void Worker::ask_rebalance() noexcept {
  const Clusters& clusters = core_.clusters();
  const ClusterIndex own = clusters.of(index());
  std::array<policy::RunningForeign, kLookAtMost> running;
  std::size_t count = 0;
  for (const unsigned v : plan_.victims) {
    if (count == running.size()) break;
    if (clusters.table().same_kind(clusters.of(v), own)) continue;
    if (const auto foreign = clusters.running_foreign(v)) running[count++] = *foreign;
  }
  std::array<std::uint32_t, 1> target;
  const std::uint32_t idle = clusters.free_workers(own);
  if (policy::rebalance_targets(clusters.table(), own, idle, {running.data(), count}, clusters,
                                target) == 0) {
    return;
  }
  Seat& seat = core_.worker(target[0]).seat();
  leave_note(seat);
  // If something else is ready there the poll need not be waited for.
  if (!seat.is_asked()) seat.ask(Ask::rebalance, machine::now());
}

}  // namespace paceline::core
