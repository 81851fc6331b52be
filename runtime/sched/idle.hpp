// SPDX-License-Identifier: BSL-1.0
// Who sleeps, who searches, and the handshake that loses no wake (decision D9).
// Flow rooms: wake and spawn (work_added), run (park). Any thread may wake; a worker parks itself.
// It must never be the reason that work waits while a worker sleeps for good.
// Proof: tests/model/park_model.cpp, tests/unit/sched/idle_test.cpp; every park of the model and of
// builds with `-Dinfinite_parks=true` is without time-out.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "base/probe.hpp"
#include "base/time.hpp"
#include "exec/region.hpp"
#include "sched/mailbox.hpp"
#include "task/collection.hpp"

namespace paceline::core {

class Worker;
struct Hub;

inline constexpr unsigned kMaxWorkers = 1024;

/// One worker's place, as the rest of the world sees it. Recycled, never freed.
///
/// Park word, writers: the worker (awake -> asleep -> awake), wakers (asleep -> token, by CAS).
/// The two sides:
///   worker                                 waker
///   1 park := asleep        (seq_cst RMW)  1 set the bit, raise the summary  (seq_cst RMW)
///   2 look for work again                  2 look at the park word
///   3 none: sleep                          3 asleep: park := token, unpark
/// Whichever comes second in the one order of seq_cst operations sees the other, so work and
/// sleeper never miss each other. Exactly one waker wins the CAS of step 3: one token per sleep,
/// consumed by the worker it was posted to (failure W12).
struct Seat : Port {
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kAsleep = 1;
  static constexpr std::uint32_t kWoken = 2;   // for work of its own
  static constexpr std::uint32_t kCalled = 3;  // to search; the caller counted it as a searcher

  alignas(kCacheLinePair) Atomic<std::uint32_t> park{kAwake};
  Atomic<Hub*> hub{nullptr};

  // Spawns from elsewhere since the worker last published its load.
  alignas(kCacheLinePair) Atomic<std::uint32_t> inflow{0};
  // Ready tasks that thieves took since then.
  Atomic<std::uint32_t> taken{0};
  // What another worker has handed over. There is a note at the port then (deliver).
  Mailbox mail;

  // The load board: written by the worker, relaxed, for placement and thieves. Numbers, no order.
  alignas(kCacheLinePair) Atomic<std::uint32_t> load{0};  // ready and running tasks, roughly
  Atomic<std::uint32_t> poll_ns{0};         // how long its polls take, smoothed; 0: not known yet
  Atomic<Nanos> looked_at{0};               // when it last looked at the clock,
  Atomic<std::uint64_t> looked_at_poll{0};  // between two polls; the number of the first one
  Atomic<int> cpu{-1};                      // the worker is bound to it; -1: to none
  Atomic<Nanos> rested{0};                  // how long it has slept so far,
  Atomic<Nanos> rests_since{0};             // but for the sleep that began then; 0: it is awake
  Atomic<Nanos> turn_since{0};              // it woke up then, or got a task by mail
  Atomic<std::uint32_t> idle{1};            // it searches or sleeps

  // What Edge says of this place (clusters.hpp), written by the controller; as it stands here where
  // all workers are alike. Classes that prefer its kind of core, the kind's rank, and which classes
  // its worker may take from workers of each kind: eight bits for each rank.
  static constexpr Word kEverything = ~Word{0};
  Atomic<Word> native{kEverything};
  Atomic<std::uint64_t> takes{kEverything};
  Atomic<std::uint8_t> rank{0};
  Atomic<Worker*> worker{nullptr};

  Region own_region;  // the region word of the thread that began here

  Seat* next_recycled = nullptr;

  /// How long `tasks` more polls keep this worker busy, by what it has seen so far.
  Nanos time_for(std::uint64_t tasks) const noexcept {
    const std::uint32_t each = poll_ns.load(std::memory_order_relaxed);
    return static_cast<Nanos>(tasks * (each != 0 ? each : kUnknownPoll));
  }
  static constexpr std::uint32_t kUnknownPoll = 10'000;

  /// How long after a timer of this worker has fallen due somebody else may fire it, if the worker
  /// is busy: between short polls it sees to that itself.
  Nanos timer_grace() const noexcept {
    const bool busy = park.load(std::memory_order_relaxed) == kAwake;
    return busy && Nanos{poll_ns.load(std::memory_order_relaxed)} >= kTimerGrace ? 0 : kTimerGrace;
  }
  static constexpr Nanos kTimerGrace = 50 * kMicrosecond;
};

/// What it takes to wake a sleeping worker: the caller's system call and the sleeper's way back, on
/// the machine of docs/benchmarks.md, "What a wake costs". Waking one for less work does not pay.
inline constexpr Nanos kWakeCost = 20 * kMicrosecond;

/// The sleepers and searchers of one runtime. Recycled, never freed, because a late wake may arrive
/// after the runtime is gone; it then finds nobody asleep.
///
/// Writers: workers that park and unpark, whoever calls a helper. I1: `searching` counts the
/// workers that search or were called to. I2: at most one helper is called at a time, and the last
/// searcher that finds work calls the next, so a burst of work wakes everybody, one after the
/// other, without a stampede (failure W16).
struct Hub {
  // The watcher word: index + 1 and a bit for "dozing".
  static constexpr std::uint32_t kNobody = 0;
  static constexpr std::uint32_t kDozing = 1;
  static constexpr std::uint32_t watched_by(unsigned index) noexcept { return (index + 1) << 1; }
  static constexpr unsigned watcher_index(std::uint32_t word) noexcept { return (word >> 1) - 1; }
  static constexpr bool is_alert(std::uint32_t word) noexcept {
    return word != kNobody && (word & kDozing) == 0;
  }

  // Everybody who makes something ready looks at it.
  alignas(kCacheLinePair) Atomic<std::uint32_t> sleepers{0};
  alignas(kCacheLinePair) Atomic<std::uint32_t> searching{0};
  // A thief whose raids did not pay waits before its next one; calling others would not pay either.
  Atomic<std::uint32_t> napping{0};
  // Who watches the busy workers, and how closely: see watch.cpp.
  Atomic<std::uint32_t> watcher{kNobody};
  Atomic<unsigned> workers{0};
  // What the monitor does: see monitor.hpp.
  Atomic<std::uint32_t> monitor{0};
  Atomic<std::uint32_t> hurried{0};  // somebody needs its look; lowered by the monitor
  alignas(kCacheLinePair) Atomic<Word> asleep[kMaxWorkers / 64] = {};
  Atomic<Seat*> seats[kMaxWorkers] = {};

  Hub* next_recycled = nullptr;
};

/// Port::work_added of every seat: a bit of `port` was set and its summary raised. Signal-safe.
void work_added(Port& port, unsigned class_index, bool backlog) noexcept;
/// The same in the middle of a stream of tasks from outside: where they are small, help is asked
/// for at its ends, unless nobody would look soon.
void stream_added(Port& port, unsigned class_index, bool backlog) noexcept;

/// Something became ready behind a task that runs; `ready` tasks are waiting there now. Calls a
/// helper unless one searches already, or unless so little waits that a watcher will do.
/// Signal-safe.
void help_wanted(Port& port, std::uint64_t ready) noexcept;

/// The poll that runs at `seat` was asked to give way: a signal tells it if it is in a region. Not
/// to the calling thread itself. Signal-safe.
void signal_seat(Seat& seat) noexcept;

/// Wakes `seat` if it sleeps. True if this call did.
bool wake_seat(Seat& seat, std::uint32_t token) noexcept;

/// Hands a claimed task to the worker of `seat` and tells it. False: its mailbox is full, and the
/// caller still holds the task. A worker of the runtime.
[[nodiscard]] bool deliver(Seat& seat, const Mail& mail) noexcept;
/// Lowers the note and takes what has come. The worker itself.
Mail read_note(Seat& seat) noexcept;

/// Which sleepers may be called: all that may take it, or only those on the same kind of core, who
/// may take all of it.
enum class Helpers : unsigned char { all, of_its_kind };

/// Calls one sleeper to search that may take what is ready at the worker `origin`, nearest by index
/// first, those before all others on whose kind of core it belongs. The one that is bound to the
/// CPU we run on comes last: it could only run instead of us. True if somebody searches now.
bool call_helper(Hub& hub, unsigned origin, Helpers whom = Helpers::all) noexcept;

/// May one more worker search on its own account? At most half of them do.
bool begin_search(Hub& hub) noexcept;
/// Ends a search. True if it was the last one.
bool end_search(Hub& hub) noexcept;

/// How a park ended.
struct Wakeup {
  std::uint32_t token;  // kWoken, kCalled, or kAsleep: nobody came (deadline or re-check)
  bool slept;
};

/// Publishes the seat as asleep, asks `work_visible()` once more, and sleeps until a token arrives
/// or `deadline` passes. The worker itself.
template <class WorkVisible>
Wakeup park(Hub& hub, Seat& seat, Nanos deadline, WorkVisible&& work_visible) noexcept;

namespace detail_park {
void publish_asleep(Hub& hub, Seat& seat) noexcept;
bool sleep(Seat& seat, Nanos deadline) noexcept;
std::uint32_t publish_awake(Hub& hub, Seat& seat) noexcept;
}  // namespace detail_park

template <class WorkVisible>
Wakeup park(Hub& hub, Seat& seat, Nanos deadline, WorkVisible&& work_visible) noexcept {
  detail_park::publish_asleep(hub, seat);
  probe(Site::park_after_publish);
  bool slept = false;
  if (planted(Mutant::no_park_recheck) || !work_visible()) {
    probe(Site::park_before_sleep);
    slept = detail_park::sleep(seat, deadline);
  }
  return {detail_park::publish_awake(hub, seat), slept};
}

}  // namespace paceline::core
