// SPDX-License-Identifier: BSL-1.0
// Model of hand-off: a worker's thread that goes out into user code and comes in again, against a
// thread that takes the worker over. Never do both touch the worker's runtime, and the one that has
// lost it always learns where it finds itself.
//
// Runs: Hold. What stands around it in ExecutorRuntime::come_in_late, Worker::pick_up and
// Crew::take_over stands here as there, with a plain word for the runtime that is handed over. The
// explorer keeps to one order of all accesses, so the barrier of a takeover does nothing here.
#include "exec/hold.hpp"
#include "models.hpp"
#include "world.hpp"

namespace model {

namespace {

using core::Hold;

enum Flag : unsigned {
  kLends = 1,  // goes out by lending, not by a plain store
  kFails = 2,  // the first takeover is given up, for want of memory
  kTwice = 4,  // out and in twice
};

struct World {
  explicit World(core::Port& its) : port(its) {}

  core::Port& port;
  unsigned flags = 0;
  Atomic<std::uint32_t> mail{0};
  Atomic<std::uint32_t> inside{1};  // the worker's thread
  std::uint32_t known = 0;          // the worker's thread: the hold word as it left it
  bool has_worker = true;           // and whether it still has the worker

  // Only to check with.
  Atomic<unsigned> touching{0};
  bool moved = false;

  Goal kept, lost, refused;
};
World* world = nullptr;

/// What only one thread at a time may do.
void touch(World& w) {
  require(w.touching.exchange(1) == 0, "one thread at a time touches a worker's runtime");
  w.touching.store(0);
}

bool has_news(World& w) { return w.mail.load() != 0 || w.port.hold.load() == w.known; }

/// ExecutorRuntime::come_in and come_in_late.
void come_in(World& w) {
  if (Hold::come_in(w.inside, w.port, w.known)) return;
  for (;;) {
    Hold::go_out(w.inside);
    if (w.mail.exchange(0, std::memory_order_acq_rel) != 0) {
      w.has_worker = false;
      return;
    }
    if (Hold::come_in(w.inside, w.port, w.known)) return;
    wait_for<World, &has_news>(w, "waits for the end of a takeover");
  }
}

bool has_mail_or_lent(World& w) { return w.mail.load() != 0 || Hold::is_lent(w.port.hold.load()); }

/// Worker::set_down and pick_up.
void lend_and_reclaim(World& w) {
  const std::uint32_t lent = Hold::lend(w.port, w.known);
  w.known = lent & ~Hold::kStates;
  while (!Hold::reclaim(w.port, lent)) {
    if (w.mail.load(std::memory_order_relaxed) != 0) {
      come_in(w);
      return;
    }
    wait_for<World, &has_mail_or_lent>(w, "waits for the end of a takeover");
  }
}

void work(World& w) {
  const unsigned times = (w.flags & kTwice) != 0 ? 2 : 1;
  for (unsigned i = 0; i < times && w.has_worker; ++i) {
    touch(w);
    if ((w.flags & kLends) != 0) lend_and_reclaim(w);
    if (!w.has_worker) break;
    Hold::go_out(w.inside);
    come_in(w);
  }
  if (w.has_worker) {
    touch(w);
    w.kept.reach();
  } else {
    require(w.moved, "who loses the worker finds everything moved");
    w.lost.reach();
  }
}

/// Crew::take_over.
void take(World& w) {
  for (unsigned attempt = 0; attempt < 2; ++attempt) {
    const std::uint32_t word = w.port.hold.load(std::memory_order_relaxed);
    if (!Hold::begin_taking(w.port, word)) continue;
    const bool out = Hold::is_lent(word) || Hold::is_out(w.inside);
    const bool fails = (w.flags & kFails) != 0 && attempt == 0;
    if (out) touch(w);
    if (!out || fails) {
      Hold::give_up_taking(w.port, word);
      w.refused.reach();
      continue;
    }
    w.moved = true;
    Hold::finish_taking(w.port, word);
    w.mail.store(1, std::memory_order_release);
    touch(w);  // drives the worker
    return;
  }
}

void set_up(const Variant& variant) {
  begin_machine();
  core::Port& port = make_port();
  world = &arena().make<World>(port);
  World& w = *world;
  w.flags = variant.flags;
  name_memory(&port.hold, sizeof port.hold, "hold");
  name_memory(&w.inside, sizeof w.inside, "inside");
  name_memory(&w.mail, sizeof w.mail, "mail");
  thread<World>("worker", w, &work);
  thread<World>("taker", w, &take);
  w.kept = Goal("the thread keeps its worker");
  w.lost = Goal("the thread loses its worker");
  w.refused = Goal("a takeover is given up");
}

void at_end() {
  require(!Hold::is_lent(world->port.hold.load()), "a worker is lent only while its thread is out");
}

}  // namespace

Model handoff_model() {
  Model model{"handoff", "a thread that goes out into user code against one that takes its worker",
              &set_up,   &at_end,
              nullptr,   {}};
  constexpr const char* kNames[] = {
      "out",       "lends",       "out-fails",       "lends-fails",
      "out-twice", "lends-twice", "out-fails-twice", "lends-fails-twice"};
  for (unsigned flags = 0; flags < 8; ++flags) {
    model.variants.push_back({kNames[flags], 1, 1, 1, flags});
  }
  return model;
}

}  // namespace model
