// SPDX-License-Identifier: BSL-1.0
// Proves who is woken, who is called and who searches (failures W12, W13, W16), move by move on one
// thread: seats are put to sleep by the park protocol's own halves. Real sleepers: park_test.cpp.
#include "sched/idle.hpp"

#include <array>
#include <cstdint>
#include <thread>
#include <vector>

#include "machine/machine.hpp"
#include "sched/seats.hpp"
#include "support/catch.hpp"
#include "unit/sched/house.hpp"

using namespace paceline::core;
using paceline_test::House;

TEST_CASE("a token goes to a sleeping seat only, and only one does") {
  House house(2);
  Seat& seat = house.seat(0);
  REQUIRE_FALSE(wake_seat(seat, Seat::kWoken));
  REQUIRE(seat.park == Seat::kAwake);
  house.sleep(0);
  REQUIRE(house.hub().sleepers == 1);
  REQUIRE(wake_seat(seat, Seat::kCalled));
  REQUIRE_FALSE(wake_seat(seat, Seat::kWoken));
  REQUIRE(seat.park == Seat::kCalled);
  REQUIRE(house.wake_up(0) == Seat::kCalled);
  REQUIRE(house.hub().sleepers == 0);
  REQUIRE(house.hub().asleep[0] == 0);
}

TEST_CASE("a token that comes after the sleeper woke by itself is consumed, not left behind") {
  House house(1);
  house.sleep(0);
  REQUIRE(wake_seat(house.seat(0), Seat::kWoken));  // posted; the sleeper leaves at its deadline
  REQUIRE(house.wake_up(0) == Seat::kWoken);
  house.sleep(0);
  REQUIRE(house.seat(0).park == Seat::kAsleep);  // the next sleep starts without a token
  REQUIRE(house.wake_up(0) == Seat::kAsleep);
}

TEST_CASE("a worker that sees work at the last look does not sleep") {
  House house(1);
  const Wakeup end = park(house.hub(), house.seat(0), kForever, [] { return true; });
  REQUIRE_FALSE(end.slept);
  REQUIRE(end.token == Seat::kAsleep);
  REQUIRE(house.at_rest());
}

TEST_CASE("the last look happens after the seat is published as asleep") {
  House house(2);
  const Wakeup end = park(house.hub(), house.seat(1), kForever, [&] {
    REQUIRE(house.seat(1).park == Seat::kAsleep);
    REQUIRE(house.hub().sleepers == 1);
    REQUIRE(house.hub().asleep[0] == bit(1));
    // A waker that comes between the look and the sleep posts its token, and nobody sleeps.
    REQUIRE(wake_seat(house.seat(1), Seat::kWoken));
    return false;
  });
  REQUIRE_FALSE(end.slept);
  REQUIRE(end.token == Seat::kWoken);
  REQUIRE(house.at_rest());
}

TEST_CASE("a park whose deadline is over ends without a token") {
  House house(1);
  for (const Nanos deadline : {Nanos{-1}, Nanos{0}, machine::now() - 1, machine::now() + 1}) {
    const Wakeup end = park(house.hub(), house.seat(0), deadline, [] { return false; });
    REQUIRE(end.token == Seat::kAsleep);
    REQUIRE(machine::now() >= deadline);
  }
  REQUIRE(house.at_rest());
}

TEST_CASE("a helper is the nearest sleeper above the caller, then around") {
  for (const unsigned workers : {2u, 5u, 64u, 65u, 130u, 1024u}) {
    House house(workers);
    // Every third worker sleeps.
    for (unsigned i = 0; i < workers; i += 3) house.sleep(i);
    for (const unsigned origin : {0u, 1u, 2u, workers / 2, workers - 1}) {
      unsigned expected = origin;
      while (expected % 3 != 0) expected = (expected + 1) % workers;
      call_helper(house.hub(), origin);
      INFO("workers " << workers << " origin " << origin);
      REQUIRE(house.seat(expected).park == Seat::kCalled);
      REQUIRE(house.hub().searching == 1);
      // It answers the call, and sleeps again.
      REQUIRE(house.wake_up(expected) == Seat::kCalled);
      REQUIRE(end_search(house.hub()));
      house.sleep(expected);
    }
    for (unsigned i = 0; i < workers; i += 3) REQUIRE(house.wake_up(i) == Seat::kAsleep);
    REQUIRE(house.at_rest());
  }
}

TEST_CASE("a sleeper that is bound to the caller's own CPU is not called") {
  House house(2);
  house.sleep(0);
  house.sleep(1);
  // Whichever CPU we run on, and however often we are moved meanwhile.
  const auto cpus = machine::usable_cpus();
  if (cpus.size() == 1) {
    house.seat(0).cpu = cpus[0];
    call_helper(house.hub(), 0);
    REQUIRE(house.seat(0).park == Seat::kAsleep);
    REQUIRE(house.wake_up(0) == Seat::kAsleep);
    REQUIRE(house.wake_up(1) == Seat::kCalled);
    REQUIRE(end_search(house.hub()));
    return;
  }
  int error = 0;
  std::thread bound([&] {
    error = machine::pin_this_thread(cpus[0]);
    house.seat(0).cpu = cpus[0];
    house.seat(1).cpu = cpus[1];
    call_helper(house.hub(), 0);
  });
  bound.join();
  REQUIRE(error == 0);
  REQUIRE(house.wake_up(0) == Seat::kAsleep);
  REQUIRE(house.wake_up(1) == Seat::kCalled);
  REQUIRE(end_search(house.hub()));
  REQUIRE(house.at_rest());
}

TEST_CASE("a call that finds no sleeper leaves no searcher behind") {
  House house(3);
  call_helper(house.hub(), 1);
  REQUIRE(house.at_rest());
  house.sleep(2);
  house.seat(2).park = Seat::kWoken;  // on its way already
  call_helper(house.hub(), 1);
  REQUIRE(house.hub().searching == 0);
  REQUIRE(house.wake_up(2) == Seat::kWoken);
}

TEST_CASE("while somebody searches nobody else is called") {
  House house(4);
  house.sleep(2);
  REQUIRE(begin_search(house.hub()));
  call_helper(house.hub(), 0);
  REQUIRE(house.seat(2).park == Seat::kAsleep);
  REQUIRE(end_search(house.hub()));
  call_helper(house.hub(), 0);
  REQUIRE(house.wake_up(2) == Seat::kCalled);
  REQUIRE(end_search(house.hub()));
  REQUIRE(house.at_rest());
}

TEST_CASE("a late call on a hub without workers finds nobody") {
  Hub* hub = acquire_hub(0);
  call_helper(*hub, 0);
  call_helper(*hub, 700);
  REQUIRE(hub->searching == 0);
  recycle_hub(hub);
}

TEST_CASE("at most half of the workers search on their own account") {
  for (const unsigned workers : {1u, 2u, 3u, 4u, 9u, 1000u}) {
    House house(workers);
    const unsigned most = workers > 2 ? workers / 2 : 1;
    for (unsigned i = 0; i < most; ++i) REQUIRE(begin_search(house.hub()));
    REQUIRE_FALSE(begin_search(house.hub()));
    for (unsigned i = most; i-- > 0;) REQUIRE(end_search(house.hub()) == (i == 0));
    REQUIRE(house.at_rest());
  }
}

TEST_CASE("work for a sleeping worker wakes that worker and nobody else") {
  House house(3);
  house.sleep(0);
  house.sleep(1);
  work_added(house.seat(1), Port::kNoClass, false);
  REQUIRE(house.seat(1).park == Seat::kWoken);
  REQUIRE(house.seat(0).park == Seat::kAsleep);
  REQUIRE(house.hub().searching == 0);
  REQUIRE(house.wake_up(1) == Seat::kWoken);
  REQUIRE(house.wake_up(0) == Seat::kAsleep);
}

TEST_CASE("work behind a running task calls a helper when it is worth a wake") {
  House house(2);
  Seat& busy = house.seat(0);
  house.sleep(1);
  const auto called = [&] {
    if (house.seat(1).park != Seat::kCalled) return false;
    house.wake_up(1);
    end_search(house.hub());
    house.sleep(1);
    return true;
  };
  // Unknown polls count as long ones: two of them are worth it.
  help_wanted(busy, 2);
  REQUIRE(called());
  // A single task, or many tiny ones, call somebody only if no watcher looks after them.
  house.hub().watcher = Hub::watched_by(1);
  help_wanted(busy, 1);
  REQUIRE_FALSE(called());
  busy.poll_ns = 100;
  help_wanted(busy, 199);
  REQUIRE_FALSE(called());
  help_wanted(busy, 200);
  REQUIRE(called());
  house.hub().watcher = Hub::kNobody;
  help_wanted(busy, 1);
  REQUIRE(called());
  // A napping thief says that its raids do not pay.
  house.hub().napping = 1;
  help_wanted(busy, 1'000'000);
  REQUIRE_FALSE(called());
  house.hub().napping = 0;
  REQUIRE(house.wake_up(1) == Seat::kAsleep);
}

TEST_CASE("tiny tasks call a core of their kind, unless they are bound to where they are") {
  House house(2);
  Seat& busy = house.seat(0);
  busy.native = 0;  // nothing belongs here
  busy.poll_ns = 100;
  house.hub().watcher = Hub::watched_by(1);
  house.sleep(1);
  Slot* pinned = busy.collections[3].allocate_shared(Role::pinned);
  REQUIRE(pinned != nullptr);
  notify(*pinned);
  help_wanted(busy, 2);
  REQUIRE(house.seat(1).park == Seat::kAsleep);
  Slot* free = busy.collections[3].allocate_shared(Role::shared);
  REQUIRE(free != nullptr);
  notify(*free);
  help_wanted(busy, 2);
  REQUIRE(house.wake_up(1) == Seat::kCalled);
  end_search(house.hub());
  house.hub().watcher = Hub::kNobody;
  TaskCollection::release(*pinned, false);
  TaskCollection::release(*free, false);
}

TEST_CASE("one of the same kind is called for what another kind may take only in part") {
  House house(3);
  house.seat(1).rank = 1;
  house.seat(1).takes = 0xff;  // something of everybody
  house.sleep(1);
  REQUIRE_FALSE(call_helper(house.hub(), 0, Helpers::of_its_kind));
  REQUIRE(house.hub().searching == 0);
  house.sleep(2);
  REQUIRE(call_helper(house.hub(), 0, Helpers::of_its_kind));
  REQUIRE(house.wake_up(2) == Seat::kCalled);
  end_search(house.hub());
  REQUIRE(house.wake_up(1) == Seat::kAsleep);
  house.seat(1).rank = 0;
  house.seat(1).takes = Seat::kEverything;
}

TEST_CASE("where nobody of the right kind sleeps one of the next kind is called") {
  House house(4);
  Seat& busy = house.seat(0);
  busy.rank = 2;
  Slot* waits = busy.collections[3].allocate_shared(Role::shared);
  REQUIRE(waits != nullptr);
  notify(*waits);
  const std::array<std::uint8_t, 4> ranks{2, 0, 1, 3};
  for (unsigned i = 1; i < 4; ++i) {
    house.seat(i).native = 0;
    house.seat(i).rank = ranks[i];
    house.sleep(i);
  }
  // Both neighbours are as near; which is nearer by number decides.
  for (const unsigned next : {2u, 3u, 1u}) {
    REQUIRE(call_helper(house.hub(), 0));
    REQUIRE(house.wake_up(next) == Seat::kCalled);
    end_search(house.hub());
  }
  TaskCollection::release(*waits, false);
}

TEST_CASE("what was sent and not yet seen counts as waiting") {
  House house(2);
  house.sleep(1);
  house.hub().watcher = Hub::watched_by(1);
  Seat& busy = house.seat(0);
  work_added(busy, Port::kNoClass, false);
  REQUIRE(house.seat(1).park == Seat::kAsleep);
  busy.inflow = 2;
  work_added(busy, Port::kNoClass, false);
  REQUIRE(house.wake_up(1) == Seat::kCalled);
  end_search(house.hub());
  house.hub().watcher = Hub::kNobody;
  busy.inflow = 0;
}

TEST_CASE("a wake that is late for its runtime finds a seat without hub and does nothing") {
  Hub* hub = acquire_hub(1);
  Seat* seat = acquire_seat(*hub, 0);
  recycle_seat(seat);
  recycle_hub(hub);
  seat->work_added(*seat, Port::kNoClass, true);
  help_wanted(*seat, 100);
  REQUIRE(seat->park == Seat::kAwake);
  REQUIRE(hub->searching == 0);
}

TEST_CASE("seats and hubs come back from the pool as good as new") {
  Hub* hub = acquire_hub(3);
  Seat* seat = acquire_seat(*hub, 2);
  seat->remote_wakes = 5;
  seat->remote_stale = 6;
  seat->remote_coalesced = 7;
  seat->inflow = 8;
  seat->load = 9;
  recycle_seat(seat);
  recycle_hub(hub);
  Hub* again = acquire_hub(7);
  REQUIRE(again == hub);
  REQUIRE(again->workers == 7);
  Seat* same = acquire_seat(*again, 4);
  REQUIRE(same == seat);
  REQUIRE(same->index == 4);
  REQUIRE(again->seats[4] == same);
  REQUIRE(again->seats[2] == nullptr);
  REQUIRE(same->hub == again);
  REQUIRE(same->remote_wakes + same->remote_stale + same->remote_coalesced == 0);
  REQUIRE(same->inflow + same->load == 0);
  recycle_seat(same);
  recycle_hub(again);
}
