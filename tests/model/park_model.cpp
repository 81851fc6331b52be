// SPDX-License-Identifier: BSL-1.0
// Model of park and unpark (protocol P3 of the reliability reference): no worker sleeps for good
// while work that it would take is visible, and no token and no searcher is lost or doubled.
//
// Runs: notify and work_added, wake_seat, help_wanted, call_helper, begin_search, end_search, park;
// Sweep; steal_from, worth_stealing. Around them stands the loop of Worker::run without clocks:
// step, search, rest; a victim always counts as stuck. All parks are without time-out.
#include <memory>
#include <utility>

#include "models.hpp"
#include "sched/idle.hpp"
#include "sched/steal.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

enum Flag : unsigned {
  kApart = 1,       // each task at a worker of its own
  kFalseWakes = 2,  // a park may return for no reason
};

constexpr unsigned kMostWorkers = 2;
constexpr unsigned kMostTasks = 2;

struct Task {
  core::Slot* slot = nullptr;
  Atomic<std::uint32_t> produced{0};
  // Only to check with.
  unsigned seen = 0;
  unsigned expected = 0;
};

struct World;

struct Side {
  explicit Side(core::Seat& its) : seat(its), sweep(tasks_of(its)) {}

  World* world = nullptr;
  core::Seat& seat;
  core::Sweep sweep;
  core::RaidCursors cursors{};  // of the other one
  Side* other = nullptr;
  bool called = false;
};

struct Waker {
  World* world = nullptr;
  unsigned index = 0;
};

struct World {
  core::Hub hub;
  unsigned workers = 0;
  unsigned tasks = 0;
  unsigned wakers = 0;
  Side* side[kMostWorkers] = {};
  Task task[kMostTasks];
  Waker waker[3];

  Goal slept, recheck, called, stolen;
};
World* world = nullptr;

void serve(World& w, const core::Slot& slot) {
  for (unsigned t = 0; t < w.tasks; ++t) {
    Task& task = w.task[t];
    if (task.slot != &slot) continue;
    const unsigned produced = task.produced.load(std::memory_order_acquire);
    if (produced > task.seen) task.seen = produced;
  }
}

// --- the worker's loop, as in sched/worker.cpp ---

bool own_work_visible(const Side& self) {
  return self.seat.classes.load(std::memory_order_seq_cst) != 0;
}

bool any_work_visible(const Side& self) {
  if (own_work_visible(self)) return true;
  if (self.other == nullptr) return false;
  if (self.world->hub.searching.load(std::memory_order_seq_cst) != 0) return false;
  return core::worth_stealing(self.other->seat, self.cursors);
}

bool raid(Side& self, bool& more) {
  const core::Haul haul = core::steal_from(self.other->seat, self.cursors, true);
  core::each_bit(haul.bits, [&](unsigned i) {
    self.world->stolen.reach();
    serve(*self.world, haul.group->page_slots(haul.page)[i]);
  });
  more = haul.more;
  return haul.bits != 0;
}

bool search(Side& self) {
  core::Hub& hub = self.world->hub;
  const bool called = std::exchange(self.called, false);
  if (self.other == nullptr) {
    if (called) core::end_search(hub);
    return false;
  }
  if (!called && !core::begin_search(hub)) return false;
  bool more = false;
  const bool found = own_work_visible(self) || raid(self, more);
  const bool last = core::end_search(hub);
  if (found && last && more) core::help_wanted(self.seat, 1);
  return found;
}

void rest(Side& self) {
  World& w = *self.world;
  const core::Wakeup wakeup =
      core::park(w.hub, self.seat, core::kForever, [&] { return any_work_visible(self); });
  if (wakeup.slept) w.slept.reach();
  if (!wakeup.slept && wakeup.token == core::Seat::kAsleep) w.recheck.reach();
  if (wakeup.token == core::Seat::kCalled) w.called.reach();
  self.called = wakeup.token == core::Seat::kCalled;
}

void round(Side& self) {
  if (self.called) search(self);
  unsigned arrived = 0;
  while (core::Slot* slot = self.sweep.next(arrived)) serve(*self.world, *slot);
  if (own_work_visible(self) || search(self)) return;
  rest(self);
}

bool always(Side&) { return true; }

// --- the wakers ---

bool wakes(const World& w, unsigned waker, unsigned task) {
  return w.wakers == 1 || waker % w.tasks == task;
}

void wake_all(Waker& self) {
  World& w = *self.world;
  for (unsigned t = 0; t < w.tasks; ++t) {
    if (!wakes(w, self.index, t)) continue;
    w.task[t].produced.fetch_add(1, std::memory_order_release);
    core::notify(*w.task[t].slot);
  }
}

void add_worker(World& w, unsigned index) {
  core::Seat& seat = arena().make<core::Seat>();
  prepare_port(seat, index, &core::work_added);
  seat.hub.store(&w.hub);
  w.hub.seats[index].store(&seat);
  const std::string name = "seat" + std::to_string(index);
  name_memory(&seat.park, sizeof seat.park, name + ".park");
  w.side[index] = &arena().make<Side>(seat);
  w.side[index]->world = &w;
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>();
  World& w = *world;
  w.workers = variant.workers;
  w.tasks = variant.tasks;
  w.wakers = variant.wakers;
  w.hub.workers.store(w.workers);
  name_memory(&w.hub.sleepers, 4, "hub.sleepers");
  name_memory(&w.hub.searching, 4, "hub.searching");
  name_memory(&w.hub.asleep[0], 8, "hub.asleep");
  for (unsigned i = 0; i < w.workers; ++i) add_worker(w, i);
  arena().leave_out(&w.hub.asleep[1], sizeof w.hub.asleep - sizeof w.hub.asleep[0]);
  arena().leave_out(&w.hub.seats, sizeof w.hub.seats);

  for (unsigned t = 0; t < w.tasks; ++t) {
    core::Seat& home = w.side[(variant.flags & kApart) != 0 ? t : 0]->seat;
    w.task[t].slot = tasks_of(home).allocate_home();
    require(w.task[t].slot != nullptr, "there is a slot for every task");
    name_memory(&w.task[t].produced, 4, "task" + std::to_string(t) + ".produced");
  }
  for (unsigned i = 0; i < w.workers; ++i) {
    name_groups(w.side[i]->seat, "seat" + std::to_string(i) + ".");
    if (w.workers > 1) w.side[i]->other = w.side[1 - i];
    const unsigned index =
        loop<Side>(("worker" + std::to_string(i)).c_str(), *w.side[i], &always, &round);
    if ((variant.flags & kFalseWakes) != 0) crew().allow_false_wakes(index, 1);
  }
  for (unsigned i = 0; i < w.wakers; ++i) {
    for (unsigned t = 0; t < w.tasks; ++t) w.task[t].expected += wakes(w, i, t) ? 1 : 0;
    w.waker[i] = {&w, i};
    thread<Waker>(("waker" + std::to_string(i)).c_str(), w.waker[i], &wake_all);
  }

  w.slept = Goal("a worker sleeps and is woken");
  w.recheck = Goal("the re-check before the sleep finds work");
  if (w.workers > 1) {
    w.called = Goal("a helper is called to search");
    w.stolen = Goal("a searcher steals");
  }
}

void at_end() {
  const World& w = *world;
  for (unsigned t = 0; t < w.tasks; ++t) {
    require(w.task[t].seen == w.task[t].expected, "nobody sleeps while work is ready");
  }
  for (unsigned i = 0; i < w.workers; ++i) {
    require(!any_leaf(w.side[i]->seat), "no ready bit is left when everybody sleeps");
    require(w.side[i]->seat.park.load() == core::Seat::kAsleep, "who sleeps has no token");
  }
  require(w.hub.searching.load() == 0, "nobody is counted as a searcher when everybody sleeps");
  require(w.hub.sleepers.load() == w.workers, "every sleeper is counted");
  require(w.hub.asleep[0].load() == core::all_bits(w.workers), "every sleeper can be found");
}

}  // namespace

Model park_model() {
  Model model{"park",  "park and unpark, helpers and searchers, all parks without time-out (P3)",
              &set_up, &at_end,
              nullptr, {}};
  const auto add = [&](unsigned tasks, unsigned wakers, unsigned workers, const char* what,
                       unsigned flags) {
    Variant variant{member_name(tasks, wakers, workers, what), tasks, wakers, workers, flags};
    // As far as some 500,000 states reach; every day, as far as some 50,000 do.
    if (workers == 1 && wakers > 1) {
      variant.quick = 4 - wakers;
      variant.full = 5 - wakers;
    }
    if (workers == 2) {
      variant.quick = 1;
      variant.full = wakers == 1 ? (tasks == 1 ? 3 : 2) : 1;
    }
    model.variants.push_back(variant);
  };
  for (unsigned workers = 1; workers <= 2; ++workers) {
    for (unsigned tasks = 1; tasks <= 2; ++tasks) {
      for (unsigned wakers = 1; wakers <= 3; ++wakers) {
        add(tasks, wakers, workers, "", 0);
        if (workers == 2 && tasks == 2) add(tasks, wakers, workers, "apart", kApart);
        if (tasks == 1 && wakers < 3) add(tasks, wakers, workers, "false", kFalseWakes);
      }
    }
  }
  return model;
}

}  // namespace model
