// SPDX-License-Identifier: BSL-1.0
#include "policy/energy.hpp"

#include <algorithm>
#include <limits>

#include "policy/balance.hpp"

namespace paceline::core::policy {

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::uint32_t capacity_of(const MachineView& machine, std::uint32_t core) noexcept {
  return machine.clusters[machine.cores[core].cluster].capacity;
}

}  // namespace

std::uint32_t over_utilised_core(const MachineView& machine,
                                 std::span<const std::uint32_t> utilisation) noexcept {
  for (std::uint32_t i = 0; i < machine.cores.size() && i < utilisation.size(); ++i) {
    if (!fits(utilisation[i], capacity_of(machine, i))) return i;
  }
  return kNoCore;
}

/// Utilisation of a core when the task is nowhere.
std::uint32_t EnergyPolicy::without(const EnergyTask& task,
                                    std::span<const std::uint32_t> utilisation,
                                    std::uint32_t core) const noexcept {
  const std::uint32_t all = utilisation[core];
  return core == task.previous ? all - std::min(all, task.counted) : all;
}

double EnergyPolicy::of_cluster(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                                std::uint32_t cluster, std::uint32_t with) const noexcept {
  const ClusterView& view = machine_.clusters[cluster];
  std::uint64_t sum = 0;
  std::uint32_t highest = 0;
  for (std::uint32_t i = view.first; i < std::uint32_t{view.first} + view.count; ++i) {
    const std::uint32_t rest = without(task, utilisation, i);
    const std::uint32_t speed =
        rest + (i == with ? clamped(task.utilisation, task.util_min, task.util_max) : 0);
    sum += rest + (i == with ? task.utilisation : 0);
    highest = std::max(highest, speed);
  }
  highest += highest * parameters_.headroom_percent / 100;
  const OperatingPoint& point = lowest_point(model_.clusters[cluster].points, highest);
  return static_cast<double>(sum) * point.power_mw / point.capacity;
}

double EnergyPolicy::total(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                           std::uint32_t core) const noexcept {
  double energy = 0;
  for (std::uint32_t c = 0; c < machine_.clusters.size(); ++c) {
    energy += of_cluster(task, utilisation, c, core);
  }
  return energy;
}

double EnergyPolicy::delta(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                           std::uint32_t core) const noexcept {
  const std::uint32_t cluster = machine_.cores[core].cluster;
  return of_cluster(task, utilisation, cluster, core) -
         of_cluster(task, utilisation, cluster, kNoCore);
}

/// The allowed core of a cluster that keeps the most room with the task on it and still fits.
std::uint32_t EnergyPolicy::roomiest(const EnergyTask& task,
                                     std::span<const std::uint32_t> utilisation,
                                     std::uint32_t cluster, std::uint32_t added) const noexcept {
  const ClusterView& view = machine_.clusters[cluster];
  std::uint32_t best = kNoCore;
  std::uint32_t most = 0;
  for (std::uint32_t i = view.first; i < std::uint32_t{view.first} + view.count; ++i) {
    if (!has_core(task.allowed, i)) continue;
    const std::uint32_t after = without(task, utilisation, i) + added;
    if (!fits(after, view.capacity)) continue;
    const std::uint32_t room = spare_capacity(view.capacity, after);
    if (best != kNoCore && room <= most) continue;
    best = i;
    most = room;
  }
  return best;
}

EnergyChoice EnergyPolicy::choose(const EnergyTask& task,
                                  std::span<const std::uint32_t> utilisation) const noexcept {
  if (over_utilised_core(machine_, utilisation) != kNoCore) {
    return {EnergyReason::over_utilised, kNoCore, kInfinite, kInfinite};
  }
  const bool previous_allowed = task.previous != kNoCore && has_core(task.allowed, task.previous);
  if (task.utilisation == 0 && previous_allowed) {
    return {EnergyReason::no_utilisation, task.previous, 0, 0};
  }
  const std::uint32_t added = clamped(task.utilisation, task.util_min, task.util_max);
  // Both 5.5's "always a candidate" and its fit rule: a previous core that the task outgrew is
  // none.
  double previous_delta = kInfinite;
  if (previous_allowed && fits(without(task, utilisation, task.previous) + added,
                               capacity_of(machine_, task.previous))) {
    previous_delta = delta(task, utilisation, task.previous);
  }
  std::uint32_t best = kNoCore;
  double least = kInfinite;
  for (std::uint32_t c = 0; c < machine_.clusters.size(); ++c) {
    const std::uint32_t core = roomiest(task, utilisation, c, added);
    if (core == kNoCore || core == task.previous) continue;
    const double cost = delta(task, utilisation, core);
    if (cost >= least) continue;
    best = core;
    least = cost;
  }
  if (best == kNoCore && previous_delta == kInfinite) {
    return {EnergyReason::nothing_fits, kNoCore, kInfinite, kInfinite};
  }
  if (previous_delta <= least) {
    return {EnergyReason::previous_cheapest, task.previous, previous_delta, previous_delta};
  }
  // The saving is measured against what the task itself adds: against the whole machine, the
  // example of 5.5 (73.0 of 1438.8) would not move.
  const double wanted =
      previous_delta / static_cast<double>(std::uint64_t{1} << parameters_.hysteresis_shift);
  if (previous_delta != kInfinite && previous_delta - least <= wanted) {
    return {EnergyReason::saves_too_little, task.previous, previous_delta, previous_delta};
  }
  return {EnergyReason::cheapest, best, least, previous_delta};
}

}  // namespace paceline::core::policy
