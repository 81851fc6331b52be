// SPDX-License-Identifier: BSL-1.0
// The slow hand of the scheduler (layer L6): every 10 to 125 ms it looks at the whole machine and
// changes what the fast layers take as given: preferred clusters, energy-aware placement,
// balancing, the edges upwards, and which clusters are recommended.
// Flow room: policy. Called by the monitor only; the layers below are told what changed.
// It must never touch the order of queued work, nor leave the machine without a recommended
// cluster.
// Proof: tests/unit/policy/controller_test.cpp.
// Source: policies.md 3.10, 5.5, 6.2, 6.4, 8.1 (rows 4, 6, 9) and 8.2 (L6).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "policy/energy.hpp"
#include "policy/profile.hpp"

namespace paceline::core::policy {

/// Times between two steps (8.2): short while things change, doubled up to the tick while they
/// rest.
inline constexpr Nanos kLeastStep = 10 * kMillisecond;
inline constexpr Nanos kMostStep = 125 * kMillisecond;

/// A preference rests this long before it changes for a better one ("slowly", 8.1 row 4): one tick.
inline constexpr Nanos kPreferenceRest = 125 * kMillisecond;

/// [P] Steps without a core above 80 % (5.5) until the machine counts as calm again: one could be a
/// gap.
inline constexpr unsigned kCalmSteps = 2;

/// "Cannot run there", as Edge writes it for clusters that are not recommended (3.3).
inline constexpr std::uint32_t kInfiniteLatency = std::numeric_limits<std::uint32_t>::max();

/// What the system says of a cluster.
struct ClusterHealth {
  bool online;  ///< has an available worker
  bool hot;     ///< the system asks to spare it (heat or power)
};

/// Snapshots, taken by the caller; a span that is too short counts as zeros, health as good.
struct ControllerSnapshot {
  Nanos now;
  std::span<const std::uint32_t> utilisation;   ///< by core, 0..kFullCapacity
  std::span<const std::uint32_t> latency_us;    ///< Edge's L at [cluster * qos_count + class]
  std::span<const ClusterHealth> health;        ///< by cluster
  std::array<std::uint32_t, qos_count> demand;  ///< ready and running tasks of each class
  EnergyUse energy;                             ///< of the machine's model
};

enum class ClusterAdvice : std::uint8_t {
  recommended,
  offline,
  hot,
  packed,  ///< its work fits elsewhere (profile efficiency)
};

enum class EnergyState : std::uint8_t {
  on,
  profile_off,
  not_possible,  ///< see EnergyUse
  over_utilised,
};

enum class StepReason : std::uint8_t {
  stepped,
  too_early,   ///< less than kLeastStep after the last one: nothing was looked at
  clock_back,  ///< time went backwards: it counts anew from there
};

/// What a step changed; the values are the controller's.
struct ControllerChanges {
  StepReason reason;
  Nanos next;               ///< when to step again
  std::uint8_t classes;     ///< bit q: preferred(q) changed
  std::uint8_t categories;  ///< bit c: preferred(c) changed
  std::uint32_t clusters;   ///< number of clusters whose advice changed
  bool energy;              ///< energy_state() changed
  bool balancing;           ///< balancing() changed
  bool upwards;             ///< upwards_open() changed

  bool any() const noexcept {
    return classes != 0 || categories != 0 || clusters != 0 || energy || balancing || upwards;
  }
};

class Controller {
 public:
  /// Copies the machine view. All clusters are recommended and every class prefers the first
  /// cluster of its kind. Throws std::bad_alloc, std::invalid_argument as Domains does.
  Controller(const MachineView& machine, const ProfileSettings& profile, Nanos now);

  ControllerChanges step(const ControllerSnapshot& snapshot) noexcept;

  /// From the next step on.
  void use(const ProfileSettings& profile) noexcept { profile_ = profile; }

  std::uint16_t preferred(qos q) const noexcept {
    return preferences_[static_cast<std::size_t>(q)].cluster;
  }
  std::uint16_t preferred(WorkCategory c) const noexcept {
    return preferences_[qos_count + static_cast<std::size_t>(c)].cluster;
  }
  ClusterAdvice advice(std::uint32_t cluster) const noexcept { return advice_[cluster]; }
  bool recommended(std::uint32_t cluster) const noexcept {
    return advice_[cluster] == ClusterAdvice::recommended;
  }
  EnergyState energy_state() const noexcept { return energy_; }
  BalancingVerdict balancing() const noexcept { return balancing_; }
  /// The slow kind is overloaded and the profile lets its work up: edges with kEdgeWeightUs.
  bool upwards_open() const noexcept { return upwards_; }
  bool over_utilised() const noexcept { return over_; }

 private:
  struct Preference {
    std::uint16_t cluster;
    Nanos since;
  };
  static constexpr std::size_t kPreferences = qos_count + kWorkCategories;
  static constexpr Nanos kNoTime = -kForever;  // never chosen

  std::uint32_t latency(const ControllerSnapshot& s, std::uint32_t cluster, qos q) const noexcept;
  std::uint64_t load_of_cluster(const ControllerSnapshot& s, std::uint32_t cluster) const noexcept;
  std::uint32_t advise(const ControllerSnapshot& s) noexcept;
  bool can_pack(const ControllerSnapshot& s) const noexcept;
  std::uint16_t rank_for(const ControllerSnapshot& s, KindWish wish, qos q) const noexcept;
  bool prefer(const ControllerSnapshot& s, Preference& held, KindWish wish, qos q) noexcept;
  bool slow_kind_overloaded(const ControllerSnapshot& s) const noexcept;
  void note_load(const ControllerSnapshot& s) noexcept;

  std::vector<CoreView> cores_;
  std::vector<ClusterView> clusters_;
  std::vector<ClusterAdvice> advice_;
  std::vector<ClusterAdvice> wanted_;  // of the step under way
  std::array<Preference, kPreferences> preferences_;
  ProfileSettings profile_;
  std::uint16_t slowest_ = 0;
  EnergyState energy_;
  BalancingVerdict balancing_;
  bool upwards_ = false;
  bool over_ = false;
  unsigned calm_ = 0;
  Nanos last_;
  Nanos interval_ = kLeastStep;
};

}  // namespace paceline::core::policy
