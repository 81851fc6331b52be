// SPDX-License-Identifier: BSL-1.0
// Proves the ring of stolen tasks: order, full and wrapped around, taken from by others, and with
// threads that every entry reaches somebody (twice is legal, never is not).
#include "exec/loot.hpp"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace paceline::core;

TEST_CASE("loot comes out in the order it was put in, however often it wraps") {
  Loot loot;
  std::array<Slot, 5> slots;
  for (int round = 0; round < 100; ++round) {
    for (Slot& slot : slots) loot.push(slot);
    REQUIRE(loot.size_hint() == slots.size());
    for (Slot& slot : slots) REQUIRE(loot.pop() == &slot);
    REQUIRE(loot.empty());
    REQUIRE(loot.pop() == nullptr);
    REQUIRE(loot.size_hint() == 0);
  }
}

TEST_CASE("the ring takes its capacity and not one more") {
  Loot loot;
  std::vector<Slot> slots(Loot::kCapacity);
  // From a start in the middle, so that full is also full around the end.
  for (unsigned i = 0; i < 40; ++i) {
    loot.push(slots[0]);
    REQUIRE(loot.pop() == &slots[0]);
  }
  REQUIRE(loot.empty());
  for (Slot& slot : slots) {
    REQUIRE_FALSE(loot.full());
    loot.push(slot);
  }
  REQUIRE(loot.full());
  REQUIRE(loot.size_hint() == Loot::kCapacity);
  for (Slot& slot : slots) REQUIRE(loot.pop() == &slot);
  REQUIRE_FALSE(loot.full());
  REQUIRE(loot.empty());
}

TEST_CASE("another worker takes entries one by one until none is left") {
  Loot loot;
  std::array<Slot, 3> slots;
  REQUIRE(loot.take_any() == nullptr);
  for (Slot& slot : slots) loot.push(slot);
  std::vector<Slot*> taken;
  while (Slot* slot = loot.take_any()) taken.push_back(slot);
  REQUIRE(taken.size() == slots.size());
  REQUIRE(loot.pop() == nullptr);
  REQUIRE(loot.empty());
}

TEST_CASE("the owner passes over what others took") {
  Loot loot;
  std::array<Slot, 4> slots;
  for (Slot& slot : slots) loot.push(slot);
  Slot* gone = loot.take_any();
  REQUIRE(gone != nullptr);
  std::vector<Slot*> rest;
  while (Slot* slot = loot.pop()) rest.push_back(slot);
  REQUIRE(rest.size() == slots.size() - 1);
  for (const Slot* slot : rest) REQUIRE(slot != gone);
}

TEST_CASE("the same task may stand in the ring twice") {
  Loot loot;
  Slot slot;
  loot.push(slot);
  loot.push(slot);
  REQUIRE(loot.pop() == &slot);
  REQUIRE(loot.take_any() == &slot);
  REQUIRE(loot.pop() == nullptr);
}

TEST_CASE("between the owner and others every entry reaches somebody") {
  constexpr std::size_t kEntries = 60'000;
  Loot loot;
  std::vector<Slot> slots(512);
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i].id.store(i, std::memory_order_relaxed);
  // Put in and got out, per slot. A slot is put in again only when it was got.
  std::vector<std::atomic<int>> got(slots.size());
  std::atomic<bool> done{false};
  const auto take = [&](Slot* slot) { got[slot->id.load(std::memory_order_relaxed)].fetch_add(1); };
  std::vector<std::thread> thieves;
  std::atomic<std::size_t> stolen{0};
  for (int t = 0; t < 2; ++t) {
    thieves.emplace_back([&] {
      while (!done.load()) {
        if (Slot* slot = loot.take_any()) {
          take(slot);
          stolen.fetch_add(1, std::memory_order_relaxed);
        }
      }
    });
  }
  Rng rng(1);
  std::size_t pushed = 0;
  std::size_t lost = 0;
  while (pushed < kEntries) {
    const std::size_t batch = 1 + rng.below(Loot::kCapacity);
    std::vector<std::size_t> in;
    for (std::size_t i = 0; i < batch && !loot.full(); ++i) {
      const std::size_t index = pushed++ % slots.size();
      got[index].store(0);
      in.push_back(index);
      loot.push(slots[index]);
    }
    while (Slot* slot = loot.pop()) take(slot);
    // The ring is empty for the owner; what it did not get is in a thief's hands by now or soon.
    for (const std::size_t index : in) {
      unsigned patience = 0;
      while (got[index].load() == 0 && ++patience < 10'000'000) std::this_thread::yield();
      if (got[index].load() == 0) ++lost;
    }
  }
  done = true;
  for (auto& thief : thieves) thief.join();
  REQUIRE(lost == 0);
  REQUIRE(loot.empty());
}
