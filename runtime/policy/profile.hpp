// SPDX-License-Identifier: BSL-1.0
// What `performance`, `balanced` and `efficiency` switch on, and the time scale of all policies.
// Flow room: policy. Made at start-up, then read by everybody; a new profile replaces the old one
// between two steps of the controller.
// It must never let background work onto fast cores while slow ones are recommended.
// Proof: tests/unit/policy/profile_test.cpp.
// Source: policies.md 2.1 (time_scale), 6.2 (classes and categories), 8.1 rows 5, 6, 9, 18.
#pragma once

#include <paceline/qos.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace paceline::core::policy {

enum class ProfileName : std::uint8_t { performance, balanced, efficiency };

/// Kinds of work a program may name; their classes and clusters are those of 6.2.
enum class WorkCategory : std::uint8_t {
  performance_critical,
  latency_sensitive,
  batch_processing,
  background_cleanup,
};
inline constexpr std::size_t kWorkCategories = 4;

/// Class of a category (6.2).
qos class_of(WorkCategory category) noexcept;

/// On which kind of core a class starts.
enum class KindWish : std::uint8_t {
  fast,        ///< the fastest kind that is recommended
  slow,        ///< the slowest
  slow_first,  ///< the slowest kind that is not overloaded
};

/// Weight in microseconds of the edges between kinds (3.2; upwards 8.1 row 6).
inline constexpr std::uint32_t kEdgeWeightUs = 64;

struct ProfileSettings {
  ProfileName name;
  double time_scale;   ///< of the times of 2.1 and 3.3; who keeps them applies it
  bool energy_aware;   ///< places by energy while the machine is not over-utilised (row 9)
  bool opens_upwards;  ///< slow to fast opens when the slow kind is overloaded (row 6)
  bool paces;          ///< asks the system for the lowest sufficient speed (W2 of 5.4)
  bool idles_upkeep;   ///< utility and background at the lowest speed of their cores (4.8)
  bool packs;          ///< derecommends fast clusters whose work fits elsewhere
  double alpha;        ///< weight of lateness against energy (5.3)
  unsigned energy_hysteresis_shift;  ///< a saving of 1/2^shift is needed to move (5.5)
  std::array<KindWish, qos_count> classes;
  std::array<KindWish, kWorkCategories> categories;
};

/// [P] Range of time_scale: from tasks of nanoseconds to quanta of seconds. Outside it, times
/// of 2.1 round to nothing or exceed the wait that a class is promised.
inline constexpr double kLeastProfileScale = 0.001;
inline constexpr double kMostProfileScale = 100;

enum class ProfileFault : std::uint8_t {
  none,
  unknown_name,
  time_scale_range,  ///< outside kLeastProfileScale..kMostProfileScale, or not a number
};

std::string_view to_string(ProfileFault fault) noexcept;

struct ProfileVerdict {
  ProfileFault fault;
  ProfileSettings profile;  ///< with a fault: `balanced` at scale 1
};

/// The settings of a profile.
ProfileVerdict make_profile(ProfileName name, double time_scale = 1) noexcept;

enum class EligibleReason : std::uint8_t {
  preferred,           ///< its own kind of core
  downwards,           ///< a slower kind: open in every profile
  opened_upwards,      ///< a faster kind, since its own is overloaded
  forbidden,           ///< by affinity
  background_on_fast,  ///< while a slow cluster is recommended
  closed_upwards,
};

struct EligibleInputs {
  qos qos_class;
  std::uint16_t preferred_rank;  ///< of the task
  std::uint16_t worker_rank;     ///< of the idle worker's cluster; 0 is the fastest
  bool allowed;                  ///< affinity
  bool preferred_overloaded;     ///< the kind that the task prefers (controller)
  bool slow_recommended;         ///< a cluster of another than the fastest kind is
};

struct EligibleVerdict {
  EligibleReason reason;
  bool eligible;
};

/// Whether an idle worker may take a task: affinity, edge and profile together (8.1 row 6).
EligibleVerdict judge_eligible(const ProfileSettings& profile,
                               const EligibleInputs& inputs) noexcept;

enum class BalancingReason : std::uint8_t {
  over_utilised,  ///< on
  energy_is_off,  ///< on
  energy_places,  ///< off: below 80 % energy decides
};

struct BalancingVerdict {
  BalancingReason reason;
  bool on;
};

/// Whether the periodic balancer runs (8.1 row 9).
constexpr BalancingVerdict judge_balancing(bool energy_on, bool over_utilised) noexcept {
  if (over_utilised) return {BalancingReason::over_utilised, true};
  if (!energy_on) return {BalancingReason::energy_is_off, true};
  return {BalancingReason::energy_places, false};
}

}  // namespace paceline::core::policy
