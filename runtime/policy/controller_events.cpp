// SPDX-License-Identifier: BSL-1.0
// Verdicts on the controller's events.
// Flow room: controller. It must never move anything itself.
// Proof: tests/unit/policy/controller_events_test.cpp.
#include "policy/controller_events.hpp"

namespace paceline::core::policy {

std::string_view to_string(QueuedAction action) noexcept {
  switch (action) {
    case QueuedAction::mark: return "mark";
    case QueuedAction::drain: return "drain";
  }
  return "invalid";
}

std::string_view to_string(AvailabilityVerdict verdict) noexcept {
  switch (verdict) {
    case AvailabilityVerdict::nothing: return "nothing";
    case AvailabilityVerdict::drain: return "drain";
    case AvailabilityVerdict::search_once: return "search_once";
  }
  return "invalid";
}

PreferenceVerdict preference_changed(const EdgeTable& table, ClusterIndex here,
                                     ClusterIndex preferred, PreferenceOptions options) noexcept {
  here = table.known(here);
  preferred = table.known(preferred);
  const bool wrong = here != preferred;
  return {wrong && options.migrate_queued ? QueuedAction::drain : QueuedAction::mark,
          !table.same_kind(here, preferred), wrong && options.migrate_running};
}

AvailabilityVerdict availability_changed(Availability before, Availability now) noexcept {
  const bool was = before.recommended && before.workers != 0;
  const bool is = now.recommended && now.workers != 0;
  if (was == is) return AvailabilityVerdict::nothing;
  return is ? AvailabilityVerdict::search_once : AvailabilityVerdict::drain;
}

std::uint32_t recommended_width(const EdgeTable& table, qos q, WidthOf of) noexcept {
  std::uint32_t fast = 0;
  std::uint32_t slow = 0;
  for (std::size_t i = 0; i < table.clusters(); ++i) {
    const auto c = static_cast<ClusterIndex>(i);
    const std::uint32_t width = of == WidthOf::cores ? table.cores(c) : 1;
    (table.rank(c) == 0 ? fast : slow) += width;
  }
  if (q == qos::urgent) return fast;
  if (q == qos::background && slow != 0) return slow;
  return fast + slow;
}

}  // namespace paceline::core::policy
