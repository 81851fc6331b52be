// SPDX-License-Identifier: BSL-1.0
#include "policy/controller.hpp"

#include <algorithm>

namespace paceline::core::policy {

std::uint32_t Controller::latency(const ControllerSnapshot& s, std::uint32_t cluster,
                                  qos q) const noexcept {
  const std::size_t at = std::size_t{cluster} * qos_count + static_cast<std::size_t>(q);
  return at < s.latency_us.size() ? s.latency_us[at] : 0;
}

std::uint64_t Controller::load_of_cluster(const ControllerSnapshot& s,
                                          std::uint32_t cluster) const noexcept {
  std::uint64_t sum = 0;
  const std::uint32_t first = clusters_[cluster].first;
  for (std::uint32_t i = first; i < first + clusters_[cluster].count; ++i) {
    if (i < s.utilisation.size()) sum += s.utilisation[i];
  }
  return sum;
}

/// Whether the work of the fastest kind would leave the others at half of their capacity. [P] Half
/// and not the 80 % of 5.5, so that packing does not make them over-utilised at once.
bool Controller::can_pack(const ControllerSnapshot& s) const noexcept {
  if (!profile_.packs || slowest_ == 0 || over_) return false;
  for (const qos q : {qos::urgent, qos::user_interactive, qos::user_initiated}) {
    if (s.demand[static_cast<std::size_t>(q)] != 0) return false;
  }
  std::uint64_t load = 0;
  std::uint64_t room = 0;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
    load += load_of_cluster(s, c);
    const bool stays = clusters_[c].rank != 0 && wanted_[c] == ClusterAdvice::recommended;
    if (stays) room += std::uint64_t{clusters_[c].capacity} * clusters_[c].count;
  }
  return load * 2 <= room && room != 0;
}

/// Sets advice_ and returns how many clusters it changed for.
std::uint32_t Controller::advise(const ControllerSnapshot& s) noexcept {
  std::uint32_t cool = 0;
  std::uint32_t online = 0;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
    const ClusterHealth health = c < s.health.size() ? s.health[c] : ClusterHealth{true, false};
    wanted_[c] = !health.online ? ClusterAdvice::offline
                 : health.hot   ? ClusterAdvice::hot
                                : ClusterAdvice::recommended;
    cool += wanted_[c] == ClusterAdvice::recommended ? 1 : 0;
    online += health.online ? 1 : 0;
  }
  if (online == 0) {  // cannot be: whoever asks runs somewhere
    std::fill(wanted_.begin(), wanted_.end(), ClusterAdvice::recommended);
  } else if (cool == 0) {  // all hot: sparing everything is sparing nothing
    for (ClusterAdvice& wish : wanted_) {
      if (wish == ClusterAdvice::hot) wish = ClusterAdvice::recommended;
    }
  }
  if (can_pack(s)) {
    for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
      const bool fastest = clusters_[c].rank == 0 && wanted_[c] == ClusterAdvice::recommended;
      if (fastest) wanted_[c] = ClusterAdvice::packed;
    }
  }
  std::uint32_t changed = 0;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) changed += wanted_[c] != advice_[c] ? 1 : 0;
  advice_.swap(wanted_);
  return changed;
}

/// The rank on which a class should start, among recommended clusters.
std::uint16_t Controller::rank_for(const ControllerSnapshot& s, KindWish wish,
                                   qos q) const noexcept {
  std::uint16_t fastest = std::numeric_limits<std::uint16_t>::max();
  std::uint16_t slowest = 0;
  std::uint16_t relaxed = 0;  // the slowest one with a cluster below the weight
  bool any_relaxed = false;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
    if (!recommended(c)) continue;
    const std::uint16_t rank = clusters_[c].rank;
    fastest = std::min(fastest, rank);
    slowest = std::max(slowest, rank);
    if (latency(s, c, q) > kEdgeWeightUs) continue;
    relaxed = any_relaxed ? std::max(relaxed, rank) : rank;
    any_relaxed = true;
  }
  switch (wish) {
    case KindWish::fast: return fastest;
    case KindWish::slow: return slowest;
    case KindWish::slow_first: break;
  }
  return any_relaxed ? relaxed : fastest;
}

/// Chooses the cluster of one class or category; true if it changed. What can no longer be used, or
/// is of a kind that the class does not want, is left at once; what is merely worse after
/// kPreferenceRest and for more than the weight of an edge.
bool Controller::prefer(const ControllerSnapshot& s, Preference& held, KindWish wish,
                        qos q) noexcept {
  const std::uint16_t rank = rank_for(s, wish, q);
  std::uint32_t best = kNoCore;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
    if (!recommended(c) || clusters_[c].rank != rank) continue;
    if (best == kNoCore || latency(s, c, q) < latency(s, best, q)) best = c;
  }
  if (best == kNoCore || best == held.cluster) {
    if (held.since == kNoTime) held.since = last_;
    return false;
  }
  const bool first = held.since == kNoTime;
  const bool wrong_kind = wish != KindWish::slow_first && clusters_[held.cluster].rank != rank;
  if (!first && recommended(held.cluster) && !wrong_kind) {
    if (last_ - held.since < kPreferenceRest) return false;
    const std::uint64_t enough = std::uint64_t{latency(s, best, q)} + kEdgeWeightUs;
    if (clusters_[held.cluster].rank == rank && latency(s, held.cluster, q) <= enough) return false;
  }
  held = {static_cast<std::uint16_t>(best), last_};
  return true;
}

/// No recommended cluster of a slower kind has room for `utility` work below the weight.
bool Controller::slow_kind_overloaded(const ControllerSnapshot& s) const noexcept {
  bool any = false;
  for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
    if (!recommended(c) || clusters_[c].rank == 0) continue;
    any = true;
    if (latency(s, c, qos::utility) <= kEdgeWeightUs) return false;
  }
  return any;
}

/// Over-utilised at once, calm only after kCalmSteps steps.
void Controller::note_load(const ControllerSnapshot& s) noexcept {
  if (over_utilised_core({cores_, clusters_}, s.utilisation) != kNoCore) {
    calm_ = 0;
    over_ = true;
  } else if (over_ && ++calm_ >= kCalmSteps) {
    over_ = false;
  }
}

ControllerChanges Controller::step(const ControllerSnapshot& s) noexcept {
  ControllerChanges changes{};
  changes.reason = StepReason::stepped;
  if (s.now < last_) {
    // What was remembered lies in the future now; it begins again, or nothing would move till then.
    changes.reason = StepReason::clock_back;
    last_ = s.now;
    for (Preference& held : preferences_) held.since = std::min(held.since, last_);
  } else if (s.now - last_ < kLeastStep) {
    changes.reason = StepReason::too_early;
  }
  if (changes.reason != StepReason::stepped) {
    changes.next = saturating_add(last_, interval_);
    return changes;
  }
  last_ = s.now;
  note_load(s);
  changes.clusters = advise(s);

  const EnergyState energy = !profile_.energy_aware            ? EnergyState::profile_off
                             : s.energy != EnergyUse::possible ? EnergyState::not_possible
                             : over_                           ? EnergyState::over_utilised
                                                               : EnergyState::on;
  changes.energy = energy != energy_;
  energy_ = energy;
  const BalancingVerdict balancing = judge_balancing(energy == EnergyState::on, over_);
  changes.balancing = balancing.on != balancing_.on;
  balancing_ = balancing;
  const bool upwards = profile_.opens_upwards && slow_kind_overloaded(s);
  changes.upwards = upwards != upwards_;
  upwards_ = upwards;

  for (std::size_t q = 0; q < qos_count; ++q) {
    if (prefer(s, preferences_[q], profile_.classes[q], static_cast<qos>(q))) {
      changes.classes |= static_cast<std::uint8_t>(1u << q);
    }
  }
  for (std::size_t c = 0; c < kWorkCategories; ++c) {
    if (prefer(s, preferences_[qos_count + c], profile_.categories[c],
               class_of(static_cast<WorkCategory>(c)))) {
      changes.categories |= static_cast<std::uint8_t>(1u << c);
    }
  }
  interval_ = changes.any() ? kLeastStep : std::min(2 * interval_, kMostStep);
  changes.next = saturating_add(last_, interval_);
  return changes;
}

}  // namespace paceline::core::policy
