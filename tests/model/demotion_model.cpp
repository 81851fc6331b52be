// SPDX-License-Identifier: BSL-1.0
// Model of demotion and of the hand-off of what is bound to a thread (protocols P5 and P6 of the
// reliability reference): polls that are parked with their stacks, by preemption or because they
// wait, while others wake their tasks, steal them, ask for more preemptions and take the worker
// over, once or twice. Every task runs to its end, by one thread at a time; a stack stays on its
// thread and is entered by nobody while somebody is on it; every slot is free or in use.
//
// Runs: ExecutorRuntime and Executor whole, with stacks of their own and real coroutines on them;
// step, at_safepoint, await_here, take_over, come_in_late, receive; Hold, Entry, complete, wake,
// steal_from, Loot. Stands here as in Worker and Crew: the loop around step, the raid, the
// monitor's look at the hold word and the poll.
#include <memory>

#include <paceline/preempt.hpp>
#include <paceline/task.hpp>

#include "exec/entry.hpp"
#include "exec/executor_runtime.hpp"
#include "models.hpp"
#include "sched/steal.hpp"
#include "world.hpp"

namespace model {

namespace {

using core::ExecutorRuntime;

enum Flag : unsigned {
  kHog = 1,      // a task that computes for some slices
  kStack = 2,    // a task that waits on its stack, twice
  kPlain = 4,    // a task that waits as a coroutine
  kAsks = 8,     // somebody asks for preemptions, and makes a task ready that waits for one
  kThief = 16,   // another worker steals
  kSpare = 32,   // a thread takes the worker over,
  kSpares = 64,  // and another one takes it over from that one
  kStray = 128,  // wakes for nothing, and late ones
  kHogs = 256,   // a second hog
};

constexpr unsigned kMostTasks = 4;
constexpr unsigned kMostPlaces = 4;

struct World;
struct Life;

/// Something to wait for, once.
struct Event : detail::Suspension, detail::NativeAwaiter {
  explicit Event(Life& its);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame);
  void await_resume();

  Life& life;
};
constexpr detail::SuspensionOps kEventOps{"an event", nullptr, nullptr};

struct WaitFor {
  Life& life;
  Event operator co_await() const { return Event(life); }
};

/// What a task has come to.
struct Life {
  core::Slot* slot = nullptr;
  std::uint64_t generation = 0;
  Event* event = nullptr;
  Atomic<std::uint32_t> armed{0};  // so many of its events may come
  // Only to check with.
  unsigned come = 0;
  unsigned seen = 0;
  bool begun = false;
  bool running = false;
  bool ended = false;
};

/// A port, and the runtime that belongs there: a worker's or a refuge.
struct Place {
  Place(core::Port& its, const core::Surroundings& surroundings, core::Worker& worker)
      : port(its), runtime(its, worker, surroundings, kExecutorStack) {
    leave_out_unused(runtime.loot());
  }
  core::Port& port;
  ExecutorRuntime runtime;
};

/// A thread that drives a runtime, or waits for one to take over.
struct Driver {
  World* world = nullptr;
  Place* refuge = nullptr;  // of one that waits
  ExecutorRuntime* drives = nullptr;
  unsigned attempts = 0;  // that it has left
  bool steals = false;
  core::RaidCursors cursors{};
};

struct World {
  unsigned flags = 0;
  Place* place[kMostPlaces] = {};  // 0: the worker that is robbed and taken over
  unsigned places = 0;
  Driver driver[kMostPlaces];
  Life life[kMostTasks];
  unsigned lives = 0;
  Life* awaited = nullptr;  // becomes ready late, and is worth a preemption
  Atomic<bool> stopping{false};
  Atomic<std::uint32_t> sleepers{0};
  Atomic<std::uint64_t> takeovers{0};
  // Only to check with.
  bool asked = false;  // it is ready, and the hog was asked to give way

  Goal preempted, again, waited, stolen, lost, moved, twice;
};
World* world = nullptr;

// --- the tasks ---

Event::Event(Life& its) : Suspension(kEventOps), life(its) { its.event = this; }

bool Event::await_suspend(std::coroutine_handle<> frame) {
  require(detail::suspend_at(*this, frame), "nobody asks a task of this model to stop");
  // From here on it may come, while the task is still RUNNING.
  life.armed.store(life.armed.load() + 1);
  return true;
}

void Event::await_resume() {
  require(life.come > life.seen, "a task is resumed only when what it waits for has come");
  ++life.seen;
}

/// Plain code of a task.
void compute(Life& life) {
  require(!life.running, "a task is run by one thread at a time");
  life.begun = life.running = true;
  pause_here("computes");
  life.running = false;
}

/// What preempt_point() does.
void safepoint(Life& life) {
  const unsigned here = crew().current();
  const bool must_give_way = world->asked;
  const auto* request = machine().requests[here];
  if (request != nullptr && request->load(std::memory_order_relaxed) != 0) detail::at_safepoint();
  require(crew().current() == here, "a stack goes on on its own thread");
  require(!must_give_way || world->awaited->ended, "a safepoint gives way to what waits");
  compute(life);
}

void end(Life& life) {
  require(!life.ended, "a task ends once");
  life.ended = true;
}

paceline::task<> hog(Life& life, unsigned slices) {
  compute(life);
  // Somebody asked already, perhaps for nothing.
  if ((world->flags & kAsks) != 0) world->place[0]->port.ask(core::Ask::slice, 0);
  for (unsigned i = 0; i < slices; ++i) safepoint(life);
  end(life);
  co_return;
}

[[gnu::noinline]] void wait_on_stack(Life& life) {
  const unsigned here = crew().current();
  paceline::await_here(WaitFor{life});
  require(crew().current() == here, "a stack goes on on its own thread");
  compute(life);
}

paceline::task<> waits_deep(Life& life, unsigned times) {
  for (unsigned i = 0; i < times; ++i) wait_on_stack(life);
  end(life);
  co_return;
}

paceline::task<> waits(Life& life) {
  co_await WaitFor{life};
  compute(life);
  end(life);
}

paceline::task<> runs_once(Life& life) {
  compute(life);
  end(life);
  co_return;
}

// --- the threads that drive ---

ExecutorRuntime& robbed() { return world->place[0]->runtime; }

bool has_ready(const ExecutorRuntime& runtime) {
  return runtime.port().classes.load() != 0 || !runtime.loot_empty() || runtime.has_first();
}

bool driver_has_work(Driver& self) {
  if (self.drives != nullptr && has_ready(*self.drives)) return true;
  if (self.steals) return world->place[0]->port.classes.load() != 0;
  return self.drives == nullptr && self.attempts != 0 && robbed().in_user_code();
}

/// Monitor::look_at and weigh, Crew::wait_for_jobs.
bool take_over(World& w, Driver& self) {
  --self.attempts;
  core::Port& port = w.place[0]->port;
  const std::uint32_t hold = port.hold.load(std::memory_order_relaxed);
  const std::uint64_t poll = port.polls.load(std::memory_order_relaxed);
  if (!core::Hold::is_held(hold)) return false;
  if (robbed().take_over(self.refuge->runtime, hold, poll, w.takeovers) !=
      ExecutorRuntime::Takeover::done) {
    return false;
  }
  if (hold != 0) w.twice.reach();
  self.drives = &robbed();
  return true;
}

/// Worker::drive, and what a thread does that has lost its worker.
void drive(Driver& self) {
  World& w = *self.world;
  core::machine::ThisThread& me = core::machine::this_thread();
  if (self.drives == nullptr && !take_over(w, self)) return;
  me.runtime = self.drives;
  machine().requests[crew().current()] = &self.drives->port().request;
  if (self.steals && !has_ready(*self.drives)) {
    const core::Haul haul = core::steal_from(w.place[0]->port, self.cursors, true);
    core::each_bit(haul.bits, [&](unsigned i) {
      w.stolen.reach();
      self.drives->add_loot(haul.group->page_slots(haul.page)[i]);
    });
  }
  if (self.drives->step(2) == ExecutorRuntime::Step::lost) {
    w.lost.reach();
    self.drives = me.runtime;
    if (self.drives->weak_count() != 0) w.moved.reach();
    return;
  }
  const auto& counters = self.drives->counters();
  if (counters.demotions_safepoint.load() != 0) w.preempted.reach();
  if (counters.demotions_safepoint.load() > 1) w.again.reach();
  if (counters.stack_waits.load() != 0) w.waited.reach();
  // Its ring would turn for ever and tell equal states apart.
  if (self.steals && self.drives->loot_empty()) std::construct_at(&self.drives->loot());
}

// --- the threads beside them ---

bool is_armed(Life& life) { return life.armed.load() > life.come; }

void bring_events(Life& life) {
  // Those it waits for; at_end says whether that were all.
  for (unsigned i = 0; i < 2; ++i) {
    wait_for<Life, &is_armed>(life, "waits to complete");
    ++life.come;
    detail::complete(*life.event);
  }
}
void bring_event(Life& life) {
  wait_for<Life, &is_armed>(life, "waits to complete");
  ++life.come;
  detail::complete(*life.event);
}

/// What others do who think that a task should look again.
void stray(World& w) {
  for (unsigned i = 0; i < w.lives; ++i) {
    pause_here("waits to wake");
    core::wake(*w.life[i].slot, w.life[i].generation);
  }
}

bool hog_has_begun(World& w) { return w.life[0].begun; }

/// A monitor that sees somebody wait.
void ask(World& w) {
  wait_for<World, &hog_has_begun>(w, "waits to ask");
  core::notify(*w.awaited->slot);
  w.place[0]->port.ask(core::Ask::slice, 0);
  // Where others run between its slices the request may come for a poll that is over.
  w.asked = w.flags == (kHog | kAsks);
}

// --- the world ---

void start(World& w, Life& life, paceline::task<> task, bool ready) {
  core::Slot* slot = tasks_of(w.place[0]->port).allocate_home();
  const auto frame = detail::TaskAccess::release(task);
  auto& promise = frame.promise();
  promise.link.store(detail::join_word::detached);
  promise.root = true;
  promise.self.store(slot->ref().bits);
  slot->resume = frame.address();
  slot->waiting = nullptr;
  slot->root = &promise;
  slot->frame.store(frame.address());
  life.slot = slot;
  life.generation = slot->state.admit();
  if (ready) core::notify_home(*slot);
}

core::Surroundings surroundings(World& w, bool apart) {
  core::Surroundings all;
  all.stopping = &w.stopping;
  all.sleepers = &w.sleepers;
  all.help_wanted = [](core::Port&, std::uint64_t) noexcept {};
  all.unhandled = [](ExecutorRuntime&, detail::PromiseBase&) noexcept {
    fail("no task of this model ends with an exception");
  };
  all.foreign_waits = [](core::Worker&) noexcept { return false; };
  all.apart = apart;
  return all;
}

Place& make_place(World& w, bool apart) {
  // The runtime only hands its worker out, to code that is not reached here.
  alignas(128) static std::byte no_worker[8192];
  core::Port& port = arena().make<core::Port>();
  prepare_port(port, w.places, [](core::Port&, unsigned, bool) noexcept {});
  Place& place =
      arena().make<Place>(port, surroundings(w, apart), reinterpret_cast<core::Worker&>(no_worker));
  const std::string name = "place" + std::to_string(w.places);
  name_memory(&port.hold, sizeof port.hold, name + ".hold");
  name_memory(&port.request, sizeof port.request, name + ".request");
  name_memory(&port.polls, sizeof port.polls, name + ".polls");
  name_memory(&place.runtime, sizeof place.runtime, name + ".runtime");
  return *(w.place[w.places++] = &place);
}

Driver& add_driver(World& w, const char* name, Place& place, bool waits) {
  Driver& self = w.driver[w.places - 1];
  self.world = &w;
  const unsigned index = loop<Driver>(name, self, &driver_has_work, &drive);
  core::machine::ThisThread& thread = machine().threads[index];
  name_memory(&thread.inside, sizeof thread.inside, std::string(name) + ".inside");
  name_memory(&thread.mail, sizeof thread.mail, std::string(name) + ".mail");
  if (waits) {
    self.refuge = &place;
    self.attempts = 2;
  } else {
    self.drives = &place.runtime;
    place.runtime.take_charge(0, thread);
  }
  return self;
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>();
  World& w = *world;
  w.flags = variant.flags;
  const auto has = [&](unsigned flag) { return (w.flags & flag) != 0; };

  add_driver(w, "worker", make_place(w, false), false);
  if (has(kThief)) add_driver(w, "thief", make_place(w, false), false).steals = true;
  if (has(kSpare)) add_driver(w, "spare", make_place(w, true), true);
  if (has(kSpares)) add_driver(w, "spare2", make_place(w, true), true);

  // As short as it can be, where many are about.
  const bool small = has(kThief) && has(kSpare) && !has(kAsks);
  const auto next = [&]() -> Life& { return w.life[w.lives++]; };
  if (has(kHog) && !small) {
    Life& life = next();
    start(w, life, hog(life, has(kAsks) ? 3 : 1), true);
  }
  if (has(kHogs)) {
    Life& life = next();
    start(w, life, hog(life, 1), true);
  }
  if (has(kStack)) {
    Life& life = next();
    start(w, life, waits_deep(life, small ? 1 : 2), true);
    thread<Life>("completer", life, small ? &bring_event : &bring_events);
  }
  if (has(kHog) && small) {  // it computes while the other one waits
    Life& life = next();
    start(w, life, hog(life, 0), true);
  }
  if (has(kPlain)) {
    Life& life = next();
    start(w, life, waits(life), true);
    thread<Life>("waker", life, &bring_event);
  }
  if (has(kAsks)) {
    Life& life = next();
    w.awaited = &life;
    start(w, life, runs_once(life), false);
    thread<World>("asker", w, &ask);
  }
  if (has(kStray)) thread<World>("stray", w, &stray);
  for (unsigned i = 0; i < w.places; ++i) {
    name_groups(w.place[i]->port, "place" + std::to_string(i) + ".");
  }

  if (has(kAsks) && has(kHogs)) w.again = Goal("a task is preempted twice");
  if (has(kAsks)) w.preempted = Goal("a task is preempted");
  if (has(kStack)) w.waited = Goal("a task waits on its stack");
  if (has(kThief)) w.stolen = Goal("a thief takes a task");
  if (has(kSpare)) {
    w.lost = Goal("a thread loses its worker");
    if (has(kStack) || has(kAsks)) w.moved = Goal("what is bound to a thread goes with it");
  }
  if (has(kSpares)) w.twice = Goal("a worker is taken over twice");
}

/// Each slot of the executors' pages is either in use or free, and none is claimed.
void check_slots(core::Port& port) {
  core::TaskCollection& tasks = tasks_of(port);
  tasks.each_page([&](core::Group& group, unsigned page) {
    if (group.role != core::Role::pinned) return;
    for (unsigned i = 0; i < core::kPageSlots; ++i) {
      const std::uint64_t word = group.page_slots(page)[i].state.peek();
      const core::Phase phase = core::StateWord::phase_of(word);
      require(phase == core::Phase::vacant || phase == core::Phase::idle,
              "nobody keeps the claim of an executor's slot");
      const bool used_up = core::StateWord::generation_of(word) == core::StateWord::kGenerationMax;
      const bool is_free = (group.pages[page].free_shared.load() & core::bit(i)) != 0;
      require(!is_free || phase == core::Phase::vacant, "a slot in use is not free");
      require(is_free || phase != core::Phase::vacant || used_up, "no slot is lost");
    }
  });
}

void at_end() {
  World& w = *world;
  for (unsigned i = 0; i < w.lives; ++i) {
    require(w.life[i].ended, "every task runs to its end");
  }
  for (unsigned i = 0; i < w.places; ++i) {
    Place& place = *w.place[i];
    require(place.runtime.weak_count() == 0, "no executor stays parked");
    require(!any_leaf(place.port), "no ready bit is left when everybody rests");
    require(!any_summary(place.port), "no summary bit is left when everybody rests");
    require(core::Hold::is_held(place.port.hold.load()), "no takeover is left half done");
    check_slots(place.port);
  }
}

}  // namespace

Model demotion_model() {
  Model model{"demotion", "parked stacks against wakes, thieves and takeovers (P5, P6)",
              &set_up,    &at_end,
              nullptr,    {},
              500};
  const auto add = [&](const char* name, unsigned flags, unsigned quick, unsigned full) {
    model.variants.push_back({name, 1, 1, 1, flags, quick, full});
  };
  add("hog", kHog | kAsks, 2, 3);
  add("hog-stray", kHog | kAsks | kStray, 1, 2);
  add("hogs", kHog | kHogs | kAsks, 2, 3);
  add("stack", kStack, 2, 3);
  add("stack-stray", kStack | kStray, 1, 2);
  add("stack-plain", kStack | kPlain, 1, 2);
  add("hog-stack", kHog | kAsks | kStack, 1, 2);
  add("hog-thief", kHog | kAsks | kThief, 1, 2);
  add("stack-thief", kStack | kThief, 1, 2);
  add("spare", kHog | kSpare, 2, 3);
  add("hog-spare", kHog | kAsks | kSpare, 2, 3);
  add("stack-spare", kHog | kStack | kSpare, 1, 2);
  add("stack-thief-spare", kHog | kStack | kThief | kSpare, 1, 2);
  add("spares", kHog | kHogs | kSpare | kSpares, 2, 3);
  add("hog-spares", kHog | kAsks | kSpare | kSpares, 1, 2);
  add("stack-spares", kHog | kStack | kSpare | kSpares, 1, 2);
  add("all", kHog | kStack | kAsks | kThief | kSpare | kSpares, 0, 1);
  return model;
}

}  // namespace model
