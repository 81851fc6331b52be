// SPDX-License-Identifier: BSL-1.0
#include "policy/profile.hpp"

namespace paceline::core::policy {

namespace {

using enum KindWish;

// Rows: urgent, user_interactive, user_initiated, standard, utility, background (6.2). The map
// gives the first two of timeshare to fast cores and the last to slow ones in every profile;
// "mixed" and "inherit" are where profiles differ.
constexpr std::array<KindWish, qos_count> kPerformanceClasses{fast, fast,       fast,
                                                              fast, slow_first, slow};
constexpr std::array<KindWish, qos_count> kBalancedClasses{fast,       fast,       fast,
                                                           slow_first, slow_first, slow};
constexpr std::array<KindWish, qos_count> kEfficiencyClasses{fast,       fast, slow_first,
                                                             slow_first, slow, slow};
constexpr std::array<KindWish, kWorkCategories> kCategories{fast, fast, slow, slow};

}  // namespace

qos class_of(WorkCategory category) noexcept {
  switch (category) {
    case WorkCategory::performance_critical: return qos::user_initiated;
    case WorkCategory::latency_sensitive: return qos::user_interactive;
    case WorkCategory::batch_processing: return qos::utility;
    case WorkCategory::background_cleanup: return qos::background;
  }
  return qos::standard;
}

std::string_view to_string(ProfileFault fault) noexcept {
  switch (fault) {
    case ProfileFault::none: return "nothing is wrong";
    case ProfileFault::unknown_name: return "there is no such profile";
    case ProfileFault::time_scale_range: return "time_scale is not within 0.001 to 100";
  }
  return "invalid";
}

ProfileVerdict make_profile(ProfileName name, double time_scale) noexcept {
  // 8.1 row 6 names the edges of each profile; energy-aware placement is what `performance` gives
  // up, since it trades delay for power. Alpha is the default of 5.3, halved where power counts
  // more.
  ProfileSettings profile{.name = ProfileName::balanced,
                          .time_scale = 1,
                          .energy_aware = true,
                          .opens_upwards = true,
                          .paces = true,
                          .idles_upkeep = false,
                          .packs = false,
                          .alpha = 1.0,
                          .energy_hysteresis_shift = 4,
                          .classes = kBalancedClasses,
                          .categories = kCategories};
  const bool in_range = time_scale >= kLeastProfileScale && time_scale <= kMostProfileScale;
  if (!in_range) return {ProfileFault::time_scale_range, profile};
  profile.name = name;
  profile.time_scale = time_scale;
  switch (name) {
    case ProfileName::performance:
      profile.energy_aware = false;
      profile.paces = false;
      profile.classes = kPerformanceClasses;
      return {ProfileFault::none, profile};
    case ProfileName::balanced: return {ProfileFault::none, profile};
    case ProfileName::efficiency:
      profile.opens_upwards = false;
      profile.idles_upkeep = true;
      profile.packs = true;
      profile.alpha = 0.5;
      profile.classes = kEfficiencyClasses;
      return {ProfileFault::none, profile};
  }
  profile.name = ProfileName::balanced;
  profile.time_scale = 1;
  return {ProfileFault::unknown_name, profile};
}

EligibleVerdict judge_eligible(const ProfileSettings& profile, const EligibleInputs& in) noexcept {
  if (!in.allowed) return {EligibleReason::forbidden, false};
  if (in.qos_class == qos::background && in.worker_rank == 0 && in.slow_recommended) {
    return {EligibleReason::background_on_fast, false};
  }
  if (in.worker_rank == in.preferred_rank) return {EligibleReason::preferred, true};
  if (in.worker_rank > in.preferred_rank) return {EligibleReason::downwards, true};
  const bool important = in.qos_class <= qos::utility;
  if (profile.opens_upwards && important && in.preferred_overloaded) {
    return {EligibleReason::opened_upwards, true};
  }
  return {EligibleReason::closed_upwards, false};
}

}  // namespace paceline::core::policy
