// SPDX-License-Identifier: BSL-1.0
#include "policy/energy_model.hpp"

#include <cmath>

namespace paceline::core::policy {

namespace {

bool usable(double value) noexcept { return std::isfinite(value) && value >= 0; }

EnergyFault judge_point(std::span<const OperatingPoint> points, std::uint32_t i) noexcept {
  const OperatingPoint& point = points[i];
  if (point.capacity == 0) return EnergyFault::zero_capacity;
  if (point.capacity > kFullCapacity) return EnergyFault::capacity_too_large;
  if (!std::isfinite(point.power_mw) || point.power_mw <= 0) return EnergyFault::power_not_positive;
  if (i == 0) return EnergyFault::none;
  if (point.capacity <= points[i - 1].capacity) return EnergyFault::capacity_unordered;
  if (point.power_mw <= points[i - 1].power_mw) return EnergyFault::power_unordered;
  return EnergyFault::none;
}

}  // namespace

std::string_view to_string(EnergyFault fault) noexcept {
  switch (fault) {
    case EnergyFault::none: return "nothing is wrong";
    case EnergyFault::cluster_count: return "the model has not one entry for each cluster";
    case EnergyFault::no_points: return "a cluster has no operating points";
    case EnergyFault::zero_capacity: return "an operating point has capacity 0";
    case EnergyFault::capacity_too_large: return "an operating point has a capacity above 1024";
    case EnergyFault::capacity_unordered:
      return "the capacities of a cluster's operating points do not rise";
    case EnergyFault::power_not_positive: return "the power of an operating point is not above 0";
    case EnergyFault::power_unordered:
      return "the powers of a cluster's operating points do not rise";
    case EnergyFault::capacity_disagrees:
      return "a cluster's fastest operating point is not its capacity";
    case EnergyFault::bad_idle_power: return "an idle power is negative or not a number";
    case EnergyFault::bad_wake: return "a wake energy or latency is negative or not a number";
  }
  return "invalid";
}

std::string_view to_string(EnergyUse use) noexcept {
  switch (use) {
    case EnergyUse::possible: return "energy-aware placement is possible";
    case EnergyUse::bad_model: return "the energy model has a fault";
    case EnergyUse::symmetric: return "all cores have the same capacity";
    case EnergyUse::smt: return "cores share capacity (SMT)";
    case EnergyUse::too_complex: return "the energy model is too complex for each wake";
  }
  return "invalid";
}

EnergyModelVerdict judge_points(std::span<const OperatingPoint> points) noexcept {
  if (points.empty()) return {EnergyFault::no_points, 0, 0};
  for (std::uint32_t i = 0; i < points.size(); ++i) {
    const EnergyFault fault = judge_point(points, i);
    if (fault != EnergyFault::none) return {fault, 0, i};
  }
  return {EnergyFault::none, 0, 0};
}

EnergyModelVerdict judge_energy_model(const EnergyModel& model,
                                      const MachineView& machine) noexcept {
  if (model.clusters.size() != machine.clusters.size()) {
    return {EnergyFault::cluster_count, static_cast<std::uint32_t>(model.clusters.size()), 0};
  }
  for (std::uint32_t c = 0; c < model.clusters.size(); ++c) {
    const ClusterEnergy& energy = model.clusters[c];
    EnergyModelVerdict points = judge_points(energy.points);
    points.cluster = c;
    if (points.fault != EnergyFault::none) return points;
    if (energy.points.back().capacity != machine.clusters[c].capacity) {
      return {EnergyFault::capacity_disagrees, c,
              static_cast<std::uint32_t>(energy.points.size() - 1)};
    }
    if (!usable(energy.idle_power_mw)) return {EnergyFault::bad_idle_power, c, 0};
    if (!usable(energy.wake_energy_uj) || energy.wake_latency < 0) {
      return {EnergyFault::bad_wake, c, 0};
    }
  }
  return {EnergyFault::none, 0, 0};
}

EnergyUse judge_energy_use(const EnergyModel& model, const MachineView& machine) noexcept {
  if (judge_energy_model(model, machine).fault != EnergyFault::none) return EnergyUse::bad_model;
  bool asymmetric = false;
  std::size_t points = 0;
  for (std::size_t c = 0; c < machine.clusters.size(); ++c) {
    asymmetric = asymmetric || machine.clusters[c].capacity != machine.clusters[0].capacity;
    points += model.clusters[c].points.size();
  }
  if (!asymmetric) return EnergyUse::symmetric;
  for (std::size_t i = 0; i < machine.cores.size(); ++i) {
    if (machine.cores[i].sibling != i) return EnergyUse::smt;
  }
  const std::size_t complexity = machine.clusters.size() * (machine.cores.size() + points);
  return complexity > kMostEnergyComplexity ? EnergyUse::too_complex : EnergyUse::possible;
}

const OperatingPoint& lowest_point(std::span<const OperatingPoint> points,
                                   std::uint32_t utilisation) noexcept {
  for (const OperatingPoint& point : points) {
    if (point.capacity >= utilisation) return point;
  }
  return points.back();
}

}  // namespace paceline::core::policy
