// SPDX-License-Identifier: BSL-1.0
// Model of the mailbox (decision 0035): a task that is handed to a worker is run by somebody, once
// for each claim, whoever sleeps, hands over or takes at the same time; who is refused keeps it.
//
// Runs: Mailbox, deliver, read_note; notify and work_added, wake_seat, park; Sweep. Around them
// stands the loop of Worker::run without clocks, as in the model of park and unpark: all parks are
// without time-out. Givers have claimed their task; wakers wake it all the same. A thief takes what
// is in the mailbox, at any time and not only from a worker that is stuck.
#include <utility>

#include "models.hpp"
#include "sched/idle.hpp"
#include "sched/mailbox.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

constexpr unsigned kMostGivers = 3;

struct World;

struct Giver {
  World* world = nullptr;
  core::Slot* slot = nullptr;
  Atomic<std::uint32_t> produced{0};
  // Only to check with.
  unsigned seen = 0;
  unsigned expected = 0;  // of `produced`
  unsigned claims = 0;    // that there were, by givers and wakers
  unsigned served = 0;
};

struct Waker {
  World* world = nullptr;
  unsigned index = 0;
};

struct World {
  explicit World(core::Seat& its) : seat(its), sweep(tasks_of(its)) {}

  core::Hub hub;
  core::Seat& seat;
  core::Sweep sweep;
  unsigned givers = 0;
  Giver giver[kMostGivers];
  Waker waker[2];

  Goal slept, handed, refused, taken, noted_for_nothing;
};
World* world = nullptr;

void serve(World& w, const core::Slot& slot) {
  for (unsigned i = 0; i < w.givers; ++i) {
    Giver& task = w.giver[i];
    if (task.slot != &slot) continue;
    require(++task.served <= task.claims, "a task is not served more often than it was claimed");
    const unsigned produced = task.produced.load(std::memory_order_acquire);
    if (produced > task.seen) task.seen = produced;
  }
}

void give(Giver& self) {
  World& w = *self.world;
  self.produced.fetch_add(1, std::memory_order_release);
  if (core::deliver(w.seat, {self.slot, 0})) return;
  w.refused.reach();
  serve(w, *self.slot);
}

void wake_one(Waker& self) {
  World& w = *self.world;
  Giver& task = w.giver[self.index % w.givers];
  task.produced.fetch_add(1, std::memory_order_release);
  core::notify(*task.slot);
}

void rob(World& w) {
  pause_here("looks into the mailbox");
  if (core::Slot* slot = w.seat.mail.take_if([](const core::Slot&) { return true; })) {
    w.taken.reach();
    serve(w, *slot);
  }
}

bool always(World&) { return true; }

void round(World& w) {
  if ((w.seat.classes.load(std::memory_order_acquire) & core::bit(core::Port::kNote)) != 0) {
    const core::Mail mail = core::read_note(w.seat);
    if (mail.slot != nullptr) {
      require(mail.answer_to == 0, "who waits for an answer comes with the task");
      w.handed.reach();
      serve(w, *mail.slot);
    } else {
      w.noted_for_nothing.reach();
    }
  }
  unsigned arrived = 0;
  while (core::Slot* slot = w.sweep.next(arrived)) serve(w, *slot);
  const auto work_visible = [&] { return w.seat.classes.load(std::memory_order_seq_cst) != 0; };
  if (work_visible()) return;
  if (core::park(w.hub, w.seat, core::kForever, work_visible).slept) w.slept.reach();
}

/// `tasks`: givers, each with one. `workers`: the owner, and a thief.
void set_up(const Variant& variant) {
  begin_machine();
  core::Seat& seat = arena().make<core::Seat>();
  prepare_port(seat, 0, &core::work_added);
  world = &arena().make<World>(seat);
  World& w = *world;
  w.givers = variant.tasks;
  w.hub.workers.store(1);
  w.hub.seats[0].store(&seat);
  seat.hub.store(&w.hub);
  arena().leave_out(&w.hub.asleep[1], sizeof w.hub.asleep - sizeof w.hub.asleep[0]);
  arena().leave_out(&w.hub.seats, sizeof w.hub.seats);
  name_memory(&seat.park, sizeof seat.park, "seat.park");
  name_memory(&seat.mail, sizeof seat.mail, "seat.mail");

  loop<World>("worker", w, &always, &round);
  for (unsigned i = 0; i < w.givers; ++i) {
    Giver& giver = w.giver[i];
    giver.world = &w;
    giver.slot = tasks_of(seat).allocate_home();
    require(giver.slot != nullptr, "there is a slot for every task");
    giver.expected = giver.claims = 1;
    thread<Giver>(("giver" + std::to_string(i)).c_str(), giver, &give);
  }
  name_groups(seat, "");
  for (unsigned i = 0; i < variant.wakers; ++i) {
    w.waker[i] = {&w, i};
    ++w.giver[i % w.givers].expected;
    ++w.giver[i % w.givers].claims;
    thread<Waker>(("waker" + std::to_string(i)).c_str(), w.waker[i], &wake_one);
  }
  if (variant.workers > 1) thread<World>("thief", w, &rob);

  w.slept = Goal("the worker sleeps and is woken");
  w.handed = Goal("a task is handed over");
  if (w.givers > 1) w.refused = Goal("a giver finds the mailbox full");
  if (variant.workers > 1) {
    w.taken = Goal("a thief takes what was handed over");
    w.noted_for_nothing = Goal("a note leads to an empty mailbox");
  }
}

void at_end() {
  World& w = *world;
  for (unsigned i = 0; i < w.givers; ++i) {
    require(w.giver[i].seen == w.giver[i].expected, "whatever was handed over is served");
  }
  require(w.seat.mail.empty(), "nobody sleeps while there is something in the mailbox");
  require(w.seat.classes.load() == 0, "no note and no bit is left when everybody sleeps");
  require(!any_leaf(w.seat), "no ready bit is left when everybody sleeps");
  require(w.seat.park.load() == core::Seat::kAsleep, "who sleeps has no token");
}

}  // namespace

Model mail_model() {
  Model model{"mail",  "handing a task to another worker, through its mailbox",
              &set_up, &at_end,
              nullptr, {}};
  const auto add = [&](unsigned givers, unsigned wakers, unsigned workers) {
    Variant variant{member_name(givers, wakers, workers), givers, wakers, workers, 0};
    // As far as some 500,000 states reach; every day, as far as some 50,000 do.
    const unsigned others = givers + workers - 1;
    if (wakers != 0) {
      variant.quick = others == 1 ? 2 : 1;
      variant.full = others == 1 ? 3 : 2;
    } else if (others > 2) {
      variant.quick = 2;
      variant.full = 4;
    }
    model.variants.push_back(variant);
  };
  for (unsigned workers = 1; workers <= 2; ++workers) {
    for (unsigned givers = 1; givers <= kMostGivers; ++givers) {
      for (unsigned wakers = 0; wakers <= 1; ++wakers) add(givers, wakers, workers);
    }
  }
  return model;
}

}  // namespace model
