// SPDX-License-Identifier: BSL-1.0
// What the cores of each cluster cost: operating points, idle power, the price of waking. Data of
// the caller (configuration or measurement, never constants here), judged once before it is used.
// Flow room: policy. Built at start-up; any thread may read it afterwards.
// It must never be used unjudged: energy.hpp divides by what is checked here.
// Proof: tests/unit/policy/energy_test.cpp.
// Source: policies.md 5.3 (inputs), 5.5 (capacities, points, preconditions), 8.1 row 18 (idle).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/time.hpp"
#include "policy/machine_view.hpp"

namespace paceline::core::policy {

/// One speed at which all cores of a cluster can run.
struct OperatingPoint {
  std::uint32_t capacity;  ///< at this speed, 1..kFullCapacity
  double power_mw;         ///< of one busy core; any unit if all of the model use the same
};

/// The cores of one cluster; they share one clock (a performance domain, 5.5).
struct ClusterEnergy {
  std::span<const OperatingPoint> points;  ///< slowest first, both fields rising
  double idle_power_mw;                    ///< of a core that is awake and idle
  double wake_energy_uj;                   ///< of waking one core; 0 for cores that need no sleep
  Nanos wake_latency;                      ///< until the woken core runs
};

/// One entry for each cluster of the machine, in its order.
struct EnergyModel {
  std::span<const ClusterEnergy> clusters;
};

enum class EnergyFault : std::uint8_t {
  none,
  cluster_count,  ///< not one entry for each cluster of the machine
  no_points,
  zero_capacity,
  capacity_too_large,  ///< above kFullCapacity
  capacity_unordered,
  power_not_positive,  ///< zero, negative or not a number
  power_unordered,     ///< a faster point that costs no more: the slower one is useless
  capacity_disagrees,  ///< the fastest point is not the cluster's capacity
  bad_idle_power,      ///< negative or not a number
  bad_wake,            ///< negative energy or latency, or not a number
};

struct EnergyModelVerdict {
  EnergyFault fault;
  std::uint32_t cluster;
  std::uint32_t point;
};

/// The fault in words, for the line in the log that says why the model is not used.
std::string_view to_string(EnergyFault fault) noexcept;

/// The first fault of the points of one cluster, with `cluster` 0.
EnergyModelVerdict judge_points(std::span<const OperatingPoint> points) noexcept;

/// The first fault of `model` for `machine`, in the order of clusters and points.
EnergyModelVerdict judge_energy_model(const EnergyModel& model,
                                      const MachineView& machine) noexcept;

/// Why energy-aware placement is not possible on a machine (5.5).
enum class EnergyUse : std::uint8_t {
  possible,
  bad_model,
  symmetric,    ///< all cores are alike
  smt,          ///< cores share capacity
  too_complex,  ///< clusters * (cores + points) above kMostEnergyComplexity
};

std::string_view to_string(EnergyUse use) noexcept;

/// Most work that one placement may be (5.5).
inline constexpr std::size_t kMostEnergyComplexity = 2048;

EnergyUse judge_energy_use(const EnergyModel& model, const MachineView& machine) noexcept;

/// The lowest point that covers `utilisation`; the fastest one if none does. `points` not empty.
const OperatingPoint& lowest_point(std::span<const OperatingPoint> points,
                                   std::uint32_t utilisation) noexcept;

/// Energy in microjoules that one core needs to run at `point` for `time`.
constexpr double run_energy_uj(const OperatingPoint& point, Nanos time) noexcept {
  return point.power_mw * static_cast<double>(time) / 1e6;  // mW * ns = 1e-6 uJ
}

/// How long work of `full_ns` on the fastest core takes at `capacity` > 0.
constexpr Nanos time_at(Nanos full_ns, std::uint32_t capacity) noexcept {
  return static_cast<Nanos>(static_cast<double>(full_ns) * kFullCapacity / capacity);
}

}  // namespace paceline::core::policy
