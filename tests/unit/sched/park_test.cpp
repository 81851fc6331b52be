// SPDX-License-Identifier: BSL-1.0
// Proves with real threads that no wake is missed by a worker that parks (statement 7) and that no
// token is lost or left over (failure W12). Every park here is without time-out, so a lost wake is
// a hang; a thread that waits too long ends the process and says what it waited for.
//
// The million trials of statement 7; PACELINE_TEST_SCALE multiplies them, a sanitizer divides.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "machine/machine.hpp"
#include "sched/idle.hpp"
#include "support/catch.hpp"
#include "support/sanitized.hpp"
#include "task/sweep.hpp"
#include "unit/base/child.hpp"
#include "unit/sched/house.hpp"

using namespace paceline::core;
using paceline_test::House;

namespace {

/// Spins until `holds()`; a minute without it is a lost wake.
template <class Condition>
void wait_for(const char* what, Condition&& holds) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point limit{};
  for (unsigned spins = 1; !holds(); ++spins) {
    if (spins % 64 != 0) {
      machine::relax();
      continue;
    }
    std::this_thread::yield();
    if (limit == Clock::time_point{}) limit = Clock::now() + std::chrono::seconds(60);
    if (Clock::now() < limit) continue;
    std::fprintf(stderr, "missed wake: %s\n", what);
    std::abort();
  }
}

/// A pause of random length, from nothing to about what a park takes.
void dawdle(Rng& rng) {
  for (std::uint64_t n = rng.below(1ull << rng.below(11)); n > 0; --n) machine::relax();
}

}  // namespace

TEST_CASE("as many tokens are consumed as were posted over a hundred thousand parks") {
  constexpr unsigned kWorkers = 3;
  const std::size_t pairs = 100'000 * paceline_test::test_scale();
  House house(kWorkers);
  struct alignas(64) Desk {
    std::atomic<std::uint64_t> sent{0};  // work items, the "bits" of this test
    std::atomic<std::uint64_t> taken{0};
    std::uint64_t sleeps = 0;
    std::uint64_t consumed = 0;
  };
  std::vector<Desk> desks(kWorkers);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> posted{0};
  std::atomic<std::uint64_t> pairs_seen{0};

  std::vector<std::thread> threads;
  for (unsigned w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&, w] {
      Desk& desk = desks[w];
      const auto visible = [&] { return desk.sent.load() != desk.taken.load() || done.load(); };
      while (!done.load()) {
        if (const std::uint64_t sent = desk.sent.load(); sent != desk.taken.load()) {
          desk.taken.store(sent);
          continue;
        }
        const Wakeup end = park(house.hub(), house.seat(w), kForever, visible);
        if (end.slept) ++desk.sleeps;
        if (end.token == Seat::kAsleep) continue;
        ++desk.consumed;
        pairs_seen.fetch_add(1);
      }
    });
  }
  for (unsigned s = 0; s < 2; ++s) {
    threads.emplace_back([&, s] {
      Rng rng(s);
      while (pairs_seen.load() < pairs) {
        const auto w = static_cast<unsigned>(rng.below(kWorkers));
        const std::uint64_t mine = desks[w].sent.fetch_add(1) + 1;
        if (wake_seat(house.seat(w), Seat::kWoken)) posted.fetch_add(1);
        // Now and then wait for it, so that the worker falls asleep again.
        if (rng.below(2) == 0) wait_for("work sent", [&] { return desks[w].taken.load() >= mine; });
        dawdle(rng);
      }
    });
  }
  for (std::size_t t = kWorkers; t < threads.size(); ++t) threads[t].join();
  for (unsigned w = 0; w < kWorkers; ++w) {
    wait_for("the last work", [&] { return desks[w].taken.load() == desks[w].sent.load(); });
  }
  done = true;
  for (unsigned w = 0; w < kWorkers; ++w) {
    if (wake_seat(house.seat(w), Seat::kWoken)) posted.fetch_add(1);
  }
  for (unsigned w = 0; w < kWorkers; ++w) threads[w].join();
  std::uint64_t consumed = 0;
  std::uint64_t sleeps = 0;
  for (const Desk& desk : desks) {
    consumed += desk.consumed;
    sleeps += desk.sleeps;
  }
  REQUIRE(consumed == posted);
  REQUIRE(consumed >= pairs);
  REQUIRE(sleeps <= consumed);  // without time-outs nobody wakes without a token
  REQUIRE(house.at_rest());
}

TEST_CASE("no wake of a slot is missed by a worker that parks") {
  const std::size_t trials =
      (paceline_test::kSanitized ? 100'000 : 1'000'000) * paceline_test::test_scale();
  House house(1);
  Seat& seat = house.seat(0);
  TaskCollection& collection = seat.collections[3];
  std::vector<Slot*> slots;
  for (unsigned i = 0; i < 300; ++i) {  // several pages
    slots.push_back(collection.allocate_shared(Role::shared));
    slots.back()->state.admit();
    slots.back()->id.store(i);
  }
  struct alignas(64) Served {
    std::atomic<std::uint64_t> last{0};  // the trial whose wake was served
  };
  std::vector<Served> served(slots.size());
  std::atomic<std::uint64_t> trial{0};
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> parks{0};

  std::thread worker([&] {
    Sweep sweep(collection);
    unsigned arrived = 0;
    while (!done.load()) {
      while (Slot* slot = sweep.next(arrived)) {
        if (slot->state.try_start() != Start::started) continue;
        served[slot->id.load()].last.store(trial.load());
        if (slot->state.pause()) notify_home(*slot);
      }
      const Wakeup end = park(house.hub(), seat, kForever, [&] {
        return seat.classes.load(std::memory_order_seq_cst) != 0 || done.load();
      });
      if (end.slept) parks.fetch_add(1, std::memory_order_relaxed);
      // A waker that met us half asleep may have called us as a helper instead.
      if (end.token == Seat::kCalled) end_search(house.hub());
    }
  });
  Rng rng(paceline_test::test_seed());
  for (std::uint64_t t = 1; t <= trials; ++t) {
    const auto index = static_cast<std::size_t>(rng.below(slots.size()));
    trial.store(t);
    wake(*slots[index], StateWord::generation_of(slots[index]->state.peek()));
    wait_for("a slot's wake", [&] { return served[index].last.load() == t; });
    dawdle(rng);
  }
  done = true;
  wake_seat(seat, Seat::kWoken);
  worker.join();
  REQUIRE(parks > trials / 100);  // or this test has tried nothing
  REQUIRE(seat.remote_wakes == trials);
  REQUIRE(house.at_rest());
  for (Slot* slot : slots) {
    REQUIRE(slot->state.try_start() == Start::started);
    REQUIRE(slot->state.vacate());
    TaskCollection::release(*slot, true);
  }
}

TEST_CASE("helpers that are called answer, and no search is counted for ever") {
  constexpr unsigned kWorkers = 4;
  const std::size_t calls = 20'000 * paceline_test::test_scale();
  House house(kWorkers);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> answered{0};
  std::vector<std::thread> threads;
  for (unsigned w = 1; w < kWorkers; ++w) {
    threads.emplace_back([&, w] {
      while (!done.load()) {
        const Wakeup end = park(house.hub(), house.seat(w), kForever, [&] { return done.load(); });
        if (end.token != Seat::kCalled) continue;
        end_search(house.hub());
        answered.fetch_add(1);
      }
    });
  }
  // The busy worker's seat calls for help; each call must find somebody in the end.
  Rng rng(1);
  for (std::uint64_t call = 1; call <= calls; ++call) {
    wait_for("a helper", [&] {
      help_wanted(house.seat(0), 2);
      return answered.load() >= call;
    });
    dawdle(rng);
  }
  done = true;
  for (unsigned w = 1; w < kWorkers; ++w) wake_seat(house.seat(w), Seat::kWoken);
  for (auto& thread : threads) thread.join();
  REQUIRE(house.at_rest());
}
