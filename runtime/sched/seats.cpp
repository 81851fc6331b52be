// SPDX-License-Identifier: BSL-1.0
#include "sched/seats.hpp"

#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core {

namespace {

constinit Mutex pool_lock{LockRank::memory};
constinit Seat* spare_seats = nullptr;
constinit Hub* spare_hubs = nullptr;

void* map_group() noexcept {
  void* memory = machine::map(sizeof(Group), kGroupAlign);
  if (memory != nullptr) machine::sanitizer::root_region(memory, sizeof(Group));
  return memory;
}

constexpr GroupSource kMappedGroups{&map_group, &machine::discard};

static_assert(kPageSlots * sizeof(Slot) == 4096,
              "a page of slots is a page of memory, so that it can be given back alone");

}  // namespace

namespace {

/// A seat that nobody knows of yet.
Seat* fresh_seat(unsigned index) {
  Seat* seat = nullptr;
  {
    LockGuard lock(pool_lock);
    seat = spare_seats;
    if (seat != nullptr) spare_seats = seat->next_recycled;
  }
  if (seat == nullptr) {
    seat = new Seat;
    for (unsigned c = 0; c <= qos_count; ++c) seat->collections[c].attach(*seat, c, kMappedGroups);
    seat->work_added = &work_added;
  }
  seat->index.store(index, std::memory_order_relaxed);
  // What late wakers of the last runtime counted is not this one's.
  for (auto* counter : {&seat->remote_wakes, &seat->remote_coalesced, &seat->remote_stale}) {
    counter->store(0, std::memory_order_relaxed);
  }
  seat->park.store(Seat::kAwake, std::memory_order_relaxed);
  seat->polls.store(0, std::memory_order_relaxed);
  seat->answers.store(0, std::memory_order_relaxed);
  seat->request.store(0, std::memory_order_relaxed);
  seat->run_class.store(0, std::memory_order_relaxed);
  seat->turn_end.store(kForever, std::memory_order_relaxed);
  seat->inflow.store(0, std::memory_order_relaxed);
  seat->taken.store(0, std::memory_order_relaxed);
  seat->mail.reset();
  seat->classes.fetch_and(~bit(Port::kNote), std::memory_order_relaxed);
  seat->load.store(0, std::memory_order_relaxed);
  seat->poll_ns.store(0, std::memory_order_relaxed);
  seat->hold.store(0, std::memory_order_relaxed);
  seat->looked_at.store(0, std::memory_order_relaxed);
  seat->cpu.store(-1, std::memory_order_relaxed);
  seat->rested.store(0, std::memory_order_relaxed);
  seat->rests_since.store(0, std::memory_order_relaxed);
  seat->turn_since.store(0, std::memory_order_relaxed);
  seat->idle.store(1, std::memory_order_relaxed);
  seat->native.store(~Word{0}, std::memory_order_relaxed);
  seat->takes.store(~std::uint64_t{0}, std::memory_order_relaxed);
  seat->rank.store(0, std::memory_order_relaxed);
  seat->region.store(nullptr, std::memory_order_relaxed);
  seat->own_region.reset();
  return seat;
}

}  // namespace

Seat* acquire_seat_apart() { return fresh_seat(0); }

Seat* acquire_seat(Hub& hub, unsigned index, std::uint32_t runtime_id) {
  Seat* seat = fresh_seat(index);
  seat->runtime_id.store(runtime_id, std::memory_order_relaxed);
  // Release. Pairs: help_wanted. Publishes: the index.
  seat->hub.store(&hub, std::memory_order_release);         // M10
  hub.seats[index].store(seat, std::memory_order_release);  // M10
  return seat;
}

void keep_seat(Seat* seat) noexcept {
  static constinit Seat* kept = nullptr;
  LockGuard lock(pool_lock);
  seat->next_recycled = kept;
  kept = seat;
}

void recycle_seat(Seat* seat) noexcept {
  seat->hub.store(nullptr, std::memory_order_release);  // M10
  LockGuard lock(pool_lock);
  seat->next_recycled = spare_seats;
  spare_seats = seat;
}

Hub* acquire_hub(unsigned workers) {
  Hub* hub = nullptr;
  {
    LockGuard lock(pool_lock);
    hub = spare_hubs;
    if (hub != nullptr) spare_hubs = hub->next_recycled;
  }
  if (hub == nullptr) hub = new Hub;
  // Its counts are back at zero by themselves: whoever raises one lowers it, a late waker too.
  // Resetting them here could turn a late waker's decrement into an underflow.
  hub->workers.store(workers, std::memory_order_relaxed);
  return hub;
}

void recycle_hub(Hub* hub) noexcept {
  for (auto& seat : hub->seats) seat.store(nullptr, std::memory_order_relaxed);
  LockGuard lock(pool_lock);
  hub->next_recycled = spare_hubs;
  spare_hubs = hub;
}

void keep_seats_across_fork() noexcept { machine::keep_across_fork(pool_lock); }

}  // namespace paceline::core
