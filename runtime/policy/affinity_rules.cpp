// SPDX-License-Identifier: BSL-1.0
#include "policy/affinity_rules.hpp"

#include <cerrno>

namespace paceline::core::policy {

namespace {

constexpr AffinityVerdict refused(AffinityReason reason) noexcept {
  return {reason, false, 0, kNoCore, false};
}

/// Calls `visit(core)` for each core of both sets, lowest first.
template <class Visit>
void each_common(CoreMask a, CoreMask b, Visit visit) noexcept {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    for (Word both = a[i] & b[i]; both != 0; both = without_lowest(both)) {
      visit(static_cast<std::uint32_t>(i * 64 + lowest(both)));
    }
  }
}

}  // namespace

int error_of(AffinityReason reason) noexcept {
  switch (reason) {
    case AffinityReason::stored:
    case AffinityReason::moved:
    case AffinityReason::unchanged: return 0;
    case AffinityReason::no_memory: return ENOMEM;
    case AffinityReason::no_task: return ESRCH;
    case AffinityReason::not_permitted: return EPERM;
    case AffinityReason::empty_mask:
    case AffinityReason::nobody_active: break;
  }
  return EINVAL;
}

AffinityVerdict judge_affinity(const AffinityRequest& r) noexcept {
  if (!r.memory) return refused(AffinityReason::no_memory);
  if (!r.known) return refused(AffinityReason::no_task);
  if (!r.permitted) return refused(AffinityReason::not_permitted);
  const std::uint32_t count = count_cores(r.wanted);
  if (count == 0) return refused(AffinityReason::empty_mask);
  // The core after the current one: neighbours in number are neighbours in the machine.
  const std::uint32_t target = first_common(r.wanted, r.active, r.core == kNoCore ? 0 : r.core);
  if (target == kNoCore) return refused(AffinityReason::nobody_active);
  if (same_cores(r.wanted, r.current)) return refused(AffinityReason::unchanged);
  if (has_core(r.wanted, r.core)) return {AffinityReason::stored, true, count, kNoCore, false};
  return {AffinityReason::moved, true, count, target, r.running};
}

CoreVerdict choose_by_node(const Domains& domains, std::uint16_t home, CoreMask allowed,
                           CoreMask active) noexcept {
  CoreVerdict found{CoreReason::nobody, kNoCore};
  each_common(allowed, active, [&](std::uint32_t core) {
    if (core >= domains.cores() || found.reason == CoreReason::home) return;
    if (domains.place(core).node == home) {
      found = {CoreReason::home, core};
    } else if (found.core == kNoCore) {
      found = {CoreReason::allowed, core};
    }
  });
  return found;
}

CoreVerdict choose_by_node_and_load(const Domains& domains, std::uint16_t home, CoreMask allowed,
                                    CoreMask active, std::span<const std::uint64_t> load) noexcept {
  CoreVerdict found{CoreReason::nobody, kNoCore};
  each_common(allowed, active, [&](std::uint32_t core) {
    if (core >= domains.cores() || core >= load.size()) return;
    const bool at_home = domains.place(core).node == home;
    if (found.core != kNoCore) {
      const bool held_home = found.reason == CoreReason::home;
      if (held_home != at_home ? held_home : load[core] >= load[found.core]) return;
    }
    found = {at_home ? CoreReason::home : CoreReason::allowed, core};
  });
  return found;
}

CoreVerdict choose_by_energy(std::span<const double> energy, CoreMask allowed,
                             CoreMask active) noexcept {
  CoreVerdict found{CoreReason::nobody, kNoCore};
  double least = std::numeric_limits<double>::infinity();
  each_common(allowed, active, [&](std::uint32_t core) {
    if (core >= energy.size() || !(energy[core] < least)) return;
    found = {CoreReason::cheapest, core};
    least = energy[core];
  });
  return found;
}

}  // namespace paceline::core::policy
