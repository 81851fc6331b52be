// SPDX-License-Identifier: BSL-1.0
// The controller's construction, apart from its steps: this object file may allocate and throw, the
// other one may not.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "policy/controller.hpp"
#include "policy/domains.hpp"

namespace paceline::core::policy {

namespace {

MachineView judged(const MachineView& machine) {
  const MachineVerdict verdict = judge_machine(machine);
  if (verdict.fault != MachineFault::none) {
    throw std::invalid_argument("controller: " + std::string(to_string(verdict.fault)));
  }
  return machine;
}

}  // namespace

Controller::Controller(const MachineView& machine, const ProfileSettings& profile, Nanos now)
    : cores_(judged(machine).cores.begin(), machine.cores.end()),
      clusters_(machine.clusters.begin(), machine.clusters.end()),
      advice_(machine.clusters.size(), ClusterAdvice::recommended),
      wanted_(machine.clusters.size(), ClusterAdvice::recommended),
      profile_(profile),
      energy_(profile.energy_aware ? EnergyState::on : EnergyState::profile_off),
      balancing_(judge_balancing(profile.energy_aware, false)),
      last_(now) {
  for (const ClusterView& cluster : clusters_) slowest_ = std::max(slowest_, cluster.rank);
  const ControllerSnapshot nothing{now, {}, {}, {}, {}, EnergyUse::possible};
  preferences_.fill({0, kNoTime});
  for (std::size_t i = 0; i < kPreferences; ++i) {
    const bool of_class = i < qos_count;
    const auto category = static_cast<WorkCategory>(of_class ? 0 : i - qos_count);
    prefer(nothing, preferences_[i],
           of_class ? profile_.classes[i] : profile_.categories[i - qos_count],
           of_class ? static_cast<qos>(i) : class_of(category));
  }
}

}  // namespace paceline::core::policy
