// SPDX-License-Identifier: BSL-1.0
// Proves what a thief takes and what it leaves: halves, lone tasks, pinned tasks, the order of
// classes, cursors that go on, a bounded look; and, with threads, that nobody runs a task twice at
// once and no wake is lost (statement 4).
#include "sched/steal.hpp"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "task/sweep.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::Home;

namespace {

/// `count` ready tasks in neighbouring slots, starting with a new page.
std::vector<Slot*> ready_page(Home& home, unsigned count, Role role = Role::home,
                              unsigned class_index = Home::kClass) {
  std::vector<Slot*> page;
  for (unsigned i = 0; i < kPageSlots; ++i) page.push_back(&home.task(role, class_index));
  page.resize(count);
  for (Slot* slot : page) notify(*slot);
  return page;
}

std::vector<Slot*> slots_of(const Haul& haul) {
  std::vector<Slot*> slots;
  each_bit(haul.bits, [&](unsigned i) { slots.push_back(&haul.group->page_slots(haul.page)[i]); });
  return slots;
}

std::size_t ready_count(TaskCollection& collection) {
  std::size_t found = 0;
  collection.each_page(
      [&](Group& group, unsigned page) { found += count(group.pages[page].ready()); });
  return found;
}

}  // namespace

TEST_CASE("nothing is stolen from a victim without ready tasks") {
  Home home;
  RaidCursors cursors{};
  REQUIRE(steal_from(home.port, cursors, true).bits == 0);
  REQUIRE_FALSE(worth_stealing(home.port, cursors));
  home.task();
  REQUIRE(steal_from(home.port, cursors, true).bits == 0);
}

TEST_CASE("half of a page is stolen, rounded down, or up from a stuck victim") {
  for (unsigned have = 1; have <= kPageSlots; ++have) {
    for (const bool stuck : {false, true}) {
      Home home;
      const auto ready = ready_page(home, have);
      RaidCursors cursors{};
      const Haul haul = steal_from(home.port, cursors, stuck);
      const unsigned expected = stuck ? (have + 1) / 2 : have / 2;
      REQUIRE(count(haul.bits) == expected);
      REQUIRE(ready_count(home.collection()) == have - expected);
      if (expected == 0) continue;
      REQUIRE(haul.more == (have > expected));
      // The upper half: the home worker goes on from below.
      const auto stolen = slots_of(haul);
      REQUIRE(stolen == std::vector<Slot*>(ready.end() - expected, ready.end()));
    }
  }
}

TEST_CASE("no more is stolen than asked for, and what is left counts as more") {
  Home home;
  const auto ready = ready_page(home, 5);
  RaidCursors cursors{};
  for (unsigned left = 5; left > 1; --left) {
    const Haul haul = steal_from(home.port, cursors, false, Port::kClasses, 1);
    REQUIRE(slots_of(haul) == std::vector<Slot*>{ready[left - 1]});
    REQUIRE(haul.more);
    REQUIRE(ready_count(home.collection()) == left - 1);
  }
}

TEST_CASE("a lone task is left to a victim that gets on") {
  Home home;
  ready_page(home, 1);
  RaidCursors cursors{};
  for (int raid = 0; raid < 5; ++raid) {
    REQUIRE(steal_from(home.port, cursors, false).bits == 0);
    REQUIRE_FALSE(worth_stealing(home.port, cursors));
  }
  REQUIRE(ready_count(home.collection()) == 1);
  REQUIRE(count(steal_from(home.port, cursors, true).bits) == 1);
}

TEST_CASE("of two lone tasks in different pages one may go") {
  Home home;
  const auto first = ready_page(home, 1);
  const auto second = ready_page(home, 1);
  RaidCursors cursors{};
  REQUIRE(worth_stealing(home.port, cursors));
  const Haul haul = steal_from(home.port, cursors, false);
  REQUIRE(count(haul.bits) == 1);
  REQUIRE(haul.more);
  REQUIRE(ready_count(home.collection()) == 1);
  REQUIRE(steal_from(home.port, cursors, false).bits == 0);
}

TEST_CASE("a lone task in one class and one in another make two") {
  Home home;
  ready_page(home, 1, Role::home, 0);
  ready_page(home, 1, Role::home, 5);
  RaidCursors cursors{};
  REQUIRE(worth_stealing(home.port, cursors));
  const Haul haul = steal_from(home.port, cursors, false);
  REQUIRE(count(haul.bits) == 1);
  REQUIRE(haul.group->home().collection->class_index() == 0);
}

TEST_CASE("pinned tasks are never stolen, however stuck the victim is") {
  Home home;
  ready_page(home, 40, Role::pinned);
  RaidCursors cursors{};
  REQUIRE(steal_from(home.port, cursors, true).bits == 0);
  REQUIRE_FALSE(worth_stealing(home.port, cursors));
  const auto mixed = ready_page(home, 10, Role::home);
  REQUIRE(worth_stealing(home.port, cursors));
  std::size_t stolen = 0;
  for (int raid = 0; raid < 20; ++raid) {
    const Haul haul = steal_from(home.port, cursors, true);
    if (haul.bits != 0) REQUIRE(haul.group->role == Role::home);
    stolen += count(haul.bits);
  }
  REQUIRE(stolen == mixed.size());
  REQUIRE(ready_count(home.collection()) == 40);
}

TEST_CASE("tasks that others spawned are stolen like those of the worker") {
  Home home;
  ready_page(home, 8, Role::shared);
  RaidCursors cursors{};
  REQUIRE(worth_stealing(home.port, cursors));
  REQUIRE(count(steal_from(home.port, cursors, false).bits) == 4);
}

TEST_CASE("the most important class is raided first") {
  Home home;
  for (unsigned c = paceline::qos_count; c-- > 0;) ready_page(home, 2, Role::home, c);
  RaidCursors cursors{};
  for (unsigned c = 0; c < paceline::qos_count; ++c) {
    const Haul haul = steal_from(home.port, cursors, true);
    REQUIRE(haul.group->home().collection->class_index() == c);
    // The rest of that class goes as well, before the next class is touched.
    const Haul rest = steal_from(home.port, cursors, true);
    REQUIRE(rest.group->home().collection->class_index() == c);
  }
}

TEST_CASE("consecutive raids go on where the last one stopped") {
  Home home;
  constexpr unsigned kPages = 70;  // over the end of a group
  for (unsigned page = 0; page < kPages; ++page) ready_page(home, 4);
  RaidCursors cursors{};
  std::vector<unsigned> visits(2 * kGroupPages, 0);
  for (unsigned raid = 0; raid < kPages; ++raid) {
    const Haul haul = steal_from(home.port, cursors, false);
    REQUIRE(count(haul.bits) == 2);
    ++visits[haul.group->index * kGroupPages + haul.page];
  }
  for (unsigned page = 0; page < kPages; ++page) REQUIRE(visits[page] == 1);
}

TEST_CASE("looking whether to steal neither takes a bit nor moves the cursors") {
  Home home;
  ready_page(home, 5);
  ready_page(home, 5);
  const RaidCursors cursors{};
  for (int look = 0; look < 3; ++look) REQUIRE(worth_stealing(home.port, cursors));
  REQUIRE(ready_count(home.collection()) == 10);
  REQUIRE(cursors[Home::kClass].pages.page == kGroupPages - 1);
}

TEST_CASE(
    "a raid looks at a bounded number of pages, however many are flagged in how many classes") {
  Home home;
  for (unsigned c = 0; c < paceline::qos_count; ++c) {
    for (int page = 0; page < 150; ++page) ready_page(home, 1, Role::home, c);
  }
  RaidCursors cursors{};
  unsigned looks = 0;
  REQUIRE_FALSE(
      each_stealable_page(home.port, cursors, Port::kClasses, [&](Group&, unsigned, Word) {
        ++looks;
        return false;
      }));
  REQUIRE(looks <= kRaidPages * paceline::qos_count);
  REQUIRE(looks > 0);
}

TEST_CASE("a page behind a long row of emptied ones is found in a few raids") {
  Home home;
  for (int page = 0; page < 400; ++page) ready_page(home, 1);
  Home::each_group(home.collection(), [](Group& group) {
    for (WakerPage& page : group.pages) page.steal(~Word{0});  // emptied, and still flagged
  });
  const auto hidden = ready_page(home, 6);
  RaidCursors cursors{};
  unsigned raids = 0;
  Haul haul;
  while (haul.bits == 0 && raids < 10) {
    haul = steal_from(home.port, cursors, true);
    ++raids;
  }
  REQUIRE(count(haul.bits) == 3);
  REQUIRE(raids <= 400 / kRaidPages + 1);
}

TEST_CASE("a task group with a long row of emptied pages does not hide the groups behind it") {
  for (const int pages : {127, 128, 129, 200, 400}) {
    Home home;
    for (int page = 0; page < pages; ++page) ready_page(home, 1);
    Home::each_group(home.collection(), [](Group& group) {
      for (WakerPage& page : group.pages) page.steal(~Word{0});  // emptied, and still flagged
    });
    for (const unsigned hidden : {5u, 63u}) {
      for (int i = 0; i < 2; ++i) {
        Slot* slot = home.collection(Home::kClass, hidden).allocate_home();
        REQUIRE(slot != nullptr);
        slot->state.admit();
        notify(*slot);
      }
    }
    RaidCursors cursors{};
    unsigned found = 0;
    for (int raid = 0; raid < 3 * (pages / static_cast<int>(kRaidPages) + 2); ++raid) {
      found += count(steal_from(home.port, cursors, true).bits);
    }
    CHECK(found == 4);
    CHECK(ready_count(home.collection()) == 0);
  }
}

TEST_CASE("a small victim is not walked around over and over in one raid") {
  Home home;
  ready_page(home, 1);
  RaidCursors cursors{};
  unsigned looks = 0;
  each_stealable_page(home.port, cursors, Port::kClasses, [&](Group&, unsigned, Word) {
    ++looks;
    return false;
  });
  REQUIRE(looks <= 2);  // once around, and once more where it started
}
