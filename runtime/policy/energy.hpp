// SPDX-License-Identifier: BSL-1.0
// Energy-aware placement: the core on which a woken task costs the machine the least energy.
// Flow room: policy. Asked at a wake while the controller says so, with snapshots of utilisation.
// It must never place a task where it does not fit, nor be asked when the machine is over-utilised.
// Proof: tests/unit/policy/energy_test.cpp (statements 65 and 66).
// Source: policies.md 5.5 for the algorithm, the fit rule, and the hysteresis.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "policy/core_mask.hpp"
#include "policy/energy_model.hpp"

namespace paceline::core::policy {

/// utilisation * 1280 < capacity * 1024, about 80 % (5.5).
constexpr bool fits(std::uint64_t utilisation, std::uint64_t capacity) noexcept {
  return utilisation * 1280 < capacity * 1024;
}

/// Within util_min..util_max, as a task's clamps ask; min wins if they cross.
constexpr std::uint32_t clamped(std::uint32_t utilisation, std::uint32_t util_min,
                                std::uint32_t util_max) noexcept {
  const std::uint32_t below = utilisation < util_max ? utilisation : util_max;
  return below > util_min ? below : util_min;
}

/// The first core above 80 % of its capacity, or kNoCore.
std::uint32_t over_utilised_core(const MachineView& machine,
                                 std::span<const std::uint32_t> utilisation) noexcept;

/// What one choice must save to be taken: 1/2^shift of what the previous one costs (5.5, default
/// 1/16).
inline constexpr unsigned kEnergyHysteresisShift = 4;

enum class EnergyReason : std::uint8_t {
  cheapest,
  previous_cheapest,  ///< also on a tie
  saves_too_little,   ///< not more than the hysteresis: the previous core is kept
  no_utilisation,     ///< nothing to estimate: the task stays
  over_utilised,      ///< ordinary placement decides
  nothing_fits,       ///< ordinary placement decides
};

struct EnergyTask {
  std::uint32_t utilisation;  ///< of the task, 0..kFullCapacity, scaled by capacity and clock
  std::uint32_t util_min;     ///< clamps, 0 and kFullCapacity when not set
  std::uint32_t util_max;
  std::uint32_t previous;  ///< core, or kNoCore for new work
  CoreMask allowed;        ///< affinity and active workers
  /// What the snapshot of the previous core still counts of the task: less than `utilisation` for
  /// one that has slept and is expected to want as much as before.
  std::uint32_t counted;
};

struct EnergyChoice {
  EnergyReason reason;
  std::uint32_t core;     ///< kNoCore if ordinary placement decides
  double delta;           ///< what the task adds there, in the model's power (energy per second)
  double previous_delta;  ///< what it adds on the previous core; infinite if it does not fit there
};

struct EnergyParameters {
  unsigned hysteresis_shift = kEnergyHysteresisShift;
  /// Added to a domain's highest utilisation before its point is chosen, in percent. None in the
  /// example of 5.5; a governor with 25 % headroom wants 25.
  std::uint32_t headroom_percent = 0;
};

class EnergyPolicy {
 public:
  /// `machine` and `model` are referred to and must outlive the policy; judge_energy_model must
  /// have found no fault.
  EnergyPolicy(const MachineView& machine, const EnergyModel& model,
               EnergyParameters parameters = {}) noexcept
      : machine_(machine), model_(model), parameters_(parameters) {}

  /// `utilisation` is indexed by core and includes the task on its previous core, as a snapshot
  /// does. Candidates are, in each cluster, the fitting core with the most room, and the previous
  /// one. O(cores * clusters).
  EnergyChoice choose(const EnergyTask& task,
                      std::span<const std::uint32_t> utilisation) const noexcept;

  /// The machine's energy per second with the task on `core` (kNoCore: without it).
  double total(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
               std::uint32_t core) const noexcept;

 private:
  std::uint32_t without(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                        std::uint32_t core) const noexcept;
  double of_cluster(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                    std::uint32_t cluster, std::uint32_t with) const noexcept;
  double delta(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
               std::uint32_t core) const noexcept;
  std::uint32_t roomiest(const EnergyTask& task, std::span<const std::uint32_t> utilisation,
                         std::uint32_t cluster, std::uint32_t added) const noexcept;

  MachineView machine_;
  EnergyModel model_;
  EnergyParameters parameters_;
};

}  // namespace paceline::core::policy
