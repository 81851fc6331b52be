// SPDX-License-Identifier: BSL-1.0
// Proves what the profiles switch on, and which time scales are refused.
#include "policy/profile.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace paceline;
using namespace paceline::core::policy;

namespace {

constexpr std::uint16_t kP = 0;
constexpr std::uint16_t kE = 1;

EligibleReason judge(ProfileName name, qos q, std::uint16_t preferred, std::uint16_t worker,
                     bool overloaded = false, bool slow_recommended = true) {
  const ProfileSettings profile = make_profile(name).profile;
  const EligibleVerdict verdict =
      judge_eligible(profile, {q, preferred, worker, true, overloaded, slow_recommended});
  const bool yes = verdict.reason == EligibleReason::preferred ||
                   verdict.reason == EligibleReason::downwards ||
                   verdict.reason == EligibleReason::opened_upwards;
  CHECK(verdict.eligible == yes);
  return verdict.reason;
}

}  // namespace

TEST_CASE("each profile switches on what section 8 gives it") {
  const ProfileSettings performance = make_profile(ProfileName::performance).profile;
  const ProfileSettings balanced = make_profile(ProfileName::balanced).profile;
  const ProfileSettings efficiency = make_profile(ProfileName::efficiency).profile;
  CHECK_FALSE(performance.energy_aware);
  CHECK(balanced.energy_aware);
  CHECK(efficiency.energy_aware);
  CHECK(performance.opens_upwards);
  CHECK(balanced.opens_upwards);
  CHECK_FALSE(efficiency.opens_upwards);
  CHECK_FALSE(performance.paces);
  CHECK(balanced.paces);
  CHECK(efficiency.paces);
  CHECK_FALSE(balanced.idles_upkeep);
  CHECK(efficiency.idles_upkeep);
  CHECK_FALSE(performance.packs);
  CHECK_FALSE(balanced.packs);
  CHECK(efficiency.packs);
  for (const ProfileSettings& profile : {performance, balanced, efficiency}) {
    CHECK(profile.time_scale == 1);
    CHECK(profile.energy_hysteresis_shift == 4);
    CHECK(profile.classes[static_cast<std::size_t>(qos::urgent)] == KindWish::fast);
    CHECK(profile.classes[static_cast<std::size_t>(qos::user_interactive)] == KindWish::fast);
    CHECK(profile.classes[static_cast<std::size_t>(qos::background)] == KindWish::slow);
  }
}

TEST_CASE("categories start on the cluster and in the class of table 6.2") {
  CHECK(class_of(WorkCategory::performance_critical) == qos::user_initiated);
  CHECK(class_of(WorkCategory::latency_sensitive) == qos::user_interactive);
  CHECK(class_of(WorkCategory::batch_processing) == qos::utility);
  CHECK(class_of(WorkCategory::background_cleanup) == qos::background);
  for (const ProfileName name :
       {ProfileName::performance, ProfileName::balanced, ProfileName::efficiency}) {
    const ProfileSettings profile = make_profile(name).profile;
    CHECK(profile.categories[0] == KindWish::fast);
    CHECK(profile.categories[1] == KindWish::fast);
    CHECK(profile.categories[2] == KindWish::slow);
    CHECK(profile.categories[3] == KindWish::slow);
  }
}

TEST_CASE("background work never runs on fast cores while a slow cluster is recommended") {
  for (const ProfileName name :
       {ProfileName::performance, ProfileName::balanced, ProfileName::efficiency}) {
    for (const bool overloaded : {false, true}) {
      CHECK(judge(name, qos::background, kE, kP, overloaded) == EligibleReason::background_on_fast);
      // Even if its preference says otherwise.
      CHECK(judge(name, qos::background, kP, kP, overloaded) == EligibleReason::background_on_fast);
    }
    CHECK(judge(name, qos::background, kE, kE) == EligibleReason::preferred);
    CHECK(judge(name, qos::background, kP, kP, false, false) == EligibleReason::preferred);
  }
}

TEST_CASE("slow work may use idle fast cores only when overloaded and the profile opens the edge") {
  for (const ProfileName name : {ProfileName::performance, ProfileName::balanced}) {
    CHECK(judge(name, qos::utility, kE, kP, false) == EligibleReason::closed_upwards);
    CHECK(judge(name, qos::utility, kE, kP, true) == EligibleReason::opened_upwards);
    CHECK(judge(name, qos::standard, kE, kP, true) == EligibleReason::opened_upwards);
  }
  CHECK(judge(ProfileName::efficiency, qos::utility, kE, kP, true) ==
        EligibleReason::closed_upwards);
  CHECK(judge(ProfileName::efficiency, qos::standard, kP, kE) == EligibleReason::downwards);
  const ProfileSettings profile = make_profile(ProfileName::balanced).profile;
  CHECK(judge_eligible(profile, {qos::standard, kP, kP, false, false, true}).reason ==
        EligibleReason::forbidden);
}

TEST_CASE("the balancer runs when the machine is over-utilised or energy is off") {
  CHECK(judge_balancing(true, false).on == false);
  CHECK(judge_balancing(true, true).reason == BalancingReason::over_utilised);
  CHECK(judge_balancing(true, true).on);
  CHECK(judge_balancing(false, false).reason == BalancingReason::energy_is_off);
  CHECK(judge_balancing(false, false).on);
}

TEST_CASE("an unknown profile or a time scale out of range falls back to balanced with the fault") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double scale : {0.0, -1.0, 0.0009, 101.0, nan}) {
    const ProfileVerdict verdict = make_profile(ProfileName::efficiency, scale);
    CHECK(verdict.fault == ProfileFault::time_scale_range);
    CHECK(verdict.profile.name == ProfileName::balanced);
    CHECK(verdict.profile.time_scale == 1);
  }
  CHECK(make_profile(ProfileName::efficiency, 0.001).profile.time_scale == 0.001);
  CHECK(make_profile(ProfileName::efficiency, 100).fault == ProfileFault::none);
  const ProfileVerdict unknown = make_profile(static_cast<ProfileName>(77));
  CHECK(unknown.fault == ProfileFault::unknown_name);
  CHECK(unknown.profile.name == ProfileName::balanced);
  CHECK(to_string(unknown.fault) != to_string(ProfileFault::time_scale_range));
}
