// SPDX-License-Identifier: BSL-1.0
// Model of stealing against the owner and against completion (protocol P5 of the reliability
// reference): every task runs to its end once, every slot is free in exactly one place afterwards,
// and a slot that a thief gave back is found again before the collection grows.
//
// Runs: steal_from, Loot with a second thief that takes from it; Sweep; StateWord and poll_slot,
// yields included; allocate_home, release from elsewhere, collect_freed; wake. The tasks are ready
// from the start; each yields once and ends at its next poll. The last one is spawned when another
// has ended, in a collection that has no other free slot. Wakers wake tasks that need no wake.
#include <memory>

#include "exec/loot.hpp"
#include "exec/poll.hpp"
#include "models.hpp"
#include "sched/steal.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

constexpr unsigned kAllSlots = core::kPageSlots * core::kGroupPages;  // of the one group
constexpr unsigned kMostTenants = 3;
constexpr unsigned kMostThieves = 2;

struct Tenant {
  core::Slot* slot = nullptr;
  std::uint64_t generation = 0;
  // Only to check with.
  unsigned polls = 0;
  bool running = false;
  bool ended = false;
  bool released = false;
};

struct World;

struct Thief {
  World* world = nullptr;
  core::RaidCursors cursors{};
  core::Loot loot;
  Thief* other = nullptr;
};

struct Waker {
  World* world = nullptr;
  unsigned index = 0;
};

struct World {
  explicit World(core::Port& its) : port(its), sweep(tasks_of(its)) {}

  core::Port& port;
  core::Sweep sweep;
  unsigned first = 0;    // tasks that are there from the start
  unsigned tenants = 0;  // and in all
  unsigned started = 0;
  Tenant tenant[kMostTenants];
  Thief* thief[kMostThieves] = {};
  Waker waker[3];

  Goal stolen, taken_on, renotified, stale, ended_away, late;
};
World* world = nullptr;

Tenant& tenant_of(const core::Slot& slot) { return *static_cast<Tenant*>(slot.resume); }

struct Host {
  World& w;
  Thief* thief;  // null at home

  bool may_resume(core::Slot& slot) noexcept {
    return core::may_resume(slot, [] { return false; });
  }
  core::Rest run(core::Slot*& slot) noexcept {
    Tenant& self = tenant_of(*slot);
    require(!self.ended, "a finished task is never resumed");
    require(!self.running, "a task is polled by one worker at a time");
    self.running = true;
    if (thief != nullptr) w.stolen.reach();
    pause_here("polls");
    self.running = false;
    return ++self.polls == 2 ? core::Rest::finished : core::Rest::yielded;
  }
  void finish(core::Slot& slot) noexcept {
    Tenant& self = tenant_of(slot);
    self.ended = true;
    if (thief != nullptr) w.ended_away.reach();
    require(slot.state.vacate(), "the model uses no generation up");
    core::TaskCollection::release(slot, thief == nullptr);
    self.released = true;
  }
  void rearm(core::Slot&) noexcept { fail("no task of this model suspends"); }
  void put_back(core::Slot& slot) noexcept {
    if (thief == nullptr) {
      core::notify_home(slot);
    } else {
      thief->loot.push(slot);
    }
  }
};

void poll(World& w, core::Slot& slot, Thief* thief) {
  const bool meets_running = core::StateWord::phase_of(slot.state.peek()) == core::Phase::running;
  if (core::poll_slot(slot, Host{w, thief}) == core::Claim::stale) {
    w.stale.reach();
    if (meets_running) w.renotified.reach();
  }
}

void move_in(World& w, Tenant& tenant) {
  core::Slot* slot = tasks_of(w.port).allocate_home();
  require(slot != nullptr, "there is a slot for every task");
  require(w.started == 0 || &group_of(*slot) == &group_of(*w.tenant[0].slot),
          "a slot that was given back is found again before the collection grows");
  for (unsigned i = 0; i < w.started; ++i) {
    require(w.tenant[i].slot != slot || w.tenant[i].ended, "a slot has one tenant at a time");
  }
  slot->resume = &tenant;
  slot->waiting = nullptr;
  tenant.slot = slot;
  tenant.generation = slot->state.admit();
  ++w.started;
  core::notify_home(*slot);
}

bool next_may_start(const World& w) {
  if (w.started == w.tenants) return false;
  for (unsigned i = 0; i < w.started; ++i) {
    if (w.tenant[i].released) return true;
  }
  return false;
}

bool home_has_work(World& w) { return w.port.classes.load() != 0 || next_may_start(w); }

void home(World& w) {
  if (next_may_start(w)) move_in(w, w.tenant[w.started]);
  unsigned arrived = 0;
  if (core::Slot* slot = w.sweep.next(arrived)) poll(w, *slot, nullptr);
}

bool thief_has_work(Thief& self) {
  return self.world->port.classes.load() != 0 ||
         (self.other != nullptr && self.other->loot.size_hint() != 0);
}

void rob(Thief& self) {
  World& w = *self.world;
  const core::Haul haul = core::steal_from(w.port, self.cursors, true);
  core::each_bit(haul.bits,
                 [&](unsigned i) { self.loot.push(haul.group->page_slots(haul.page)[i]); });
  // The product takes only from a thief that has not moved for some microseconds; here at any time.
  // What was taken is polled at once: put into the loot, two thieves could hand it to and fro.
  if (haul.bits == 0 && self.other != nullptr && self.other->loot.size_hint() != 0) {
    if (core::Slot* slot = self.other->loot.take_any()) {
      w.taken_on.reach();
      poll(w, *slot, &self);
    }
  }
  while (core::Slot* slot = self.loot.pop()) poll(w, *slot, &self);
  // Empty; turned back, so that its ring does not tell equal states apart.
  std::construct_at(&self.loot);
}

void wake_one(Waker& self) {
  World& w = *self.world;
  pause_here("waits to wake");
  Tenant& tenant = w.tenant[self.index % w.first];
  if (tenant.ended) w.late.reach();
  core::wake(*tenant.slot, tenant.generation);
}

/// `workers`: the owner and so many thieves.
void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>(make_port());
  World& w = *world;
  w.first = variant.tasks;
  w.tenants = variant.tasks + 1;
  for (unsigned t = 0; t < w.first; ++t) move_in(w, w.tenant[t]);
  // The rest of the group is taken, so that the last task needs a slot that was given back.
  for (unsigned i = w.first; i < kAllSlots; ++i) tasks_of(w.port).allocate_home();
  name_groups(w.port, "");

  loop<World>("home", w, &home_has_work, &home);
  for (unsigned i = 0; i < variant.workers; ++i) {
    w.thief[i] = &arena().make<Thief>();
    w.thief[i]->world = &w;
    leave_out_unused(w.thief[i]->loot);
    name_memory(&w.thief[i]->loot, sizeof(core::Loot), "thief" + std::to_string(i) + ".loot");
  }
  for (unsigned i = 0; i < variant.workers; ++i) {
    if (variant.workers > 1) w.thief[i]->other = w.thief[1 - i];
    loop<Thief>(("thief" + std::to_string(i)).c_str(), *w.thief[i], &thief_has_work, &rob);
  }
  for (unsigned i = 0; i < variant.wakers; ++i) {
    w.waker[i] = {&w, i};
    thread<Waker>(("waker" + std::to_string(i)).c_str(), w.waker[i], &wake_one);
  }

  w.stolen = Goal("a thief polls a task");
  w.ended_away = Goal("a task ends away from its home");
  w.stale = Goal("a claim finds no task to start");
  w.renotified = Goal("a claim meets a running task");
  if (variant.workers > 1) w.taken_on = Goal("a thief takes from another one's loot");
  if (variant.wakers > 0) w.late = Goal("a wake comes after its task has ended");
}

void at_end() {
  World& w = *world;
  for (unsigned t = 0; t < w.tenants; ++t) {
    require(w.tenant[t].ended && w.tenant[t].polls == 2, "every task runs to its end");
  }
  require(!any_leaf(w.port), "no ready bit is left when everybody rests");
  require(!any_summary(w.port), "no summary bit is left when everybody rests");

  core::Group& group = group_of(*w.tenant[0].slot);
  unsigned free = 0;
  for (unsigned p = 0; p < core::kGroupPages; ++p) {
    const core::WakerPage& page = group.pages[p];
    const core::Word away = page.free_shared.load();
    require((page.free_home & away) == 0, "a free slot is free in one place");
    require(away == 0 || (group.freed.load() & core::bit(p)) != 0,
            "slots that others freed can be found");
    free += core::count(page.free_home | away);
  }
  // Those that are not free were taken by the set-up.
  require(free == w.first, "every slot of a task that ended is free again");
}

}  // namespace

Model steal_model() {
  Model model{"steal", "stealing against the owner, other thieves and completion (P5)",
              &set_up, &at_end,
              nullptr, {}};
  for (unsigned workers = 1; workers <= 2; ++workers) {
    for (unsigned tasks = 1; tasks <= 2; ++tasks) {
      for (unsigned wakers = 0; wakers <= 2; ++wakers) {
        Variant variant{member_name(tasks, wakers, workers), tasks, wakers, workers};
        // As far as some 500,000 states reach; every day, as far as some 50,000 do.
        if (tasks + wakers + workers > 2) {
          variant.quick = 1;
          variant.full = workers == 2 ? (tasks + wakers == 1 ? 2 : 1) : (wakers == 2 ? 2 : 3);
        }
        model.variants.push_back(variant);
      }
    }
  }
  return model;
}

}  // namespace model
