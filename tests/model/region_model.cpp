// SPDX-License-Identifier: BSL-1.0
// Model of a region: a thread that goes in and out, and senders that want to signal it. None sends
// while the thread is out, at most one signal is under way, nobody waits for one that never comes,
// and a request that finds the thread in its region, or about to be, is looked at there.
//
// Runs: Region. What stands around it in runtime/exec/async.cpp stands here as there. A signal is
// delivered where the thread looks for it: between going in and leaving, and while it waits.
#include <algorithm>

#include "exec/region.hpp"
#include "models.hpp"
#include "world.hpp"

namespace model {

namespace {

using core::Region;

enum Flag : unsigned {
  kFails = 1,   // the first signal cannot be sent
  kTwice = 2,   // in and out twice
  kSecond = 4,  // a second sender
};

struct World {
  explicit World(unsigned its) : flags(its) {}

  unsigned flags;
  Region region;
  Atomic<std::uint32_t> pending{0};  // the system's: a signal is under way
  Atomic<unsigned> asked{0};         // the request word

  // Only to check with.
  bool out = true;
  bool failed = false;
  unsigned seen = 0;    // the last request that the thread has looked at
  unsigned wanted = 0;  // the last one that it had to
  bool ended = false;
  bool monitor_asked = false;  // who cannot send has the monitor try again

  Goal taken, waited, missed, withdrawn;
};
World* world = nullptr;

void look(World& w) { w.seen = w.asked.load(std::memory_order_seq_cst); }

void go_in(World& w) {
  w.region.go_in();
  w.out = false;
  look(w);
}

/// The handler, if a signal is there.
void deliver(World& w) {
  if (w.pending.exchange(0) == 0) return;
  require(w.region.take(), "a signal that arrives was claimed");
  w.taken.reach();
  look(w);
  go_in(w);
}

bool comes_or_not(World& w) {
  return w.pending.load() != 0 || w.region.word.load() != Region::kSignalled;
}

void work(World& w) {
  const unsigned times = (w.flags & kTwice) != 0 ? 2 : 1;
  for (unsigned i = 0; i < times; ++i) {
    go_in(w);
    deliver(w);
    w.region.leave([&w]() noexcept {
      w.waited.reach();
      wait_for<World, &comes_or_not>(w, "waits for a signal that is under way");
      deliver(w);
    });
    w.out = true;
  }
  w.ended = true;
}

void send(World& w) {
  const unsigned mine = w.asked.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (!w.region.claim()) {
    w.missed.reach();
    if (!w.out) w.wanted = std::max(w.wanted, mine);
    return;
  }
  if ((w.flags & kFails) != 0 && !w.failed) {
    w.failed = true;
    w.region.withdraw();
    w.monitor_asked = true;
    w.withdrawn.reach();
    return;
  }
  require(!w.out, "nobody sends a signal to a thread that is out");
  w.wanted = std::max(w.wanted, mine);
  require(w.pending.exchange(1) == 0, "one signal at most is under way");
}

void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>(variant.flags);
  World& w = *world;
  name_memory(&w.region.word, sizeof w.region.word, "region");
  name_memory(&w.pending, sizeof w.pending, "pending");
  name_memory(&w.asked, sizeof w.asked, "asked");
  thread<World>("thread", w, &work);
  thread<World>("sender", w, &send);
  if ((w.flags & kSecond) != 0) thread<World>("second", w, &send);
  if ((w.flags & kFails) == 0 || (w.flags & kSecond) != 0) {
    w.taken = Goal("a signal is taken");
    w.waited = Goal("the thread waits for a signal");
  }
  w.missed = Goal("a sender finds the thread out");
  if ((w.flags & kFails) != 0) w.withdrawn = Goal("a sender withdraws");
}

void at_end() {
  const World& w = *world;
  require(w.ended, "a thread that leaves its region comes out");
  require(w.pending.load() == 0, "no signal is under way to a thread that is out");
  require(w.region.word.load() == Region::kOut, "a thread that has left is out");
  require(w.seen >= w.wanted || w.monitor_asked,
          "a request that met the thread in its region was looked at there");
}

}  // namespace

Model region_model() {
  Model model{
      "region", "a thread in a region against those who signal it", &set_up, &at_end, nullptr, {}};
  constexpr const char* kNames[] = {"one", "one-fails", "one-twice", "one-fails-twice",
                                    "two", "two-fails", "two-twice", "two-fails-twice"};
  for (unsigned flags = 0; flags < 8; ++flags) {
    model.variants.push_back({kNames[flags], 1, flags >= kSecond ? 2u : 1u, 1, flags});
  }
  return model;
}

}  // namespace model
