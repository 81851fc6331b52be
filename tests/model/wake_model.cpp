// SPDX-License-Identifier: BSL-1.0
// Model of wake, claim, run and release (protocols P1 and P4 of the reliability reference).
//
// Runs: wake, complete, notify, raise; Sweep; steal_from; StateWord; poll_slot; allocate and
// release. Home worker and thief poll tasks that wait for events; wakers bring the events. A task
// ends when it has seen all of its own; then its slot may get the next tenant while late wakes
// still arrive.
#include "models.hpp"

#include <memory>

#include <paceline/detail/bridge.hpp>

#include "exec/loot.hpp"
#include "exec/poll.hpp"
#include "sched/steal.hpp"
#include "task/sweep.hpp"
#include "world.hpp"

namespace model {

namespace {

enum Flag : unsigned {
  kExact = 1,  // the tasks wait for exact suspensions; else for wakers
  kReuse = 2,  // one slot, one tenant after the other
  kTwice = 4,  // each waker wakes a second time, late
};

constexpr unsigned kMostEvents = 4;
constexpr unsigned kMostTenants = 5;

struct World;

/// An exact suspension; freed as soon as its task has resumed.
struct Event {
  explicit Event(const detail::SuspensionOps& kind) : where(kind) {}
  detail::Suspension where;
};

struct Tenant : detail::Suspension {
  explicit Tenant(const detail::SuspensionOps& kind) : detail::Suspension(kind) {}

  unsigned expected = 0;  // events until it ends
  Atomic<std::uint32_t> produced{0};
  Event* events[kMostEvents] = {};
  Atomic<std::uint32_t> armed{0};  // exact: events that may come now

  core::Slot* slot = nullptr;
  std::uint64_t generation = 0;

  // Only to check with.
  unsigned happened = 0;  // as `produced`, but no point
  unsigned seen = 0;
  unsigned owed = 0;  // events whose wakes have been completed
  bool live = false;
  bool running = false;
  bool ended = false;
};

struct Waker {
  World* world = nullptr;
  unsigned index = 0;
};

struct World {
  explicit World(core::Port& its) : port(its), sweep(tasks_of(its)) {}

  core::Port& port;
  core::Sweep sweep;
  core::RaidCursors cursors{};
  core::Loot loot;
  unsigned flags = 0;
  unsigned wakers = 0;
  unsigned tenants = 0;
  unsigned started = 0;
  Tenant* tenant[kMostTenants] = {};
  Waker waker[3];

  Goal renotified, spurious, stale, stolen, late, reused;
};
World* world = nullptr;

bool has_come(detail::Suspension& where) noexcept {
  const auto& tenant = static_cast<Tenant&>(where);
  return tenant.produced.load(std::memory_order_acquire) > tenant.seen;
}
constexpr detail::SuspensionOps kPollOps{"events", &has_come, nullptr};
constexpr detail::SuspensionOps kExactOps{"an event", nullptr, nullptr};

Tenant& tenant_of(core::Slot& slot) { return *static_cast<Tenant*>(slot.resume); }

/// What ExecutorRuntime does around poll_slot, with tasks of our own.
struct Host {
  World& w;
  bool at_home;

  bool may_resume(core::Slot& slot) noexcept {
    return core::may_resume(slot, [] { return false; });
  }

  core::Rest run(core::Slot*& slot) noexcept {
    Tenant& self = tenant_of(*slot);
    require(!self.ended, "a finished task is never resumed");
    require(!self.running, "a task is polled by one worker at a time");
    self.running = true;
    if (!at_home) w.stolen.reach();
    const bool waited = slot->waiting != nullptr;
    const bool exact = (w.flags & kExact) != 0;
    if (waited && !exact) {
      require(self.happened > self.seen, "a task is resumed only when what it waits for has come");
    }
    pause_here("polls");
    if (exact) {
      if (waited) {
        require(self.happened > self.seen,
                "a task is resumed only when what it waits for has come");
        // The completer must be done with it.
        delete self.events[self.seen];
        ++self.seen;
      }
    } else {
      self.seen = self.produced.load(std::memory_order_acquire);
    }
    if (self.seen == self.expected) {
      self.running = false;
      return core::Rest::finished;
    }
    detail::Suspension& next = exact ? self.events[self.seen]->where : self;
    next.task = slot->ref();
    slot->waiting = &next;
    // From here on the event may come, while the task is still RUNNING.
    if (exact) self.armed.store(self.seen + 1, std::memory_order_release);
    self.running = false;
    return core::Rest::suspended;
  }

  void finish(core::Slot& slot) noexcept {
    tenant_of(slot).ended = true;
    slot.waiting = nullptr;
    if (slot.state.vacate()) core::TaskCollection::release(slot, at_home);
  }

  void rearm(core::Slot& slot) noexcept {
    w.renotified.reach();
    if (at_home) {
      core::notify_home(slot);
    } else {
      core::notify(slot);
    }
  }
  void put_back(core::Slot&) noexcept { fail("no task of this model yields"); }
};

void poll(World& w, core::Slot& slot, bool at_home) {
  switch (core::poll_slot(slot, Host{w, at_home})) {
    case core::Claim::stale: w.stale.reach(); break;
    case core::Claim::not_ready: w.spurious.reach(); break;
    case core::Claim::polled: break;
    case core::Claim::loan: fail("nobody of this model lends");
  }
}

void move_in(World& w, Tenant& tenant) {
  core::Slot* slot = tasks_of(w.port).allocate_home();
  require(slot != nullptr, "there is a slot for every task");
  for (unsigned i = 0; i < w.started; ++i) {
    if (w.tenant[i]->slot == slot) w.reused.reach();
    require(w.tenant[i]->slot != slot || w.tenant[i]->ended, "a slot has one tenant at a time");
  }
  slot->resume = &tenant;
  slot->waiting = nullptr;
  tenant.slot = slot;
  tenant.generation = slot->state.admit();
  ++w.started;
  tenant.live = true;
  core::notify_home(*slot);
}

bool next_may_start(World& w) { return w.started < w.tenants && w.tenant[w.started - 1]->ended; }
bool home_has_work(World& w) { return w.port.classes.load() != 0 || next_may_start(w); }
bool thief_has_work(World& w) { return w.port.classes.load() != 0; }

void home(World& w) {
  if (next_may_start(w)) move_in(w, *w.tenant[w.started]);
  if (w.port.classes.load(std::memory_order_acquire) == 0) return;
  unsigned arrived = 0;
  if (core::Slot* slot = w.sweep.next(arrived)) poll(w, *slot, true);
}

void thief(World& w) {
  const core::Haul haul = core::steal_from(w.port, w.cursors, true);
  core::each_bit(haul.bits, [&](unsigned i) { w.loot.push(haul.group->page_slots(haul.page)[i]); });
  while (core::Slot* slot = w.loot.pop()) poll(w, *slot, false);
  // Nobody else looks into this loot. Its ring would turn for ever and tell equal states apart.
  std::construct_at(&w.loot);
}

/// The tenants a waker brings one event each, in this order.
bool serves(const World& w, unsigned waker, unsigned tenant) {
  if ((w.flags & kReuse) != 0) return w.wakers == 1 || tenant == 0 || waker == w.wakers - 1;
  return w.tenants == 1 || waker % w.tenants == tenant || w.wakers == 1;
}

void bring(World& w, Tenant& tenant, unsigned waker) {
  block_until([](void* raw) { return static_cast<Tenant*>(raw)->live; }, &tenant, "waits to wake");
  if ((w.flags & kExact) != 0) {
    // The events of a task come in order; each waker brings its own.
    unsigned mine = 0;
    for (unsigned other = 0; other < waker; ++other) {
      mine += serves(w, other, static_cast<unsigned>(&tenant == w.tenant[1])) ? 1 : 0;
    }
    struct Due {
      Tenant* tenant;
      unsigned event;
    } due{&tenant, mine};
    block_until(
        [](void* raw) {
          const auto& self = *static_cast<Due*>(raw);
          return self.tenant->armed.load() > self.event;
        },
        &due, "waits to complete");
    ++tenant.happened;
    detail::complete(tenant.events[mine]->where);
    ++tenant.owed;
    return;
  }
  const unsigned value = tenant.produced.fetch_add(1, std::memory_order_release) + 1;
  ++tenant.happened;
  if (tenant.ended) w.late.reach();
  core::wake(*tenant.slot, tenant.generation);
  if (value > tenant.owed) tenant.owed = value;
  if ((w.flags & kTwice) == 0) return;
  if (tenant.ended) w.late.reach();
  core::wake(*tenant.slot, tenant.generation);
}

void wake_all(Waker& self) {
  World& w = *self.world;
  for (unsigned t = 0; t < w.tenants; ++t) {
    if (serves(w, self.index, t)) bring(w, *w.tenant[t], self.index);
  }
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>(make_port());
  World& w = *world;
  leave_out_unused(w.loot);
  w.flags = variant.flags;
  w.wakers = variant.wakers;
  const bool exact = (w.flags & kExact) != 0;
  const bool reuse = (w.flags & kReuse) != 0;
  w.tenants = variant.tasks;
  for (unsigned t = 0; t < w.tenants; ++t) {
    w.tenant[t] = &arena().make<Tenant>(kPollOps);
    for (unsigned i = 0; i < w.wakers; ++i) w.tenant[t]->expected += serves(w, i, t) ? 1 : 0;
    name_memory(&w.tenant[t]->produced, 4, "task" + std::to_string(t) + ".produced");
    for (unsigned e = 0; exact && e < w.tenant[t]->expected; ++e) {
      w.tenant[t]->events[e] = new Event(kExactOps);
      name_memory(w.tenant[t]->events[e], sizeof(Event),
                  "task" + std::to_string(t) + ".event" + std::to_string(e));
    }
  }
  if (reuse) {
    move_in(w, *w.tenant[0]);
    // The rest of the group is taken, so that the next tenants come to the same slot.
    for (unsigned i = 1; i < core::kPageSlots * core::kGroupPages; ++i) {
      tasks_of(w.port).allocate_home();
    }
  } else {
    for (unsigned t = 0; t < w.tenants; ++t) move_in(w, *w.tenant[t]);
  }
  name_groups(w.port, "");

  loop<World>("home", w, &home_has_work, &home);
  if (variant.workers > 1) loop<World>("thief", w, &thief_has_work, &thief);
  for (unsigned i = 0; i < w.wakers; ++i) {
    w.waker[i] = {&w, i};
    const std::string name = "waker" + std::to_string(i);
    const unsigned index = thread<Waker>(name.c_str(), w.waker[i], &wake_all);
    if (i == 0) crew().allow_stall(index);  // it may be paused for ever
  }

  if (variant.workers > 1) {
    w.stolen = Goal("a thief polls a task");
    if (w.wakers > 1) w.renotified = Goal("a claim meets a running task and is kept");
  }
  // A bit without news: its waker's event was seen through another bit.
  if (!exact) w.stale = Goal("a claim finds no task");
  if (reuse) {
    w.reused = Goal("a slot gets its next tenant");
    if (!exact && (w.wakers > 1 || (w.flags & kTwice) != 0)) {
      w.late = Goal("a wake comes after its task has ended");
      w.spurious = Goal("a claim finds a task that is not ready");
    }
  }
}

void at_end() {
  for (unsigned t = 0; t < world->tenants; ++t) {
    const Tenant& tenant = *world->tenant[t];
    require(tenant.seen == tenant.expected && tenant.ended, "every event is seen: no wake is lost");
  }
  require(!any_leaf(world->port), "no ready bit is left when everybody rests");
  require(!any_summary(world->port), "no summary bit is left when everybody rests");
}

void at_stall() {
  for (unsigned t = 0; t < world->tenants; ++t) {
    const Tenant& tenant = *world->tenant[t];
    require(tenant.seen >= tenant.owed, "a waker paused for ever strands no other waker's wake");
  }
}

}  // namespace

Model wake_model() {
  Model model{"wake",    "wake, claim, run, release; slot reuse and late wakes (P1, P4)",
              &set_up,   &at_end,
              &at_stall, {}};
  for (const unsigned kind : {0u, unsigned{kExact}}) {
    for (unsigned workers = 1; workers <= 2; ++workers) {
      for (unsigned tasks = 1; tasks <= 2; ++tasks) {
        for (unsigned wakers = 1; wakers <= 3; ++wakers) {
          Variant variant{member_name(tasks, wakers, workers, kind == kExact ? "exact" : "poll"),
                          tasks, wakers, workers, kind};
          // As far as some 500,000 states reach; every day, as far as some 50,000 do.
          if (workers == 2) {
            variant.quick = 1;
            if (tasks == 2 || wakers > 1) variant.full = wakers == 3 ? 1 : 2;
          } else if (wakers == 3) {
            variant.quick = kind == kExact ? 2 : 1;
            if (kind != kExact) variant.full = 2;
          } else if (kind != kExact && (tasks == 2 || wakers == 2)) {
            variant.quick = 2;
          }
          model.variants.push_back(variant);
        }
      }
    }
  }
  // One slot, several tenants one after the other, and wakes that come late.
  const auto add_reuse = [&](unsigned tenants, unsigned wakers, unsigned workers, const char* what,
                             unsigned flags, unsigned quick, unsigned full) {
    model.variants.push_back({member_name(tenants, wakers, workers, what), tenants, wakers, workers,
                              flags | kReuse, quick, full});
  };
  add_reuse(2, 1, 1, "reuse", 0, 2, kUnbounded);
  add_reuse(2, 1, 1, "reuse-late", kTwice, 2, 3);
  add_reuse(2, 2, 1, "reuse-late", kTwice, 1, 2);
  add_reuse(5, 1, 1, "reuse-exact", kExact, 2, 3);  // uses the slot's generations up
  add_reuse(2, 2, 1, "reuse-exact", kExact, 2, 3);
  add_reuse(2, 1, 2, "reuse", 0, 1, 2);
  add_reuse(2, 2, 2, "reuse-late", kTwice, 0, 1);
  add_reuse(2, 2, 2, "reuse-exact", kExact, 1, 2);
  return model;
}

}  // namespace model
