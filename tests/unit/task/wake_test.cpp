// SPDX-License-Identifier: BSL-1.0
// Proves what a wake does beyond its bit: counts, the call that wakes a sleeper, and that a stale
// one finds nobody (statement 5). Also from a signal handler, which must not be disturbed by it.
#include <csignal>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "task/collection.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::end_task;
using paceline_test::Home;

namespace {

Slot* signalled = nullptr;
std::uint64_t signalled_generation = 0;

/// Calls of work_added, by its argument.
struct Calls {
  static inline unsigned with_backlog = 0;
  static inline unsigned without = 0;
};

}  // namespace

TEST_CASE("a waker of the live tenant sets its bit and one of the last tenant does not") {
  Home home;
  Slot& slot = home.task();
  const std::uint64_t first = StateWord::generation_of(slot.state.peek());
  wake(slot, first);
  REQUIRE(page_of(slot).steal(~Word{0}) == bit(Group::of(slot).bit_index(slot)));
  end_task(slot, true);
  wake(slot, first);
  REQUIRE(page_of(slot).ready() == 0);
  REQUIRE(home.collection().allocate_home() == &slot);
  const std::uint64_t second = slot.state.admit();
  REQUIRE(second != first);
  wake(slot, first);
  REQUIRE(page_of(slot).ready() == 0);
  wake(slot, second);
  REQUIRE(page_of(slot).ready() != 0);
  REQUIRE(home.port.remote_wakes == 2);
  REQUIRE(home.port.remote_stale == 2);
  REQUIRE(home.port.remote_coalesced == 0);
}

TEST_CASE("wakes of a task that is ready already are counted as coalesced") {
  Home home;
  Slot& slot = home.task();
  Slot& neighbour = home.task();
  const std::uint64_t generation = StateWord::generation_of(slot.state.peek());
  for (int i = 0; i < 5; ++i) wake(slot, generation);
  wake(neighbour, StateWord::generation_of(neighbour.state.peek()));
  REQUIRE(home.port.remote_wakes == 6);
  REQUIRE(home.port.remote_coalesced == 4);
}

TEST_CASE("every remote wake asks once whether somebody must be woken") {
  Home home;
  home.port.work_added = [](Port& port, unsigned, bool backlog) noexcept {
    // The summary is raised before: a sleeper that is woken now finds the bit.
    if (port.classes.load() == 0) std::abort();
    ++(backlog ? Calls::with_backlog : Calls::without);
  };
  Slot& slot = home.task();
  Slot& neighbour = home.task();
  Calls::with_backlog = Calls::without = 0;
  notify(slot);
  notify(slot);  // its own bit is no backlog
  REQUIRE(Calls::without == 2);
  REQUIRE(Calls::with_backlog == 0);
  notify(neighbour);
  REQUIRE(Calls::with_backlog == 1);
}

TEST_CASE("the home worker's wake says whether the bit was new and calls nobody") {
  Home home;
  Slot& slot = home.task();
  const std::size_t calls = Home::work_added_calls;
  REQUIRE(notify_home(slot));
  REQUIRE_FALSE(notify_home(slot));
  REQUIRE(Home::work_added_calls == calls);
  REQUIRE(home.port.classes == bit(Home::kClass));
}

TEST_CASE("a wake in a signal handler sets the bit like any other") {
  Home home;
  Slot& slot = home.task();
  signalled = &slot;
  signalled_generation = StateWord::generation_of(slot.state.peek());
  const auto before = std::signal(SIGUSR1, [](int) { wake(*signalled, signalled_generation); });
  REQUIRE(std::raise(SIGUSR1) == 0);
  std::signal(SIGUSR1, before);
  REQUIRE(page_of(slot).ready() == bit(Group::of(slot).bit_index(slot)));
  REQUIRE(home.port.remote_wakes == 1);
}

TEST_CASE("summary bits raised by many threads at once are all there") {
  Home home;
  std::vector<Slot*> slots;
  for (unsigned i = 0; i < 8 * kGroupPages; ++i) {
    for (unsigned s = 0; s < kPageSlots; ++s) {
      Slot& slot = home.task();
      if (s == 0) slots.push_back(&slot);
    }
  }
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < slots.size(); i += 4) notify(*slots[i]);
    });
  }
  for (auto& thread : threads) thread.join();
  unsigned groups = 0;
  Home::each_group(home.collection(), [&](Group& group) {
    REQUIRE(group.ready == all_bits(kGroupPages));
    ++groups;
  });
  REQUIRE(groups == 8);
  REQUIRE(home.collection().segment_at(0)->ready == all_bits(8));
  REQUIRE(home.port.classes == bit(Home::kClass));
}
