// SPDX-License-Identifier: BSL-1.0
// Where a task from elsewhere goes: to the worker on which it is expected to wait least.
// Flow room: spawn. Any thread. It must never choose a worker that cannot run now while another can.
// Proof: tests/unit/sched/place_test.cpp, tests/unit/api/spawn_test.cpp.
#include <algorithm>

#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

// Longer than the look every worker takes about every 50 us (worker.cpp) unless a poll is longer.
constexpr Nanos kSilentTooLong = 100 * kMicrosecond;

// A choice is good for so many tasks in a row, unless these alone would keep the worker busy for
// longer than the wake of another one costs. Neighbours then share pages and cache lines, and the
// load figures, which others write, are read once.
constexpr std::uint32_t kRunAtMost = 16;

// How long a thread keeps a CPU, at least, once the system has given it one: of the order of the
// kernel's own slice.
constexpr Nanos kSystemSlice = 3 * kMillisecond;

}  // namespace

Seat& RuntimeCore::place(const std::optional<std::size_t>& core, unsigned qos_class) noexcept {
  if (core) {
    seats_[*core]->inflow.fetch_add(1, std::memory_order_relaxed);
    return *seats_[*core];
  }
  if (goes_on_with_run(qos_class)) return place_in_run();
  machine::ThisThread& self = machine::own_record();
  // A thread that is no worker holds the CPU it runs on against the worker bound there.
  const int taken_cpu = self.runtime == nullptr && plan_.pin ? machine::current_cpu() : -1;
  Seat& seat = clusters_.several() ? emptiest_for(qos_class, taken_cpu) : emptiest(taken_cpu);
  self.placed_runtime = id_;
  self.placed_class = qos_class;
  self.placed_seat = seat.index.load(std::memory_order_relaxed);
  const Nanos run = kWakeCost / std::max<Nanos>(seat.time_for(1), 1);
  self.placement_run = static_cast<std::uint32_t>(std::clamp<Nanos>(run, 1, kRunAtMost));
  self.placements_left = self.placement_run - 1;
  seat.inflow.fetch_add(1, std::memory_order_relaxed);
  return seat;
}

/// The last one of a run counts all but the first: others read that line.
Seat& RuntimeCore::end_run() noexcept {
  machine::ThisThread& self = machine::own_record();
  self.placements_left = 0;
  Seat& seat = *seats_[self.placed_seat];
  seat.inflow.fetch_add(self.placement_run - 1, std::memory_order_relaxed);
  return seat;
}

Seat& RuntimeCore::emptiest(int taken_cpu) noexcept {
  const auto count = static_cast<unsigned>(plan_.workers);
  if (count == 1) return *seats_[0];
  // Up to eight workers: look at all. Above: two at random (Mitzenmacher, "The power of two choices
  // in randomized load balancing", 2001); a turn counter, spread by a multiplicative hash, is
  // chance enough.
  const std::uint32_t turn = machine::this_thread().place_turn++;
  const unsigned looks = count <= 8 ? count : 2;
  std::size_t best = 0;
  Nanos least = kForever;
  for (unsigned i = 0; i < looks; ++i) {
    const std::uint64_t spread = (std::uint64_t{turn} * 2 + i) * 0x9e3779b97f4a7c15ull >> 32;
    const std::size_t at = count <= 8 ? (turn + i) % count : spread % count;
    const Nanos wait = expected_wait(*seats_[at], taken_cpu);
    if (wait < least) {
      least = wait;
      best = at;
    }
  }
  return *seats_[best];
}

Seat& RuntimeCore::emptiest_for(unsigned qos_class, int taken_cpu) noexcept {
  const policy::PlaceVerdict verdict = clusters_.place(static_cast<qos>(qos_class));
  const auto workers = clusters_.workers_of(verdict.where);
  // Nowhere is anything recommended: any worker will do.
  return workers.empty() ? emptiest(taken_cpu) : *seats_[emptiest_of(workers, taken_cpu)];
}

std::size_t RuntimeCore::emptiest_of(std::span<const std::size_t> workers,
                                     int taken_cpu) const noexcept {
  std::size_t best = workers.front();
  Nanos least = kForever;
  // In turn, so that equals share.
  const std::size_t first = machine::this_thread().place_turn++ % workers.size();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const std::size_t at = workers[(first + i) % workers.size()];
    if (at >= plan_.workers) continue;
    const Nanos wait = expected_wait(*seats_[at], taken_cpu);
    if (wait < least) {
      least = wait;
      best = at;
    }
  }
  return best;
}

/// How long a task sent there would wait for its first poll.
Nanos RuntimeCore::expected_wait(const Seat& seat, int taken_cpu) noexcept {
  const bool taken = taken_cpu >= 0 && seat.cpu.load(std::memory_order_relaxed) == taken_cpu;
  const Nanos extra = taken ? kSystemSlice : 0;
  if (seat.park.load(std::memory_order_relaxed) != Seat::kAwake) return kWakeCost + extra;
  const std::uint64_t sent = seat.inflow.load(std::memory_order_relaxed);
  const Nanos wait = seat.time_for(seat.load.load(std::memory_order_relaxed) + sent) + extra;
  // What was sent and not looked at for a while says that this worker cannot run now: its poll is
  // long, or the system runs something else on its core.
  if (sent != 0) {
    const Nanos silent = machine::now() - seat.looked_at.load(std::memory_order_relaxed);
    if (silent > kSilentTooLong) return saturating_add(wait, silent);
  }
  return wait;
}

}  // namespace paceline::core
