// SPDX-License-Identifier: BSL-1.0
// Proves that memory without tasks goes back to the system, that live tasks keep theirs, and that
// no address ever sees the same generation twice, however often its memory came and went (failure
// W4). Groups without any task: dormant_test.cpp.
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "task/collection.hpp"
#include "unit/base/child.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::end_task;
using paceline_test::GroupMemory;
using paceline_test::Home;

namespace {

constexpr std::size_t kGroupSlots = std::size_t{kGroupPages} * kPageSlots;
constexpr std::size_t kPageBytes = kPageSlots * sizeof(Slot);
constexpr Role kRoles[] = {Role::home, Role::shared, Role::pinned};

std::size_t warm_pages(TaskCollection& collection) {
  std::size_t pages = 0;
  collection.each_page([&](Group&, unsigned) { ++pages; });
  return pages;
}

/// Runs the task in `slot` to its end and remembers that its generation is spent.
void end_and_check(Slot& slot, std::map<Slot*, std::uint64_t>& last) {
  const std::uint64_t generation = StateWord::generation_of(slot.state.peek());
  REQUIRE(generation > last[&slot]);
  last[&slot] = generation;
  end_task(slot, true);
}

}  // namespace

TEST_CASE("a trim with every slot in use gives nothing back") {
  for (const Role role : kRoles) {
    Home home;
    for (std::size_t i = 0; i < 3 * kPageSlots; ++i) home.task(role);
    GroupMemory::discarded_bytes = 0;
    home.collection().trim();
    REQUIRE(GroupMemory::discarded_bytes == 0);
    REQUIRE(warm_pages(home.collection()) == 3);
  }
}

TEST_CASE("pages without tasks go back to the system and read as empty") {
  for (const Role role : kRoles) {
    Home home;
    Slot& survivor = home.task(role);  // so that its group stays
    std::vector<Slot*> slots;
    for (std::size_t i = 1; i < 10 * kPageSlots; ++i) slots.push_back(&home.task(role));
    for (Slot* slot : slots) end_task(*slot, true);
    GroupMemory::discarded_bytes = 0;
    home.collection().trim();
    REQUIRE(GroupMemory::discarded_bytes == 9 * kPageBytes);
    REQUIRE(warm_pages(home.collection()) == 1);
    Group& group = Group::of(survivor);
    for (const Slot* slot : slots) {
      if (group.page_index(*slot) == group.page_index(survivor)) continue;
      REQUIRE(slot->state.peek() == 0);
    }
    REQUIRE(survivor.state.holds(1));
    home.collection().trim();
    REQUIRE(GroupMemory::discarded_bytes == 9 * kPageBytes);
  }
}

TEST_CASE("a page with one live task is kept whole") {
  for (const Role role : kRoles) {
    Home home;
    std::vector<Slot*> slots;
    for (std::size_t i = 0; i < kGroupSlots; ++i) slots.push_back(&home.task(role));
    // One survivor in each third page.
    std::vector<Slot*> live;
    for (Slot* slot : slots) {
      Group& group = Group::of(*slot);
      if (group.page_index(*slot) % 3 == 0 && group.bit_index(*slot) == group.page_index(*slot)) {
        slot->id.store(4711);
        live.push_back(slot);
      } else {
        end_task(*slot, true);
      }
    }
    REQUIRE(live.size() == (kGroupPages + 2) / 3);
    home.collection().trim();
    REQUIRE(warm_pages(home.collection()) == live.size());
    for (Slot* slot : live) {
      REQUIRE(slot->state.holds(1));
      REQUIRE(slot->id.load() == 4711);
      end_task(*slot, true);
    }
    home.collection().trim();
    REQUIRE(warm_pages(home.collection()) == 0);
  }
}

TEST_CASE("pages freed by other threads are trimmed like those freed at home") {
  Home home;
  std::vector<Slot*> slots;
  for (std::size_t i = 0; i < 2 * kGroupSlots; ++i) slots.push_back(&home.task());
  std::thread other([&] {
    for (Slot* slot : slots) end_task(*slot, false);
  });
  other.join();
  home.collection().trim();
  REQUIRE(warm_pages(home.collection()) == 0);
}

TEST_CASE("trimmed slots are handed out again with a higher generation") {
  for (const Role role : kRoles) {
    Home home;
    std::map<Slot*, std::uint64_t> last;
    for (int round = 0; round < 5; ++round) {
      std::vector<Slot*> slots;
      for (std::size_t i = 0; i < 3 * kPageSlots; ++i) slots.push_back(&home.task(role));
      for (Slot* slot : slots) end_and_check(*slot, last);
      home.collection().trim();
    }
    REQUIRE(last.size() == 3 * kPageSlots);
  }
}

TEST_CASE("no address sees a generation twice across random lives and trims") {
  const std::uint64_t seed = paceline_test::test_seed();
  INFO("PACELINE_TEST_SEED=" << seed);
  for (const Role role : kRoles) {
    Home home;
    Rng rng(seed);
    std::map<Slot*, std::uint64_t> last;
    std::vector<Slot*> live;
    for (int step = 0; step < 40'000; ++step) {
      // Waves: mostly growing, then mostly shrinking, so that whole pages and groups fall empty.
      const bool grow = rng.below(100) < (step / 2'000 % 2 == 0 ? 70u : 25u);
      if (grow || live.empty()) {
        live.push_back(&home.task(role));
      } else {
        std::swap(live[rng.below(live.size())], live.back());
        end_and_check(*live.back(), last);
        live.pop_back();
      }
      if (rng.below(500) == 0) home.collection().trim();
    }
    for (Slot* slot : live) end_and_check(*slot, last);
    home.collection().trim();
    REQUIRE(warm_pages(home.collection()) == 0);
    // A waker of any earlier tenant finds nobody, before and after the page is in use again.
    for (const auto& [slot, generation] : last) REQUIRE_FALSE(slot->state.holds(generation));
    for (std::size_t i = 0; i < last.size(); ++i) home.task(role);
    for (const auto& [slot, generation] : last) REQUIRE_FALSE(slot->state.holds(generation));
  }
}

TEST_CASE("a wake for a tenant whose page was given back sets no bit") {
  Home home;
  std::vector<Slot*> early;
  for (std::size_t i = 0; i < kPageSlots; ++i) early.push_back(&home.task());
  home.task();  // in the next page: the group stays
  for (Slot* slot : early) end_task(*slot, true);
  home.collection().trim();
  REQUIRE(warm_pages(home.collection()) == 1);
  for (Slot* slot : early) wake(*slot, 1);
  REQUIRE(home.port.remote_stale == kPageSlots);
  REQUIRE(home.port.classes == 0);
  Group& group = Group::of(*early.front());
  REQUIRE(group.pages[group.page_index(*early.front())].ready() == 0);
}

TEST_CASE("a slot that is retired for good keeps its page") {
  Home home;
  Slot& worn = home.task();
  worn.state.reset(StateWord::kGenerationMax);
  worn.state.admit();
  REQUIRE(worn.state.try_start() == Start::started);
  REQUIRE_FALSE(worn.state.vacate());  // so it is not released
  home.collection().trim();
  REQUIRE(warm_pages(home.collection()) == 1);
  for (std::size_t i = 0; i < 2 * kGroupSlots; ++i) REQUIRE(&home.task() != &worn);
}

TEST_CASE("a page whose slots came near the end of their generations goes on from there") {
  for (const bool whole_group : {false, true}) {
    Home home;
    Slot& slot = home.task();
    // Another page of the same group, in use or not: then the page's floor or the group's counts.
    std::vector<Slot*> others;
    for (std::size_t i = 0; i < 2 * kPageSlots - 1; ++i) others.push_back(&home.task());
    slot.state.reset(StateWord::kGenerationMax - 1);
    slot.state.admit();
    end_task(slot, true);
    for (Slot* other : others) {
      const bool same_page = Group::of(*other).page_index(*other) == 0;
      if (whole_group || same_page) end_task(*other, true);
    }
    home.collection().trim();
    REQUIRE(slot.state.peek() == 0);
    Slot& next = home.task();
    REQUIRE(Group::of(next).page_index(next) == Group::of(slot).page_index(slot));
    REQUIRE(StateWord::generation_of(next.state.peek()) == StateWord::kGenerationMax);
  }
}

TEST_CASE("shared slots are trimmed while other threads take and free them") {
  Home home;
  std::atomic<bool> done{false};
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      std::vector<std::pair<Slot*, std::uint64_t>> mine;
      for (int i = 0; i < 20'000; ++i) {
        // Each thread frees everything now and then.
        if (mine.size() < 150 && rng.below(400) != 0) {
          Slot* slot = home.collection().allocate_shared(Role::shared);
          if (slot == nullptr) break;
          mine.emplace_back(slot, slot->state.admit());
          slot->id.store(t + 1, std::memory_order_relaxed);
          continue;
        }
        for (auto& [slot, generation] : mine) {
          if (!slot->state.holds(generation) || slot->id.load(std::memory_order_relaxed) != t + 1) {
            wrong.fetch_add(1);
          }
          end_task(*slot, false);
        }
        mine.clear();
      }
      for (auto& [slot, generation] : mine) end_task(*slot, false);
    });
  }
  std::thread home_worker([&] {
    while (!done.load()) home.collection().trim();
  });
  for (auto& thread : threads) thread.join();
  done = true;
  home_worker.join();
  REQUIRE(wrong == 0);
  home.collection().trim();
  REQUIRE(warm_pages(home.collection()) == 0);
}
