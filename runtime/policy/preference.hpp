// SPDX-License-Identifier: BSL-1.0
// Which cluster a task prefers when the profile has its say. Whoever marks work as foreign, places
// it or tests whether it should leave, asks here first, so that all agree.
//
// Flow room: spawn, wake, preempt, controller. Any thread. The rule is the reference's section 8.1,
// row 6: background is never on the fastest kind while a slower cluster takes work.
// Proof: tests/unit/policy/place_test.cpp, tests/unit/policy/avoid_test.cpp.
#pragma once

#include "policy/edge_table.hpp"
#include "policy/latency.hpp"

namespace paceline::core::policy {

struct Preference {
  ClusterIndex cluster;
  bool slow_only;  ///< keep off the fastest kind altogether

  friend bool operator==(const Preference&, const Preference&) = default;
};

/// `preferred` as the profile allows it for `q`; EdgeTable::home() where there is no such cluster.
template <class Loads>
Preference preference_of(const EdgeTable& table, qos q, ClusterIndex preferred,
                         const Loads& loads) noexcept {
  preferred = table.known(preferred);
  if (q != qos::background || !table.slow_background()) return {preferred, false};
  if (table.rank(preferred) != 0 && available(loads, preferred)) return {preferred, true};
  for (const Candidate& c : table.candidates(preferred)) {
    if (c.rank == 0 || !available(loads, c.cluster)) continue;
    return {table.rank(preferred) != 0 ? preferred : c.cluster, true};
  }
  return {preferred, false};
}

}  // namespace paceline::core::policy
