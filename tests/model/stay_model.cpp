// SPDX-License-Identifier: BSL-1.0
// Model of a stay in somebody else's awaitable: the task waits for something of its own meanwhile,
// may move to another slot, and comes to rest in the stay; its completion may come at any moment.
// The task must go on after the stay once, and nobody may wait for ever.
//
// Runs: complete_stay, stay_is_over, complete, may_resume, poll_slot, Sweep, StateWord. The steps
// of the move stand as in api/moving.cpp, the rest in a stay as in ExecutorRuntime's host.
#include <paceline/detail/awaitable.hpp>

#include "exec/completion.hpp"
#include "exec/poll.hpp"
#include "models.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

enum Flag : unsigned {
  kMoves = 1,  // to another slot, before it rests in the stay
  kWaits = 2,  // for an event of its own, after the stay has begun
};

constexpr detail::SuspensionOps kInnerOps{"an event", nullptr, nullptr};

struct World {
  explicit World(core::Port& its) : port(its), sweep(tasks_of(its)) {}

  core::Port& port;
  core::Sweep sweep;
  unsigned flags = 0;
  detail::PromiseBase* root = nullptr;
  detail::ForeignStay* stay = nullptr;
  detail::Suspension* inner = nullptr;
  core::Slot* next_home = nullptr;
  Atomic<std::uint32_t> armed{0};  // the inner event may come
  // Only to check with.
  unsigned step = 0;
  bool ended = false;

  Goal over_early, waited, coming;
};
World* world = nullptr;

/// Where the task stands: in the stay, in its own event, after the stay.
struct Host {
  World& w;

  bool may_resume(core::Slot& slot) noexcept {
    return core::may_resume(slot, [] { return false; });
  }
  core::Rest run(core::Slot*& slot) noexcept {
    require(!w.ended, "a finished task is never resumed");
    if (w.step == 0 && (w.flags & kWaits) != 0) {
      w.step = 1;
      slot->waiting = w.inner;
      w.inner->task = slot->ref();
      w.armed.store(1, std::memory_order_seq_cst);
      return core::Rest::suspended;
    }
    if (w.step <= 1) {
      w.step = 2;
      if ((w.flags & kMoves) != 0) move(slot);
      return rest(*slot);
    }
    require(w.stay->ready.load(std::memory_order_acquire) != 0,
            "a task leaves a stay when it is over");
    w.ended = true;
    return core::Rest::finished;
  }
  core::Rest rest(core::Slot& slot) noexcept {
    slot.waiting = w.stay;
    const bool announced = w.stay->completing.load(std::memory_order_relaxed) != 0;
    const bool ready = w.stay->ready.load(std::memory_order_relaxed) != 0;
    if (ready) w.over_early.reach();
    if (announced && !ready) w.coming.reach();
    if (core::stay_is_over(*w.stay)) return core::Rest::yielded;
    w.waited.reach();
    return core::Rest::suspended;
  }
  void move(core::Slot*& slot) noexcept {
    core::Slot& to = *w.next_home;
    to.state.adopt();
    w.root->self.store(to.ref().bits, std::memory_order_seq_cst);
    require(slot->state.vacate(), "the model uses no generation up");
    slot = &to;
  }
  void finish(core::Slot& slot) noexcept {
    require(slot.state.vacate(), "the model uses no generation up");
  }
  void rearm(core::Slot& slot) noexcept { core::notify_home(slot); }
  void put_back(core::Slot& slot) noexcept { core::notify_home(slot); }
};

bool has_work(World& w) { return w.port.classes.load() != 0; }

void work(World& w) {
  unsigned arrived = 0;
  if (core::Slot* slot = w.sweep.next(arrived)) core::poll_slot(*slot, Host{w});
}

void complete_outer(World& w) { detail::complete_stay(*w.stay); }

bool is_armed(World& w) { return w.armed.load() != 0; }

void complete_inner(World& w) {
  wait_for<World, &is_armed>(w, "waits for the inner event to be armed");
  detail::complete(*w.inner);
}

void set_up(const Variant& variant) {
  begin_machine();
  core::Port& port = make_port();
  world = &arena().make<World>(port);
  World& w = *world;
  w.flags = variant.flags;
  w.root = &arena().make<detail::PromiseBase>();
  w.stay = &arena().make<detail::ForeignStay>();
  w.inner = &arena().make<detail::Suspension>(kInnerOps);
  w.stay->root = w.root;
  core::Slot* slot = tasks_of(port).allocate_home();
  w.next_home = tasks_of(port).allocate_home();
  slot->state.admit();
  w.root->self.store(slot->ref().bits);
  core::notify_home(*slot);
  name_memory(&w.root->self, sizeof w.root->self, "self");
  name_memory(&w.stay->completing, sizeof w.stay->completing, "stay.completing");
  name_memory(&w.stay->ready, sizeof w.stay->ready, "stay.ready");
  name_memory(&w.inner->ready, sizeof w.inner->ready, "inner.ready");
  name_groups(port, "");

  loop<World>("home", w, &has_work, &work);
  thread<World>("foreign", w, &complete_outer);
  if ((w.flags & kWaits) != 0) thread<World>("inner", w, &complete_inner);

  w.waited = Goal("the task rests in the stay");
  w.over_early = Goal("the stay is over before the task rests in it");
  w.coming = Goal("the task rests while its stay is being completed");
}

void at_end() {
  require(world->ended, "a task whose stay was completed goes on");
  require(!any_leaf(world->port), "no ready bit is left when everybody rests");
}

}  // namespace

Model stay_model() {
  Model model{"stay",  "a foreign completion against a task that waits further in, or moves",
              &set_up, &at_end,
              nullptr, {}};
  constexpr const char* kNames[] = {"rests", "moves", "waits", "waits-moves"};
  for (unsigned flags = 0; flags <= (kMoves | kWaits); ++flags) {
    model.variants.push_back({kNames[flags], 1, flags >= kWaits ? 2u : 1u, 1, flags});
  }
  return model;
}

}  // namespace model
