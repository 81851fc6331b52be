// SPDX-License-Identifier: BSL-1.0
// An auditor of the summary words: after every step of random sequences of wakes, polls and steals
// each ready bit can be reached from its port (failure W9), after a sweep no level claims more than
// there is (failure W10), and the ready tasks are those of a plain set that does the same.
#include <set>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "sched/steal.hpp"
#include "support/catch.hpp"
#include "task/sweep.hpp"
#include "unit/base/child.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::Home;

namespace {

/// Empty if every ready bit is reachable from the port; else says which is not.
std::string unreachable(Home& home) {
  for (TaskCollection& collection : home.port.collections) {
    bool any = false;
    for (unsigned s = 0; s < collection.segment_count(); ++s) {
      Segment& segment = *collection.segment_at(s);
      for (unsigned g = 0; g < kSegmentGroups; ++g) {
        Group* group = segment.groups[g].load();
        if (group == nullptr) continue;
        bool group_has = false;
        for (unsigned page = 0; page < kGroupPages; ++page) {
          if (group->pages[page].ready() == 0) continue;
          group_has = true;
          if ((group->ready & bit(page)) == 0) return "page " + std::to_string(page);
        }
        any = any || group_has;
        if (group_has && (segment.ready & bit(g)) == 0) return "group " + std::to_string(g);
      }
    }
    if (any && (home.port.classes & bit(collection.class_index())) == 0) {
      return "class " + std::to_string(collection.class_index());
    }
  }
  return {};
}

/// Empty if no level is raised.
std::string still_raised(Home& home) {
  if (home.port.classes != 0) return "a class";
  for (TaskCollection& collection : home.port.collections) {
    for (unsigned s = 0; s < collection.segment_count(); ++s) {
      if (collection.segment_at(s)->ready != 0) return "a group";
    }
    std::string found;
    Home::each_group(collection, [&](Group& group) {
      if (group.ready != 0) found = "a page";
    });
    if (!found.empty()) return found;
  }
  return {};
}

/// A home with tasks in three classes and two roles, its sweeps, a thief, and the reference.
///
/// A wake of a task whose bit stands in the pass that is being served sets a second bit, for the
/// next pass: the task is then handed out twice, the second time for nothing. With `coalesced`
/// false no task is woken while it is ready, and the reference is exact.
struct Play {
  static constexpr unsigned kClasses[] = {0, 3, 5};

  Play(std::uint64_t seed, bool coalesced_wakes) : rng(seed), coalesced(coalesced_wakes) {
    // Two groups of home tasks, with most pages empty and few full, and some shared ones.
    for (const unsigned c : kClasses) {
      const std::size_t tasks = 1 + rng.below(5'000);
      for (std::size_t i = 0; i < tasks; ++i) {
        Slot& slot = home.task(i % 50 == 0 ? Role::shared : Role::home, c);
        if (rng.below(tasks) < 40) tracked.push_back(&slot);
      }
      sweeps.emplace_back(home.collection(c));
    }
  }

  Slot& some_task() { return *tracked[rng.below(tracked.size())]; }

  void wake_one() {
    Slot& slot = some_task();
    if (!coalesced && ready.count(&slot) != 0) return;
    if (rng.below(2) == 0) {
      notify(slot);
    } else {
      notify_home(slot);
    }
    if (!ready.insert(&slot).second) twice.insert(&slot);
  }
  void poll_some() {
    Sweep& sweep = sweeps[rng.below(sweeps.size())];
    for (std::size_t i = rng.below(20); i > 0; --i) {
      Slot* slot = sweep.next(arrived);
      if (slot == nullptr) return;
      take(*slot);
      if (rng.below(3) != 0) continue;
      notify_home(*slot);  // it yielded
      ready.insert(slot);
    }
  }
  void steal_once() {
    const Haul haul = steal_from(home.port, cursors, rng.below(2) == 0);
    each_bit(haul.bits, [&](unsigned i) { take(haul.group->page_slots(haul.page)[i]); });
  }
  void sweep_all() {
    for (Sweep& sweep : sweeps) {
      while (Slot* slot = sweep.next(arrived)) take(*slot);
    }
  }
  void take(Slot& slot) {
    if (ready.erase(&slot) == 0 && twice.erase(&slot) == 0) ++wrong;
  }

  Rng rng;
  const bool coalesced;
  Home home;
  std::vector<Slot*> tracked;
  std::vector<Sweep> sweeps;
  RaidCursors cursors{};
  std::set<Slot*> ready;
  std::set<Slot*> twice;  // may be handed out once more
  unsigned arrived = 0;
  std::size_t wrong = 0;
};

std::size_t ready_bits(Home& home) {
  std::size_t found = 0;
  for (TaskCollection& collection : home.port.collections) {
    collection.each_page(
        [&](Group& group, unsigned page) { found += count(group.pages[page].ready()); });
  }
  return found;
}

}  // namespace

TEST_CASE("summary and leaves agree with a plain set over random wakes, polls and steals") {
  const std::uint64_t first = paceline_test::test_seed();
  for (std::uint64_t seed = first; seed < first + 25 * paceline_test::test_scale(); ++seed) {
    INFO("PACELINE_TEST_SEED=" << seed);
    Play play(seed, seed % 2 == 0);
    for (int step = 0; step < 1'500; ++step) {
      switch (play.rng.below(8)) {
        case 0: play.poll_some(); break;
        case 1: play.steal_once(); break;
        case 2:
          if (play.rng.below(20) == 0) play.sweep_all();
          break;
        default: play.wake_one(); break;
      }
      if (step % 16 == 0) REQUIRE(unreachable(play.home) == "");
      if (step % 64 != 0) continue;
      REQUIRE(ready_bits(play.home) >= play.ready.size());
      if (!play.coalesced) REQUIRE(ready_bits(play.home) == play.ready.size());
    }
    play.sweep_all();
    REQUIRE(play.wrong == 0);
    REQUIRE(play.ready.empty());
    REQUIRE(still_raised(play.home) == "");
    REQUIRE(ready_bits(play.home) == 0);
  }
}

TEST_CASE("a raised summary over empty leaves is lowered by one sweep") {
  // What thieves leave behind: they take bits and never lower a summary.
  Home home;
  std::vector<Slot*> slots;
  for (int i = 0; i < 300; ++i) slots.push_back(&home.task());
  for (Slot* slot : slots) notify(*slot);
  Home::each_group(home.collection(), [](Group& group) {
    for (WakerPage& page : group.pages) page.steal(~Word{0});
  });
  REQUIRE(still_raised(home) != "");
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  REQUIRE(sweep.next(arrived) == nullptr);
  REQUIRE(still_raised(home) == "");
}

TEST_CASE("the auditor sees a bit whose summary is missing") {
  // The check of the checks: each level in turn is lowered behind the runtime's back.
  Home home;
  Slot& slot = home.task();
  notify(slot);
  REQUIRE(unreachable(home) == "");
  Group& group = Group::of(slot);
  group.ready.store(0);
  REQUIRE(unreachable(home) == "page 0");
  raise(group, group.home(), group.index.load(), group.page_index(slot));
  group.home().ready.store(0);
  REQUIRE(unreachable(home) == "group 0");
  raise(group, group.home(), group.index.load(), group.page_index(slot));
  home.port.classes.store(0);
  REQUIRE(unreachable(home) == "class 3");
  raise(group, group.home(), group.index.load(), group.page_index(slot));
  REQUIRE(unreachable(home) == "");
}
