// SPDX-License-Identifier: BSL-1.0
// The pools of seats and hubs: memory that late wakers may still reach, so it is recycled for ever.
// Called at start-up and shut-down, any thread; blocks on lock `memory`.
#pragma once

#include "sched/idle.hpp"

namespace paceline::core {

/// See machine::keep_across_fork.
void keep_seats_across_fork() noexcept;

/// A seat of `hub` with vacant collections. Throws std::bad_alloc.
Seat* acquire_seat(Hub& hub, unsigned index, std::uint32_t runtime_id = 0);
/// One that belongs to no hub: nobody steals from it, nobody spawns to it. Throws std::bad_alloc.
Seat* acquire_seat_apart();
/// No task lives in it and no worker uses it any more. Stale bits may stay: they resume nobody.
void recycle_seat(Seat* seat) noexcept;

/// Abandoned tasks still live in it: it is never used again, but stays reachable.
void keep_seat(Seat* seat) noexcept;

/// Throws std::bad_alloc.
Hub* acquire_hub(unsigned workers);
void recycle_hub(Hub* hub) noexcept;

}  // namespace paceline::core
