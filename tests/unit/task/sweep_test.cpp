// SPDX-License-Identifier: BSL-1.0
// Proves the order inside a class: between two polls of one ready task every other is polled once
// (statement 14 of policies.md, section 7), over pages, groups and segments, with bits that rise
// behind and ahead of the cursor.
#include "task/sweep.hpp"

#include <map>
#include <set>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::end_task;
using paceline_test::Home;

namespace {

/// Marks a task ready the way its home worker does, or the way others do.
void make_ready(Slot& slot, bool at_home) {
  if (at_home) {
    notify_home(slot);
  } else {
    notify(slot);
  }
}

/// Polls `polls` tasks that all yield at once, and returns the smallest number of polls from one
/// poll of a task to its next.
std::size_t smallest_gap(Sweep& sweep, std::size_t polls, bool at_home) {
  std::map<Slot*, std::size_t> last;
  unsigned arrived = 0;
  std::size_t smallest = polls;
  for (std::size_t i = 0; i < polls; ++i) {
    Slot* slot = sweep.next(arrived);
    REQUIRE(slot != nullptr);
    const auto [entry, first] = last.try_emplace(slot, i);
    if (!first) smallest = std::min(smallest, i - entry->second);
    entry->second = i;
    make_ready(*slot, at_home);
  }
  return smallest;
}

std::vector<Slot*> drain(Sweep& sweep) {
  std::vector<Slot*> polled;
  unsigned arrived = 0;
  while (Slot* slot = sweep.next(arrived)) polled.push_back(slot);
  return polled;
}

Slot& slot_at(Home& home, std::size_t page, unsigned index) {
  Group& group = *home.collection().segment_at(0)->groups[page / kGroupPages].load();
  return group.page_slots(static_cast<unsigned>(page % kGroupPages))[index];
}

/// `pages` pages full of tasks, none ready.
void fill(Home& home, std::size_t pages) {
  for (std::size_t i = 0; i < pages * kPageSlots; ++i) home.task();
}

}  // namespace

TEST_CASE("a sweep over an empty collection finds nothing") {
  Home home;
  Sweep sweep(home.collection());
  REQUIRE(drain(sweep).empty());
  home.task();
  REQUIRE(drain(sweep).empty());
}

TEST_CASE("of N tasks that yield each waits for all others between two polls") {
  for (const std::size_t tasks : {1u, 2u, 3u, 63u, 64u, 65u, 128u, 5'000u}) {
    for (const bool at_home : {true, false}) {
      Home home;
      for (std::size_t i = 0; i < tasks; ++i) make_ready(home.task(), at_home);
      Sweep sweep(home.collection());
      REQUIRE(smallest_gap(sweep, 6 * tasks + 7, at_home) == tasks);
    }
  }
}

TEST_CASE("few ready tasks far apart take turns like many near each other") {
  Home home;
  fill(home, 3 * kGroupPages);
  Rng rng(11);
  std::set<Slot*> ready;
  while (ready.size() < 40) {
    Slot& slot = slot_at(home, rng.below(3 * kGroupPages), static_cast<unsigned>(rng.below(64)));
    if (ready.insert(&slot).second) notify(slot);
  }
  Sweep sweep(home.collection());
  REQUIRE(smallest_gap(sweep, 1'000, true) == ready.size());
}

TEST_CASE("tasks of all three roles take turns with each other") {
  Home home;
  std::size_t tasks = 0;
  for (const Role role : {Role::home, Role::shared, Role::pinned}) {
    for (int i = 0; i < 100; ++i, ++tasks) notify(home.task(role));
  }
  Sweep sweep(home.collection());
  REQUIRE(smallest_gap(sweep, 10 * tasks, true) == tasks);
}

TEST_CASE("a second segment is swept like the first") {
  Home home;
  const auto slots =
      paceline_test::allocate_home(home.collection(), std::size_t{64} * 64 * 64 + 300);
  REQUIRE(home.collection().segment_count() == 2);
  std::size_t tasks = 0;
  for (std::size_t i = 0; i < slots.size(); i += 997, ++tasks) {
    slots[i]->state.admit();
    notify(*slots[i]);
  }
  slots.back()->state.admit();
  notify(*slots.back());
  ++tasks;
  Sweep sweep(home.collection());
  REQUIRE(smallest_gap(sweep, 5 * tasks, true) == tasks);
}

TEST_CASE("a bit that rises behind the cursor waits until all others were served") {
  Home home;
  fill(home, 4);
  for (std::size_t page = 0; page < 4; ++page) {
    notify(slot_at(home, page, 10));
    notify(slot_at(home, page, 20));
  }
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  // Two of page 0, one of page 1: the cursor stands in page 1.
  for (int i = 0; i < 3; ++i) REQUIRE(sweep.next(arrived) != nullptr);
  Slot& page_behind = slot_at(home, 0, 5);
  Slot& slot_behind = slot_at(home, 1, 5);
  notify(page_behind);
  notify(slot_behind);
  const auto rest = drain(sweep);
  const std::vector<Slot*> expected{
      &slot_at(home, 1, 20), &slot_at(home, 2, 10), &slot_at(home, 2, 20), &slot_at(home, 3, 10),
      &slot_at(home, 3, 20), &page_behind,          &slot_behind};
  REQUIRE(rest == expected);
}

TEST_CASE("a bit that rises ahead of the cursor is served when the cursor gets there") {
  Home home;
  fill(home, 4);
  notify(slot_at(home, 0, 10));
  notify(slot_at(home, 0, 20));
  notify(slot_at(home, 3, 30));
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  REQUIRE(sweep.next(arrived) == &slot_at(home, 0, 10));
  notify_home(slot_at(home, 2, 40));  // a page ahead
  notify(slot_at(home, 3, 1));        // a page ahead that is flagged already
  notify(slot_at(home, 0, 50));       // a slot ahead in a page whose pass has begun: the next pass
  const std::vector<Slot*> expected{&slot_at(home, 0, 20), &slot_at(home, 2, 40),
                                    &slot_at(home, 3, 1), &slot_at(home, 3, 30),
                                    &slot_at(home, 0, 50)};
  REQUIRE(drain(sweep) == expected);
}

TEST_CASE("a storm of new bits does not keep an old one from its turn") {
  Home home;
  fill(home, 8);
  Rng rng(5);
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  for (int round = 0; round < 200; ++round) {
    // A victim somewhere, and then ever new wakes elsewhere while we wait for it.
    Slot& waiting = slot_at(home, rng.below(8), static_cast<unsigned>(rng.below(64)));
    notify(waiting);
    std::set<Slot*> polled;
    for (;;) {
      for (int i = 0; i < 3; ++i) {
        make_ready(slot_at(home, rng.below(8), static_cast<unsigned>(rng.below(64))),
                   rng.below(2) == 0);
      }
      Slot* slot = sweep.next(arrived);
      REQUIRE(slot != nullptr);
      if (slot == &waiting) break;
      // At most every other task once before it, and once more those that the running pass and
      // the one begun before it had served.
      polled.insert(slot);
      REQUIRE(polled.size() < 8 * kPageSlots);
    }
  }
}

TEST_CASE("a drained class leaves no summary bit at any level") {
  Home home;
  fill(home, 2 * kGroupPages);
  for (std::size_t page = 0; page < 2 * kGroupPages; page += 7) notify(slot_at(home, page, 3));
  REQUIRE(home.port.classes == bit(Home::kClass));
  Sweep sweep(home.collection());
  REQUIRE(drain(sweep).size() == (2 * kGroupPages + 6) / 7);
  REQUIRE(home.port.classes == 0);
  REQUIRE(home.collection().segment_at(0)->ready == 0);
  Home::each_group(home.collection(), [](Group& group) { REQUIRE(group.ready == 0); });
}

TEST_CASE("each class is swept on its own and lowers its own bit") {
  Home home;
  for (unsigned c = 0; c < paceline::qos_count; ++c) notify(home.task(c));
  REQUIRE(home.port.classes == all_bits(paceline::qos_count));
  for (unsigned c = 0; c < paceline::qos_count; ++c) {
    Sweep sweep(home.collection(c));
    const auto polled = drain(sweep);
    REQUIRE(polled.size() == 1);
    REQUIRE(Group::of(*polled[0]).home().collection->class_index() == c);
    REQUIRE((home.port.classes & bit(c)) == 0);
  }
  REQUIRE(home.port.classes == 0);
}

TEST_CASE("a sweep counts the tasks that others made ready") {
  Home home;
  fill(home, 70);
  for (std::size_t page = 0; page < 70; ++page) {
    notify(slot_at(home, page, 1));
    notify(slot_at(home, page, 1));  // coalesced
    notify(slot_at(home, page, 2));
    notify_home(slot_at(home, page, 3));
  }
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  std::size_t polled = 0;
  while (sweep.next(arrived) != nullptr) ++polled;
  REQUIRE(polled == 3 * 70);
  REQUIRE(arrived == 2 * 70);
}

TEST_CASE("the cursor goes around the flagged pages and tells of quiet groups") {
  Home home;
  fill(home, 2 * kGroupPages);
  const auto visit = [](auto&&...) {};
  PageCursor cursor;
  REQUIRE(cursor.next(home.collection(), visit) == nullptr);
  const std::vector<std::size_t> pages{0, 1, 63, 64, 100, 127};
  for (const std::size_t page : pages) notify(slot_at(home, page, 0));
  using Place = std::pair<Group*, unsigned>;
  std::vector<Place> visits;
  for (std::size_t i = 0; i < 3 * pages.size(); ++i) {
    Group* group = cursor.next(home.collection(), visit);
    REQUIRE(group != nullptr);
    visits.emplace_back(group, cursor.page);
  }
  // Each flagged page once in a round, and every round alike.
  std::set<Place> flagged;
  for (const std::size_t page : pages) {
    Slot& slot = slot_at(home, page, 0);
    flagged.emplace(&Group::of(slot), Group::of(slot).page_index(slot));
  }
  const auto round = static_cast<std::ptrdiff_t>(pages.size());
  REQUIRE(std::set<Place>(visits.begin(), visits.begin() + round) == flagged);
  for (std::size_t i = pages.size(); i < visits.size(); ++i) {
    REQUIRE(visits[i] == visits[i - pages.size()]);
  }
  // A group whose pages were all lowered, but which is still flagged itself.
  Home::each_group(home.collection(), [](Group& group) { group.ready.store(0); });
  unsigned quiet = 0;
  REQUIRE(cursor.next(home.collection(), [&](auto&&...) { ++quiet; }) == nullptr);
  REQUIRE(quiet >= 2);
}
