// SPDX-License-Identifier: BSL-1.0
// What it costs to serve a wake here or there: energy of running, energy of waking, and the penalty
// of coming late. Flow room: policy. Asked for tasks with a wish about delay, at their wake.
// It must never count energy twice: what a core burns anyway is in no option.
// Proof: tests/unit/policy/wake_cost_test.cpp (statement 64).
// Source: policies.md 5.3 (cost, penalties, ties) and 5.4 (W1-W6).
#pragma once

#include <cstdint>
#include <span>

#include "base/time.hpp"
#include "policy/core_mask.hpp"
#include "policy/energy_model.hpp"

namespace paceline::core::policy {

/// What a delay means to whoever waits (5.3).
enum class DelayKind : std::uint8_t {
  interaction,  ///< nothing until t_max, then the square of what is over
  utility,      ///< nothing until t_max, then in proportion
  background,   ///< nothing ever
};

struct DelayWish {
  DelayKind kind = DelayKind::background;
  double t_max_ms = 0;
  double k = 0;  ///< mJ/ms^2 for interaction, mJ/ms for utility
};

double delay_penalty(const DelayWish& wish, double delay_ms) noexcept;

/// The second form of the penalty: events of the hardware, weighted. Off by default, since the
/// source's weights are lost (5.3).
struct EventWeights {
  double cache_miss_cycles = 0;
  double branch_miss_cycles = 0;
  double mj_per_cycle = 0;
};

constexpr double event_penalty(const EventWeights& weights, double cache_misses,
                               double branch_misses) noexcept {
  return weights.mj_per_cycle *
         (cache_misses * weights.cache_miss_cycles + branch_misses * weights.branch_miss_cycles);
}

/// One way to serve a wake.
struct WakeOption {
  std::uint32_t core;
  std::uint32_t capacity;  ///< of that core
  double wait_ms;          ///< until it runs: waking, or the tasks before it
  double run_ms;
  double wake_energy_mj;  ///< 0 if the core is awake
  double run_energy_mj;
  double event_penalty_mj = 0;
  bool asleep = false;
  bool peers = false;     ///< shares the cache with what the task works with (W4)
  bool previous = false;  ///< the task ran there last
};

struct CostParameters {
  double alpha = 1;  ///< weight of the penalty (5.3)
};

struct WakeCost {
  double energy_mj;
  double penalty_mj;
  double total_mj;
};

WakeCost cost_of(const WakeOption& option, const DelayWish& wish,
                 const CostParameters& parameters) noexcept;

enum class WakeRule : std::uint8_t {
  least_cost,
  less_energy,       ///< on equal cost
  smaller_capacity,  ///< then
  previous,          ///< then
  peers,             ///< then (W4)
  first,             ///< then
  no_options,
};

struct WakeChoice {
  WakeRule rule;        ///< the finest distinction that was needed
  std::uint32_t index;  ///< into the options
  WakeCost cost;
};

/// Least cost; ties: less energy, then smaller capacity, then the previous core (5.3), then peers,
/// then the first.
WakeChoice choose_option(std::span<const WakeOption> options, const DelayWish& wish,
                         const CostParameters& parameters) noexcept;

/// What is known of a task at its wake.
struct WakeNature {
  bool light;   ///< fits the slow kind with room
  bool urgent;  ///< somebody waits for it
  bool background;
  bool compute_bound;
  bool latency_sensitive;
  bool throughput;
  double slow_finish_ms;  ///< expected delay on the slow kind, with waiting and waking
  double t_max_ms;        ///< 0: no limit
};

enum class KindReason : std::uint8_t {
  would_be_late,  ///< W6: it would miss t_max on the slow kind
  needs_speed,    ///< W2
  light_work,     ///< W1
  undecided,      ///< the costs decide
};

struct KindVerdict {
  KindReason reason;
  bool fast;  ///< the fast kind first; with undecided: no wish
};

/// Which kind of core a wake should look at first, by W1, W2 and W6. W3, W4 and W5 are in the
/// options: a sleeping core is charged its wake energy and latency, peers break ties.
KindVerdict preferred_kind(const WakeNature& nature) noexcept;

/// The option of running `full_ns` (on the fastest core) at the lowest point of `cluster` that ends
/// by `wish.t_max_ms`, or the fastest if none does (W2), waking the core first if it sleeps (W5).
WakeOption option_for(std::uint32_t core, const ClusterEnergy& cluster, Nanos full_ns,
                      Nanos queued_ns, bool asleep, const DelayWish& wish) noexcept;

}  // namespace paceline::core::policy
