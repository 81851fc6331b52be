// SPDX-License-Identifier: BSL-1.0
// Proves the life of a group without tasks: it gives all its memory back, keeps its address, comes
// back in its old role before new memory is asked for, and shrugs off what late wakers do to it.
#include <algorithm>
#include <set>
#include <vector>

#include <sys/mman.h>

#include "support/catch.hpp"
#include "task/collection.hpp"
#include "task/sweep.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::end_task;
using paceline_test::GroupMemory;
using paceline_test::Home;

namespace {

constexpr std::size_t kGroupSlots = std::size_t{kGroupPages} * kPageSlots;
constexpr Role kRoles[] = {Role::home, Role::shared, Role::pinned};

std::vector<Slot*> fill(Home& home, Role role, std::size_t tasks) {
  std::vector<Slot*> slots;
  for (std::size_t i = 0; i < tasks; ++i) slots.push_back(&home.task(role));
  return slots;
}

void end_all(const std::vector<Slot*>& slots) {
  for (Slot* slot : slots) end_task(*slot, true);
}

std::size_t resident_pages(Group& group) {
  std::vector<unsigned char> pages(sizeof(Group) / machine::page_size());
  REQUIRE(::mincore(&group, sizeof(Group), pages.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

}  // namespace

TEST_CASE("a group without tasks gives all its memory back") {
  for (const Role role : kRoles) {
    Home home;
    const auto slots = fill(home, role, 2 * kGroupSlots);
    std::set<Group*> groups;
    for (Slot* slot : slots) groups.insert(&Group::of(*slot));
    REQUIRE(groups.size() == 2);
    end_all(slots);
    home.collection().trim();
    for (Group* group : groups) {
      REQUIRE(resident_pages(*group) == 0);
      REQUIRE(group->segment.load() == nullptr);
    }
    for (const Slot* slot : slots) REQUIRE(slot->state.peek() == 0);
  }
}

TEST_CASE("a dormant group is used again before new memory is asked for") {
  for (const Role role : kRoles) {
    Home home;
    const auto slots = fill(home, role, 3 * kGroupSlots);
    const std::set<Slot*> before(slots.begin(), slots.end());
    end_all(slots);
    home.collection().trim();
    GroupMemory::left = 0;
    for (int round = 0; round < 3; ++round) {
      const auto again = fill(home, role, 3 * kGroupSlots);
      REQUIRE(std::set<Slot*>(again.begin(), again.end()) == before);
      for (Slot* slot : again) {
        REQUIRE(Group::of(*slot).role == role);
        REQUIRE(is_home(*slot, home.port));
      }
      end_all(again);
      home.collection().trim();
    }
  }
}

TEST_CASE("a dormant group of one role is not taken for another") {
  Home home;
  end_all(fill(home, Role::pinned, 10));
  home.collection().trim();
  GroupMemory::left = 0;
  REQUIRE(home.collection().allocate_home() == nullptr);
  REQUIRE(home.collection().allocate_shared(Role::shared) == nullptr);
  REQUIRE(home.collection().allocate_shared(Role::pinned) != nullptr);
}

TEST_CASE("one live task keeps its group awake and only that") {
  for (const Role role : kRoles) {
    Home home;
    auto slots = fill(home, role, 2 * kGroupSlots);
    Slot* survivor = slots.back();
    slots.pop_back();
    Group& other = Group::of(*slots.front());
    end_all(slots);
    home.collection().trim();
    REQUIRE(Group::of(*survivor).segment.load() != nullptr);
    REQUIRE(survivor->state.holds(1));
    REQUIRE(other.segment.load() == nullptr);
    REQUIRE(&other != &Group::of(*survivor));
  }
}

TEST_CASE("wakers of tasks whose group is dormant find nobody and break nothing") {
  for (const Role role : kRoles) {
    Home home;
    const auto slots = fill(home, role, kGroupSlots);
    end_all(slots);
    home.collection().trim();
    const std::size_t calls = Home::work_added_calls;
    for (Slot* slot : slots) {
      wake(*slot, 1);
      wake_remote(*slot);  // a completer that was late: it does not check the generation
      notify(*slot);
    }
    REQUIRE(Home::work_added_calls == calls);
    REQUIRE(home.port.classes == 0);
    Sweep sweep(home.collection());
    unsigned arrived = 0;
    REQUIRE(sweep.next(arrived) == nullptr);
  }
}

TEST_CASE("stray bits in a dormant group lose no wake of its next tenants") {
  for (const Role role : kRoles) {
    Home home;
    const auto slots = fill(home, role, kGroupSlots);
    Group& group = Group::of(*slots.front());
    end_all(slots);
    home.collection().trim();
    // Everything a late waker or freer may leave behind, on every word it can reach.
    for (Slot* slot : slots) notify(*slot);
    group.ready.store(~Word{0});
    group.freed.store(~Word{0});
    home.collection().segment_at(0)->freed.store(~Word{0} >> 63);
    const auto tenants = fill(home, role, kGroupSlots);
    REQUIRE(std::set<Slot*>(tenants.begin(), tenants.end()).size() == kGroupSlots);
    for (Slot* slot : tenants) REQUIRE(&Group::of(*slot) == &group);
    // The strays themselves resume nobody, but a true wake reaches its task through them.
    for (Slot* slot : tenants) wake(*slot, StateWord::generation_of(slot->state.peek()));
    Sweep sweep(home.collection());
    unsigned arrived = 0;
    std::set<Slot*> polled;
    while (Slot* slot = sweep.next(arrived)) polled.insert(slot);
    REQUIRE(polled.size() == kGroupSlots);
    REQUIRE(home.port.classes == 0);
  }
}

TEST_CASE("a sweep that stood in a group survives its sleep") {
  Home home;
  const auto slots = fill(home, Role::home, kGroupSlots);
  for (Slot* slot : slots) notify(*slot);
  Sweep sweep(home.collection());
  unsigned arrived = 0;
  for (int i = 0; i < 100; ++i) REQUIRE(sweep.next(arrived) != nullptr);
  end_all(slots);  // with bits still set: they are stale now
  home.collection().trim();
  REQUIRE(sweep.next(arrived) == nullptr);
  Slot& next = home.task();
  notify_home(next);
  REQUIRE(sweep.next(arrived) == &next);
  REQUIRE(sweep.next(arrived) == nullptr);
}

TEST_CASE("floors survive the sleep of a group page by page") {
  Home home;
  Slot& first = home.task();
  for (int life = 0; life < 1'000; ++life) {
    end_task(first, true);
    first.state.admit();
    REQUIRE(home.collection().allocate_home() == &first);
  }
  end_task(first, true);
  const std::uint64_t used = StateWord::generation_of(first.state.peek());
  REQUIRE(used == 1'002);
  for (int sleep = 0; sleep < 3; ++sleep) {
    home.collection().trim();
    REQUIRE(Group::of(first).segment.load() == nullptr);
    const auto slots = fill(home, Role::home, 3 * kPageSlots);
    for (Slot* slot : slots) REQUIRE(StateWord::generation_of(slot->state.peek()) >= used);
    end_all(slots);
  }
}
