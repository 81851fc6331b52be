// SPDX-License-Identifier: BSL-1.0
// Proves with threads that home worker, thieves and wakers share tasks without running one twice at
// once (statement 4, failure W3) and without losing a wake (statement 2, failure W1).
#include <array>
#include <atomic>
#include <thread>
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

/// What the test knows of a task: how often it was woken, what its last poll saw, and whether two
/// pollers ever met in it.
struct alignas(64) Account {
  std::atomic<std::uint64_t> woken{0};
  std::uint64_t seen = 0;  // plain: belongs to the poller, so TSan watches it too
  std::uint64_t polls = 0;
  std::atomic<bool> running{false};
};

class Arena {
 public:
  explicit Arena(std::size_t tasks) : accounts_(tasks) {
    for (std::size_t i = 0; i < tasks; ++i) {
      Slot& slot = home.task(i % 5 == 0 ? Role::shared : Role::home);
      slot.id.store(i, std::memory_order_relaxed);
      slots.push_back(&slot);
    }
  }

  void wake_some(Rng& rng) {
    Slot& slot = *slots[rng.below(slots.size())];
    accounts_[slot.id.load(std::memory_order_relaxed)].woken.fetch_add(1,
                                                                       std::memory_order_relaxed);
    wake(slot, 1);
  }

  /// One poll of a claimed slot, on whatever thread.
  void poll(Slot& slot, bool at_home) {
    if (slot.state.try_start() != Start::started) return;
    Account& account = accounts_[slot.id.load(std::memory_order_relaxed)];
    if (account.running.exchange(true)) doubles.fetch_add(1);
    account.seen = account.woken.load(std::memory_order_relaxed);
    ++account.polls;
    account.running.store(false);
    if (!slot.state.pause()) return;
    if (at_home) {
      notify_home(slot);
    } else {
      notify(slot);
    }
  }

  Home home;
  std::vector<Slot*> slots;
  std::atomic<unsigned> doubles{0};
  std::vector<Account> accounts_;
};

}  // namespace

TEST_CASE("home worker, thieves and wakers lose no wake and never run a task twice at once") {
  for (const std::size_t tasks : {std::size_t{2}, std::size_t{64}, std::size_t{1'000}}) {
    Arena arena(tasks);
    const std::size_t wakes = 60'000 * paceline_test::test_scale();
    std::atomic<int> wakers{2};
    std::vector<std::thread> threads;
    for (unsigned w = 0; w < 2; ++w) {
      threads.emplace_back([&, w] {
        Rng rng(w);
        for (std::size_t i = 0; i < wakes; ++i) arena.wake_some(rng);
        wakers.fetch_sub(1);
      });
    }
    std::atomic<std::size_t> stolen{0};
    for (unsigned t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        Rng rng(10 + t);
        RaidCursors cursors{};
        while (wakers.load() > 0) {
          const Haul haul = steal_from(arena.home.port, cursors, rng.below(2) == 0);
          stolen.fetch_add(count(haul.bits), std::memory_order_relaxed);
          each_bit(haul.bits,
                   [&](unsigned i) { arena.poll(haul.group->page_slots(haul.page)[i], false); });
        }
      });
    }
    Sweep sweep(arena.home.collection());
    unsigned arrived = 0;
    while (wakers.load() > 0) {
      if (Slot* slot = sweep.next(arrived)) arena.poll(*slot, true);
    }
    for (auto& thread : threads) thread.join();
    while (Slot* slot = sweep.next(arrived)) arena.poll(*slot, true);
    REQUIRE(arena.doubles == 0);
    REQUIRE(arena.home.port.classes == 0);
    std::uint64_t polls = 0;
    std::size_t lost = 0;
    for (const Account& account : arena.accounts_) {
      polls += account.polls;
      if (account.seen != account.woken.load()) ++lost;
    }
    REQUIRE(lost == 0);
    REQUIRE(polls > 0);
    for (Slot* slot : arena.slots) REQUIRE(slot->state.holds(1));
  }
}
