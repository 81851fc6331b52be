// SPDX-License-Identifier: BSL-1.0
// Model of loans: a task is lent a more important class, and what it awaits with it, while it is
// woken, runs, moves to another slot and ends, and until the loan is returned. No wake may be lost,
// what is lent reaches a task wherever it is, and what is returned is gone all the way down.
//
// Runs: lend, joiner_lends, lend_to, take_back, pass_on, says_where, end_loans, task_behind,
// stand_in_of, poll_slot, poll_behind, rest_lent, complete, Sweep, StateWord. The steps of the move
// stand as in api/moving.cpp, the suspension as in api/bridge.cpp.
#include <array>
#include <utility>

#include <paceline/detail/awaitable.hpp>

#include "exec/completion.hpp"
#include "exec/loan.hpp"
#include "exec/poll.hpp"
#include "models.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

enum Flag : unsigned {
  kReturns = 1,  // the loan is returned, else kept
  kMoves = 2,    // the task moves to another slot after its first event
  kEnds = 4,     // it ends, else it waits for what never comes
  kChain = 8,    // it awaits another task, which waits for what never comes
  kSecond = 16,  // somebody else lends a class in between, and keeps it lent
  kLeft = 32,    // it has left a stand-in behind here, and is back from another runtime
  kLeaves = 64,  // with kMoves: the other slot is on another runtime, to which the lender belongs
};

constexpr unsigned kClasses = 3;
constexpr unsigned kOwn = 2;
constexpr unsigned kBetween = 1;
constexpr unsigned kLent = 0;

// Numbers of runtimes.
constexpr std::uint32_t kHere = 1;
constexpr std::uint32_t kAbroad = 2;

struct Life {
  detail::PromiseBase* promise = nullptr;
  unsigned step = 0;
  bool ended = false;
};

struct World;

/// A runtime's one worker.
struct Place {
  Place(World& its, core::Port& own)
      : world(its),
        port(own),
        sweeps{core::Sweep(own.collections[0]), core::Sweep(own.collections[1]),
               core::Sweep(own.collections[2])} {}

  World& world;
  core::Port& port;
  std::array<core::Sweep, kClasses> sweeps;
};

struct World {
  Place* home = nullptr;
  Place* abroad = nullptr;
  unsigned flags = 0;
  Life task;
  Life awaited;
  detail::Suspension* event = nullptr;  // comes
  detail::Suspension* never = nullptr;  // does not
  detail::Suspension* join = nullptr;
  core::Slot* next_home = nullptr;
  Atomic<std::uint32_t> armed{0};
  Atomic<std::uint32_t> over{0};

  Goal by_stand_in, late, moved, lent_abroad;

  bool has(unsigned flag) const { return (flags & flag) != 0; }
};
World* world = nullptr;

constexpr detail::SuspensionOps kEventOps{"an event", nullptr, nullptr};
constexpr detail::SuspensionOps kJoinOps{
    "join", nullptr, nullptr, [](detail::Suspension&, detail::TaskRef waiting) noexcept {
      core::lend_to(core::Slot::of(waiting), *world->awaited.promise);
    }};

struct Host {
  World& w;
  Place& here;

  bool may_resume(core::Slot& slot) noexcept {
    if (core::may_resume(slot, [] { return false; })) return true;
    core::pass_on(slot);
    return false;
  }
  core::Rest run(core::Slot*& slot) noexcept {
    require(core::is_home(*slot, here.port), "a task runs on its own runtime");
    if (slot->root == w.awaited.promise) {
      require(w.awaited.step++ == 0, "nothing resumes a task that waits");
      return wait(*slot, *w.never);
    }
    Life& life = w.task;
    require(!life.ended, "a finished task is never resumed");
    switch (life.step++) {
      case 0:
        if (w.has(kChain)) {
          core::lend_to(*slot, *w.awaited.promise);
          return wait(*slot, *w.join);
        }
        return wait(*slot, *w.event);
      case 1:
        if (w.has(kMoves)) move(slot);
        if (w.has(kLeaves)) return leave(*slot);
        if (!w.has(kEnds)) return wait(*slot, *w.never);
        life.ended = true;
        return core::Rest::finished;
      case 2:
        if (w.has(kLeaves)) return wait(*slot, *w.never);
        [[fallthrough]];
      default: fail("nothing resumes a task that waits");
    }
  }
  core::Rest wait(core::Slot& slot, detail::Suspension& where) noexcept {
    slot.waiting = &where;
    where.task = core::address_of(slot).ref();
    where.root = slot.root;
    if (&where == w.event) w.armed.store(1, std::memory_order_seq_cst);
    return core::rest_lent(slot, core::Rest::suspended, *this);
  }
  void move(core::Slot*& slot) noexcept {
    core::Slot& to = *w.next_home;
    to.root = slot->root;
    to.state.adopt();
    if (w.task.promise->lent.load() != 0) w.moved.reach();
    if (w.has(kLeaves)) w.task.promise->runtime_id.store(kAbroad, std::memory_order_relaxed);
    core::says_where(*w.task.promise, *slot, to, !w.has(kLeaves));
    require(slot->state.vacate(), "the model uses no generation up");
    slot = &to;
  }
  /// It is ready where it lives now.
  core::Rest leave(core::Slot& slot) noexcept {
    slot.waiting = nullptr;
    return core::rest_lent(slot, core::Rest::yielded, *this) == core::Rest::elsewhere
               ? core::Rest::elsewhere
               : core::Rest::yielded;
  }
  void finish(core::Slot& slot) noexcept {
    require(slot.state.vacate(), "the model uses no generation up");
    w.over.store(1, std::memory_order_seq_cst);
  }
  void rearm(core::Slot& slot) noexcept {
    if (core::is_home(slot, here.port)) {
      core::notify_home(slot);
    } else {
      core::notify(slot);
    }
  }
  void put_back(core::Slot& slot) noexcept { rearm(slot); }
};

bool has_work(Place& here) { return here.port.classes.load() != 0; }

void work(Place& here) {
  World& w = here.world;
  const unsigned chosen = core::lowest(here.port.classes.load());
  unsigned arrived = 0;
  core::Slot* slot = here.sweeps[chosen].next(arrived);
  if (slot == nullptr) return;
  Host host{w, here};
  if (core::poll_slot(*slot, host) != core::Claim::loan) return;
  const unsigned step = w.task.step;
  const core::Claim claim = core::poll_behind(*slot, host);
  if (claim == core::Claim::polled && w.task.step != step) w.by_stand_in.reach();
  if (claim != core::Claim::polled && w.has(kReturns)) w.late.reach();
}

bool is_over(World& w) { return w.over.load() != 0; }

/// The joiner, whose class changes while it waits.
void lend(World& w) {
  detail::PromiseBase& task = *w.task.promise;
  // Of the other runtime: it lends nothing before the task is there (lend_to).
  if (w.has(kLeaves) && task.runtime_id.load(std::memory_order_relaxed) != kAbroad) return;
  if (w.has(kLeaves)) w.lent_abroad.reach();
  core::joiner_lends(task, kLent);
  if (w.has(kReturns)) {
    pause_here("lends");
    core::joiner_lends(task, core::kNoRank);
  }
  if (w.has(kEnds)) {
    wait_for<World, &is_over>(w, "waits for the task to end");
    core::end_loans(task);
  }
}

/// Somebody who waits for what the task holds, and keeps it from ending.
void lend_between(World& w) {
  const core::Lent lent = core::lend(*w.task.promise, kBetween, core::Lender::mutex);
  if (lent.news) core::notify(*lent.stand_in);
}

bool is_armed(World& w) { return w.armed.load() != 0; }

void bring_event(World& w) {
  wait_for<World, &is_armed>(w, "waits for the event to be armed");
  detail::complete(*w.event);
}

void start(World& w, Life& life) {
  life.promise = &arena().make<detail::PromiseBase>();
  life.promise->runtime_id.store(kHere, std::memory_order_relaxed);
  core::Slot* slot = w.home->port.collections[kOwn].allocate_home();
  slot->root = life.promise;
  life.promise->self.store(slot->ref().bits);
  slot->state.admit();
  core::notify_home(*slot);
}

/// The task goes to another runtime, which ends what it was lent here, and comes back. All of it
/// has happened before: a planted mistake is not made here.
void leave_one(Life& life) {
  const core::Mutant mutant = std::exchange(planted_mutant, core::Mutant::none);
  core::Slot& home = core::Slot::of({life.promise->self.load()});
  const core::Lent lent = core::lend(*life.promise, kLent, core::Lender::joiner);
  require(core::take_back(*lent.stand_in, core::Lender::joiner), "the one lender was the last");
  core::says_where(*life.promise, home, home, false);
  require(!core::leads_to(*lent.stand_in, *life.promise), "what was left behind leads nowhere");
  planted_mutant = mutant;
}

Place& make_place(World& w, std::uint32_t runtime) {
  core::Port& port = arena().make<core::Port>();
  prepare_port(port, runtime - kHere, [](core::Port&, unsigned, bool) noexcept {}, kClasses);
  port.runtime_id.store(runtime, std::memory_order_relaxed);
  for (unsigned lent : {kLent, kBetween}) {  // so that no loan has to wait for memory
    core::Slot* slot = port.collections[lent].allocate_shared(core::Role::shared);
    core::TaskCollection::release(*slot, false);
  }
  return arena().make<Place>(w, port);
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>();
  World& w = *world;
  w.flags = variant.flags;
  w.home = &make_place(w, kHere);
  if (w.has(kLeaves)) w.abroad = &make_place(w, kAbroad);
  w.event = &arena().make<detail::Suspension>(kEventOps);
  w.never = &arena().make<detail::Suspension>(kEventOps);
  w.join = &arena().make<detail::Suspension>(kJoinOps);
  start(w, w.task);
  if (w.has(kLeft)) leave_one(w.task);
  if (w.has(kChain)) start(w, w.awaited);
  if (w.has(kMoves)) {
    core::TaskCollection& there = (w.has(kLeaves) ? w.abroad : w.home)->port.collections[kOwn];
    w.next_home =
        w.has(kLeaves) ? there.allocate_shared(core::Role::shared) : there.allocate_home();
  }
  name_memory(&w.task.promise->self, sizeof w.task.promise->self, "self");
  name_memory(&w.task.promise->lent, sizeof w.task.promise->lent, "lent");
  name_memory(&w.event->ready, sizeof w.event->ready, "event.ready");
  name_groups(w.home->port, "lent.");
  if (w.has(kLeaves)) name_groups(w.abroad->port, "abroad.");

  loop<Place>("home", *w.home, &has_work, &work);
  if (w.has(kLeaves)) loop<Place>("abroad", *w.abroad, &has_work, &work);
  thread<World>("lender", w, &lend);
  if (!w.has(kChain)) thread<World>("waker", w, &bring_event);
  if (w.has(kSecond)) thread<World>("second", w, &lend_between);

  if (!w.has(kChain)) w.by_stand_in = Goal("a task runs by its stand-in");
  if (w.has(kLeaves)) w.lent_abroad = Goal("somebody lends where the task goes");
  if (w.has(kReturns)) w.late = Goal("a loan is returned before its claim comes");
  if (w.has(kMoves) && !w.has(kLeaves)) w.moved = Goal("a task moves that has been lent something");
}

unsigned rank_now(const Life& life) {
  return core::rank_of(core::Slot::of({life.promise->self.load()}));
}

unsigned loans_in(World& w, unsigned rank) {
  unsigned loans = 0;
  w.home->port.collections[rank].each_page([&](core::Group& group, unsigned page) {
    for (unsigned i = 0; i < core::kPageSlots; ++i) {
      const std::uint64_t word = group.page_slots(page)[i].state.peek();
      if (core::StateWord::phase_of(word) == core::Phase::loan) ++loans;
    }
  });
  return loans;
}

void at_end() {
  World& w = *world;
  require(!has_work(*w.home), "no ready bit is left when everybody rests");
  const unsigned steps = w.has(kLeaves) ? 3 : 2;
  require(w.has(kChain) || w.task.step == steps, "a task goes on when its event has come");
  if (w.has(kLeaves)) return;  // whether it was lent something depends on who was first
  if (w.has(kEnds)) {
    require(w.task.ended, "a task ends");
    require(loans_in(w, kLent) == 0, "a loan ends with its task");
    return;
  }
  require(loans_in(w, kLent) <= (w.has(kChain) ? 2 : 1), "what was left behind is taken up again");
  const unsigned rest = w.has(kSecond) ? kBetween : kOwn;
  const unsigned expected = w.has(kReturns) ? rest : kLent;
  require(rank_now(w.task) == expected, "a task has the best class that it is lent, and no other");
  if (w.has(kChain)) {
    require(rank_now(w.awaited) == expected, "what a task awaits has the class that the task has");
  }
}

}  // namespace

Model lending_model() {
  Model model{"lending", "loans against wakes, moves and their return", &set_up, &at_end, nullptr,
              {}};
  const auto add = [&](const char* name, unsigned flags, unsigned quick, unsigned full) {
    model.variants.push_back({name, 1, 1, 1, flags, quick, full});
  };
  add("kept", 0, 2, kUnbounded);
  add("returned", kReturns, 1, 3);
  add("ends", kReturns | kEnds, 1, 3);
  add("moves", kMoves, 2, 4);
  add("moves-returned", kReturns | kMoves, 1, 3);
  add("moves-ends", kReturns | kMoves | kEnds, 1, 3);
  add("chain", kChain, 2, kUnbounded);
  add("chain-returned", kChain | kReturns, 2, 4);
  add("taken-up", kLeft, 2, kUnbounded);
  add("taken-up-moves", kLeft | kMoves, 2, 4);
  add("taken-up-moves-ends", kLeft | kReturns | kMoves | kEnds, 1, 3);
  add("leaves", kMoves | kLeaves, 2, 4);
  add("second", kReturns | kSecond, 1, 2);
  add("chain-second", kChain | kReturns | kSecond, 1, 2);
  return model;
}

}  // namespace model
