// SPDX-License-Identifier: BSL-1.0
// Model of the summary words against the ready bits below them (protocol P2 of the reliability
// reference): no ready bit may become unreachable, and no summary bit may stay for nothing.
//
// Runs: notify, raise, raise_bit; Sweep and PageCursor; steal_from. Wakers set bits of slots that
// share a page, a group, a segment or only the port; the home worker sweeps and lowers, a thief
// takes bits away below it. Nothing is polled: serving a bit is looking whether its event has come.
#include "models.hpp"
#include "sched/steal.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

/// Where the second task lies, seen from the first one.
enum Place : unsigned {
  kSamePage = 0,
  kOtherPage = 1,
  kOtherGroup = 2,
  kOtherSegment = 3,
  kOtherLane = 4,  // the first one in no task group, the second one in a group
  kSameLane = 5,   // both in a group
};

constexpr unsigned kMostTasks = 2;

struct Task {
  core::Slot* slot = nullptr;
  Atomic<std::uint32_t> produced{0};
  // Only to check with.
  unsigned seen = 0;
  unsigned owed = 0;  // events whose wakes have been completed
  unsigned expected = 0;
};

struct World;

struct Waker {
  World* world = nullptr;
  unsigned index = 0;
};

struct World {
  explicit World(core::Port& its) : port(its), sweep(tasks_of(its)) {}

  core::Port& port;
  core::Sweep sweep;  // of tasks without a group
  core::RaidCursors cursors{};
  unsigned tasks = 0;
  unsigned wakers = 0;
  Task task[kMostTasks];
  Waker waker[3];

  Goal nothing, stolen;
};
World* world = nullptr;

void serve(World& w, const core::Slot& slot) {
  for (unsigned t = 0; t < w.tasks; ++t) {
    Task& task = w.task[t];
    if (task.slot != &slot) continue;
    const unsigned produced = task.produced.load(std::memory_order_acquire);
    if (produced == task.seen) w.nothing.reach();
    if (produced > task.seen) task.seen = produced;
    return;
  }
  fail("only bits that somebody set are found");
}

bool flagged(World& w) { return w.port.classes.load() != 0; }

/// As ExecutorRuntime::pick does it: task groups first, as far as they are raised.
void home(World& w) {
  unsigned arrived = 0;
  const bool grouped = w.port.task_groups[kClass].load(std::memory_order_relaxed) != 0;
  core::Sweep& sweep = grouped ? core::lane_of(w.port, 1).sweeps[kClass] : w.sweep;
  if (core::Slot* slot = sweep.next(arrived)) serve(w, *slot);
}

void thief(World& w) {
  const core::Haul haul = core::steal_from(w.port, w.cursors, true);
  core::each_bit(haul.bits, [&](unsigned i) {
    w.stolen.reach();
    serve(w, haul.group->page_slots(haul.page)[i]);
  });
}

bool wakes(const World& w, unsigned waker, unsigned task) {
  return w.wakers == 1 || waker % w.tasks == task;
}

void wake_all(Waker& self) {
  World& w = *self.world;
  for (unsigned t = 0; t < w.tasks; ++t) {
    if (!wakes(w, self.index, t)) continue;
    Task& task = w.task[t];
    const unsigned value = task.produced.fetch_add(1, std::memory_order_release) + 1;
    core::notify(*task.slot);
    if (value > task.owed) task.owed = value;
  }
}

/// The first slot and, in other words and levels, its neighbour.
void place_tasks(World& w, unsigned where) {
  if (where >= kOtherLane) {
    add_lane(w.port);
    for (unsigned t = 0; t < w.tasks; ++t) {
      const bool grouped = where == kSameLane || t == 1;
      w.task[t].slot = (grouped ? grouped_tasks_of(w.port) : tasks_of(w.port)).allocate_home();
      require(w.task[t].slot != nullptr, "there is a slot for every task");
    }
    return;
  }
  constexpr unsigned kDistance[] = {1, core::kPageSlots, core::kPageSlots * core::kGroupPages,
                                    core::kPageSlots * core::kGroupPages * core::kSegmentGroups};
  const unsigned last = w.tasks == 1 ? 0 : kDistance[where];
  for (unsigned i = 0; i <= last; ++i) {
    core::Slot* slot = tasks_of(w.port).allocate_home();
    require(slot != nullptr, "there is a slot for every task");
    if (i == 0) w.task[0].slot = slot;
    if (i == last) w.task[w.tasks - 1].slot = slot;
  }
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>(make_port());
  World& w = *world;
  w.tasks = variant.tasks;
  w.wakers = variant.wakers;
  place_tasks(w, variant.flags);
  name_groups(w.port, "");

  loop<World>("home", w, &flagged, &home);
  if (variant.workers > 1) {
    loop<World>("thief", w, &flagged, &thief);
    w.stolen = Goal("a thief takes a bit from below its summary");
  }
  for (unsigned i = 0; i < w.wakers; ++i) {
    for (unsigned t = 0; t < w.tasks; ++t) w.task[t].expected += wakes(w, i, t) ? 1 : 0;
    w.waker[i] = {&w, i};
    const unsigned index =
        thread<Waker>(("waker" + std::to_string(i)).c_str(), w.waker[i], &wake_all);
    if (i == 0) crew().allow_stall(index);
  }
  for (unsigned t = 0; t < w.tasks; ++t) {
    name_memory(&w.task[t].produced, 4, "task" + std::to_string(t) + ".produced");
    if (w.task[t].expected > 1) w.nothing = Goal("a bit is found whose event was seen before");
  }
}

void at_end() {
  for (unsigned t = 0; t < world->tasks; ++t) {
    require(world->task[t].seen == world->task[t].expected, "every set bit is found");
  }
  require(!any_leaf(world->port), "no ready bit is left when everybody rests");
  require(!any_summary(world->port), "no summary bit is left when everybody rests");
}

void at_stall() {
  for (unsigned t = 0; t < world->tasks; ++t) {
    require(world->task[t].seen >= world->task[t].owed,
            "a waker paused for ever strands no other waker's wake");
  }
}

}  // namespace

Model summary_model() {
  Model model{"summary", "summary words against ready bits, with wakers that stall (P2, W8)",
              &set_up,   &at_end,
              &at_stall, {}};
  constexpr const char* kNames[] = {"page", "group", "segment", "port", "lane"};
  for (unsigned workers = 1; workers <= 2; ++workers) {
    for (unsigned wakers = 1; wakers <= 3; ++wakers) {
      const auto add = [&](unsigned tasks, unsigned where, const char* what) {
        Variant variant{member_name(tasks, wakers, workers, what), tasks, wakers, workers, where};
        // As far as some 500,000 states reach; every day, as far as some 50,000 do.
        if (workers == 1 && wakers == 3) variant.quick = 2;
        if (workers == 2 && tasks + wakers > 2) {
          variant.quick = wakers == 1 ? 2 : 1;
          variant.full = 4 - wakers;
        }
        model.variants.push_back(variant);
      };
      add(1, kSamePage, "");
      add(1, kSameLane, "lane");
      for (unsigned where = kSamePage; where <= kOtherLane; ++where) add(2, where, kNames[where]);
    }
  }
  return model;
}

}  // namespace model
