// SPDX-License-Identifier: BSL-1.0
// Where a task from elsewhere goes: to the worker on which it is expected to wait least.
// Flow room: spawn. Any thread. It must never choose a worker that cannot run now while another can.
// Proof: tests/unit/sched/place_test.cpp, tests/unit/api/spawn_test.cpp.
#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

// Longer than the look every worker takes about every 50 us (worker.cpp) unless a poll is longer.
constexpr Nanos kSilentTooLong = 100 * kMicrosecond;

}  // namespace

Seat& RuntimeCore::place(const std::optional<std::size_t>& core) noexcept {
  Seat& seat = core ? *seats_[*core] : emptiest();
  seat.inflow.fetch_add(1, std::memory_order_relaxed);
  return seat;
}

Seat& RuntimeCore::emptiest() noexcept {
  const auto count = static_cast<unsigned>(plan_.workers);
  if (count == 1) return *seats_[0];
  // Up to eight workers: look at all. Above: two at random (Mitzenmacher, "The power of two choices
  // in randomized load balancing", 2001); a turn counter, spread by a multiplicative hash, is
  // chance enough.
  const std::uint32_t turn = place_turn_.fetch_add(1, std::memory_order_relaxed);
  const unsigned looks = count <= 8 ? count : 2;
  std::size_t best = 0;
  Nanos least = kForever;
  for (unsigned i = 0; i < looks; ++i) {
    const std::uint64_t spread = (std::uint64_t{turn} * 2 + i) * 0x9e3779b97f4a7c15ull >> 32;
    const std::size_t at = count <= 8 ? (turn + i) % count : spread % count;
    const Nanos wait = expected_wait(*seats_[at]);
    if (wait < least) {
      least = wait;
      best = at;
    }
  }
  return *seats_[best];
}

/// How long a task sent there would wait for its first poll.
Nanos RuntimeCore::expected_wait(const Seat& seat) noexcept {
  if (seat.park.load(std::memory_order_relaxed) != Seat::kAwake) return kWakeCost;
  const std::uint64_t sent = seat.inflow.load(std::memory_order_relaxed);
  const Nanos wait = seat.time_for(seat.load.load(std::memory_order_relaxed) + sent);
  // What was sent and not looked at for a while says that this worker cannot run now: its poll is
  // long, or the system runs something else on its core.
  if (sent != 0) {
    const Nanos silent = machine::now() - seat.looked_at.load(std::memory_order_relaxed);
    if (silent > kSilentTooLong) return saturating_add(wait, silent);
  }
  return wait;
}

}  // namespace paceline::core
