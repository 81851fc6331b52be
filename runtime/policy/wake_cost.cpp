// SPDX-License-Identifier: BSL-1.0
#include "policy/wake_cost.hpp"

#include <algorithm>

namespace paceline::core::policy {

namespace {

constexpr double kNanosPerMilli = 1e6;

/// Whether `a` is better than `b`, and what tells them apart; `first` if nothing does.
struct Comparison {
  WakeRule rule;
  bool better;
};

Comparison compare(const WakeOption& a, const WakeCost& ca, const WakeOption& b,
                   const WakeCost& cb) noexcept {
  if (ca.total_mj != cb.total_mj) return {WakeRule::least_cost, ca.total_mj < cb.total_mj};
  if (ca.energy_mj != cb.energy_mj) return {WakeRule::less_energy, ca.energy_mj < cb.energy_mj};
  if (a.capacity != b.capacity) return {WakeRule::smaller_capacity, a.capacity < b.capacity};
  if (a.previous != b.previous) return {WakeRule::previous, a.previous};
  if (a.peers != b.peers) return {WakeRule::peers, a.peers};
  return {WakeRule::first, false};
}

}  // namespace

double delay_penalty(const DelayWish& wish, double delay_ms) noexcept {
  const double over = std::max(0.0, delay_ms - wish.t_max_ms);
  switch (wish.kind) {
    case DelayKind::interaction: return wish.k * over * over;
    case DelayKind::utility: return wish.k * over;
    case DelayKind::background: break;
  }
  return 0;
}

WakeCost cost_of(const WakeOption& option, const DelayWish& wish,
                 const CostParameters& parameters) noexcept {
  const double energy = option.run_energy_mj + option.wake_energy_mj;
  const double penalty =
      delay_penalty(wish, option.wait_ms + option.run_ms) + option.event_penalty_mj;
  return {energy, penalty, energy + parameters.alpha * penalty};
}

WakeChoice choose_option(std::span<const WakeOption> options, const DelayWish& wish,
                         const CostParameters& parameters) noexcept {
  WakeChoice best{WakeRule::no_options, 0, {0, 0, 0}};
  for (std::uint32_t i = 0; i < options.size(); ++i) {
    const WakeCost cost = cost_of(options[i], wish, parameters);
    if (best.rule == WakeRule::no_options) {
      best = {WakeRule::least_cost, i, cost};
      continue;
    }
    const Comparison with = compare(options[i], cost, options[best.index], best.cost);
    if (with.better) {
      best = {with.rule, i, cost};
    } else {
      best.rule = std::max(best.rule, with.rule);
    }
  }
  return best;
}

KindVerdict preferred_kind(const WakeNature& n) noexcept {
  if (n.t_max_ms > 0 && n.slow_finish_ms > n.t_max_ms) return {KindReason::would_be_late, true};
  if (n.background) return {KindReason::light_work, false};
  if (n.compute_bound || n.latency_sensitive || n.throughput) {
    // Within its limit on the slow kind, a light task that is merely waited for needs no speed.
    const bool in_time = n.t_max_ms > 0 && n.light && !n.compute_bound && !n.throughput;
    if (!in_time) return {KindReason::needs_speed, true};
  }
  if (n.light || !n.urgent) return {KindReason::light_work, false};
  return {KindReason::undecided, false};
}

WakeOption option_for(std::uint32_t core, const ClusterEnergy& cluster, Nanos full_ns,
                      Nanos queued_ns, bool asleep, const DelayWish& wish) noexcept {
  const Nanos wait = saturating_add(queued_ns, asleep ? cluster.wake_latency : 0);
  const double wait_ms = static_cast<double>(wait) / kNanosPerMilli;
  const OperatingPoint* point = &cluster.points.front();
  if (wish.kind != DelayKind::background) {
    for (const OperatingPoint& faster : cluster.points) {
      point = &faster;
      const auto run_ms = static_cast<double>(time_at(full_ns, faster.capacity)) / kNanosPerMilli;
      if (wait_ms + run_ms <= wish.t_max_ms) break;
    }
  }
  const Nanos run = time_at(full_ns, point->capacity);
  WakeOption option{};
  option.core = core;
  option.capacity = cluster.points.back().capacity;
  option.wait_ms = wait_ms;
  option.run_ms = static_cast<double>(run) / kNanosPerMilli;
  option.wake_energy_mj = asleep ? cluster.wake_energy_uj / 1000 : 0;
  option.run_energy_mj = run_energy_uj(*point, run) / 1000;
  option.asleep = asleep;
  return option;
}

}  // namespace paceline::core::policy
