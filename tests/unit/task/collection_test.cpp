// SPDX-License-Identifier: BSL-1.0
// Proves how slots are handed out and come back: from the home worker and from any thread, in each
// role, while the collection grows, and when the memory ends. Trimming: trim_test.cpp.
#include "task/collection.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::allocate_home;
using paceline_test::end_task;
using paceline_test::GroupMemory;
using paceline_test::Home;

namespace {

constexpr std::size_t kGroupSlots = std::size_t{kGroupPages} * kPageSlots;

template <class Container>
bool all_different(const Container& slots) {
  return std::unordered_set<Slot*>(slots.begin(), slots.end()).size() == slots.size();
}

}  // namespace

TEST_CASE("a slot's address tells its group, page, bit, class and port") {
  Home home;
  for (unsigned c = 0; c < paceline::qos_count; ++c) {
    const auto slots = allocate_home(home.collection(c), 200);
    REQUIRE(slots.size() == 200);
    REQUIRE(all_different(slots));
    for (Slot* slot : slots) {
      REQUIRE(reinterpret_cast<std::uintptr_t>(slot) % kCacheLine == 0);
      Group& group = Group::of(*slot);
      REQUIRE(&group.page_slots(group.page_index(*slot))[group.bit_index(*slot)] == slot);
      REQUIRE(group.home().collection == &home.collection(c));
      REQUIRE(group.home().groups[group.index].load() == &group);
      REQUIRE(group.home().collection->class_index() == c);
      REQUIRE(is_home(*slot, home.port));
    }
  }
}

TEST_CASE("a fresh slot is vacant with generation one or more") {
  Home home;
  for (Slot* slot :
       {home.collection().allocate_home(), home.collection().allocate_shared(Role::shared),
        home.collection().allocate_shared(Role::pinned)}) {
    REQUIRE(slot != nullptr);
    REQUIRE(StateWord::phase_of(slot->state.peek()) == Phase::vacant);
    REQUIRE(StateWord::generation_of(slot->state.peek()) >= 1);
  }
}

TEST_CASE("a page of slots is one page of memory and starts at its border") {
  Home home;
  Slot* slot = home.collection().allocate_home();
  Group& group = Group::of(*slot);
  for (unsigned page = 0; page < kGroupPages; ++page) {
    REQUIRE(reinterpret_cast<std::uintptr_t>(group.page_slots(page)) % 4096 == 0);
  }
  STATIC_REQUIRE(kPageSlots * sizeof(Slot) == 4096);
}

TEST_CASE("each role takes its slots from groups of its own") {
  Home home;
  for (const Role role : {Role::home, Role::shared, Role::pinned}) {
    for (int i = 0; i < 70; ++i) REQUIRE(Group::of(home.task(role)).role == role);
  }
}

TEST_CASE("a released home slot is handed out again before a new page is opened") {
  Home home;
  const auto slots = allocate_home(home.collection(), kPageSlots);
  const std::size_t maps = GroupMemory::maps;
  for (int round = 0; round < 100; ++round) {
    Slot* chosen = slots[static_cast<std::size_t>(round) % slots.size()];
    TaskCollection::release(*chosen, true);
    REQUIRE(home.collection().allocate_home() == chosen);
  }
  REQUIRE(GroupMemory::maps == maps);
}

TEST_CASE("slots released out of order are all handed out again") {
  Home home;
  for (const Role role : {Role::home, Role::shared, Role::pinned}) {
    std::vector<Slot*> slots;
    for (std::size_t i = 0; i < 2 * kGroupSlots; ++i) slots.push_back(&home.task(role));
    REQUIRE(all_different(slots));
    const std::size_t maps = GroupMemory::maps;
    Rng rng(3);
    for (std::size_t i = slots.size(); i > 1; --i) std::swap(slots[i - 1], slots[rng.below(i)]);
    for (Slot* slot : slots) end_task(*slot, true);
    std::vector<Slot*> again;
    for (std::size_t i = 0; i < slots.size(); ++i) again.push_back(&home.task(role));
    REQUIRE(GroupMemory::maps == maps);
    REQUIRE(std::set<Slot*>(slots.begin(), slots.end()) ==
            std::set<Slot*>(again.begin(), again.end()));
  }
}

TEST_CASE("a quarter of a million tasks and one grow the collection without moving a slot") {
  Home home;
  constexpr std::size_t kTasks = std::size_t{64} * 64 * 64 + 1;
  const std::size_t maps = GroupMemory::maps;
  const auto slots = allocate_home(home.collection(), kTasks);
  REQUIRE(slots.size() == kTasks);
  REQUIRE(GroupMemory::maps - maps == 65);
  REQUIRE(home.collection().segment_count() == 2);
  for (std::size_t i = 0; i < kTasks; ++i) {
    slots[i]->state.admit();
    slots[i]->id.store(i + 1);
  }
  // Every address still leads to its own task, through the directory as well.
  std::size_t visited = 0;
  std::uint64_t sum = 0;
  home.collection().each_page([&](Group& group, unsigned page) {
    for (unsigned i = 0; i < kPageSlots; ++i) {
      const Slot& slot = group.page_slots(page)[i];
      if (StateWord::phase_of(slot.state.peek()) == Phase::vacant) continue;
      ++visited;
      sum += slot.id.load();
    }
  });
  REQUIRE(visited == kTasks);
  REQUIRE(sum == kTasks * (kTasks + 1) / 2);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < kTasks; ++i) {
    if (slots[i]->id.load() != i + 1 || !slots[i]->state.holds(1)) ++wrong;
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("home slots that other threads free come back to the home worker") {
  Home home;
  constexpr std::size_t kTasks = 3 * kGroupSlots;
  auto slots = allocate_home(home.collection(), kTasks);
  const std::size_t maps = GroupMemory::maps;
  for (int round = 0; round < 4; ++round) {
    for (Slot* slot : slots) slot->state.admit();
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = t; i < slots.size(); i += 3) end_task(*slots[i], false);
      });
    }
    for (auto& thread : threads) thread.join();
    const auto again = allocate_home(home.collection(), kTasks);
    REQUIRE(GroupMemory::maps == maps);
    REQUIRE(all_different(again));
    slots = again;
  }
}

TEST_CASE("the home worker allocates while other threads free") {
  Home home;
  constexpr std::size_t kLive = 512;
  constexpr int kRounds = 60'000;
  struct alignas(64) Hand {
    std::atomic<Slot*> slot{nullptr};
  };
  std::vector<Hand> hands(kLive);
  std::atomic<bool> done{false};
  std::atomic<std::size_t> freed{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      while (!done.load()) {
        if (Slot* slot = hands[rng.below(kLive)].slot.exchange(nullptr)) {
          end_task(*slot, false);
          freed.fetch_add(1);
        }
      }
    });
  }
  Rng rng(9);
  std::size_t allocated = 0;
  std::size_t shared_tenants = 0;
  for (int i = 0; i < kRounds; ++i) {
    auto& hand = hands[rng.below(kLive)].slot;
    if (hand.load() != nullptr) continue;
    Slot* slot = home.collection().allocate_home();
    if (slot == nullptr || StateWord::phase_of(slot->state.peek()) != Phase::vacant) {
      ++shared_tenants;
      break;
    }
    slot->state.admit();
    ++allocated;
    hand.store(slot);
  }
  done = true;
  for (auto& thread : threads) thread.join();
  REQUIRE(shared_tenants == 0);
  std::size_t left = 0;
  for (auto& hand : hands) left += hand.slot.load() != nullptr ? 1 : 0;
  REQUIRE(allocated == freed + left);
  // No more than are alive at a time, give or take a page that is still on its way back.
  REQUIRE(home.collection().segment_at(0)->groups[1].load() == nullptr);
}

TEST_CASE("threads that take shared slots at the same time never get the same one") {
  for (const Role role : {Role::shared, Role::pinned}) {
    Home home;
    constexpr unsigned kThreads = 4;
    constexpr std::size_t kEach = 3'000;
    std::vector<std::vector<Slot*>> taken(kThreads);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Rng rng(t);
        auto& mine = taken[t];
        for (std::size_t i = 0; i < kEach; ++i) {
          Slot* slot = home.collection().allocate_shared(role);
          if (slot == nullptr) return;
          slot->state.admit();
          mine.push_back(slot);
          if (rng.below(3) != 0) continue;
          std::swap(mine[rng.below(mine.size())], mine.back());
          end_task(*mine.back(), rng.below(2) == 0);
          mine.pop_back();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    std::vector<Slot*> all;
    for (const auto& mine : taken) all.insert(all.end(), mine.begin(), mine.end());
    REQUIRE(all.size() > kThreads * kEach / 2);
    REQUIRE(all_different(all));
    // And all that were freed are found again: as many groups as the live tasks need, plus at most
    // what was in flight.
    std::size_t groups = 0;
    Home::each_group(home.collection(), [&](Group&) { ++groups; });
    REQUIRE(groups <= (kThreads * kEach + kGroupSlots - 1) / kGroupSlots);
  }
}

TEST_CASE("an allocation without memory gives nothing and harms nothing") {
  for (const Role role : {Role::home, Role::shared, Role::pinned}) {
    for (std::size_t k = 0; k < 4; ++k) {
      Home home;
      TaskCollection& collection = home.collection();
      const auto allocate = [&] {
        return role == Role::home ? collection.allocate_home() : collection.allocate_shared(role);
      };
      GroupMemory::left = k;
      std::vector<Slot*> slots;
      while (Slot* slot = allocate()) slots.push_back(slot);
      REQUIRE(slots.size() == k * kGroupSlots);
      REQUIRE(allocate() == nullptr);
      if (k > 0) {
        // What comes back can be had again without new memory.
        TaskCollection::release(*slots.back(), true);
        REQUIRE(allocate() == slots.back());
        REQUIRE(allocate() == nullptr);
      }
      // And with new memory the collection goes on.
      GroupMemory::left = 1;
      for (std::size_t i = 0; i < kGroupSlots; ++i) slots.push_back(allocate());
      REQUIRE(allocate() == nullptr);
      REQUIRE(all_different(slots));
      REQUIRE(std::count(slots.begin(), slots.end(), nullptr) == 0);
    }
  }
}

TEST_CASE("memory that ends for one role does not end for slots another role still has") {
  Home home;
  home.task(Role::home);
  GroupMemory::left = 0;
  REQUIRE(home.collection().allocate_shared(Role::shared) == nullptr);
  REQUIRE(home.collection().allocate_home() != nullptr);
}
