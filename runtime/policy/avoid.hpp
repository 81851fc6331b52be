// SPDX-License-Identifier: BSL-1.0
// Whether a running task should leave its worker, and whether it then takes a turn on the kind of
// core it prefers ("stirring the pot": wide work makes equal progress on unequal cores).
//
// Flow room: preempt. Asked on the worker itself, at preemption checks and at the end of a quantum.
// Reads the preferred cluster, for shared tasks all clusters. The rules are the reference's
// sections 3.7, 3.8 and 3.9 (XNU's sched_edge_thread_avoid_processor).
// Proof: tests/unit/policy/avoid_test.cpp, tests/unit/policy/edge_world_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include "policy/edge_table.hpp"
#include "policy/latency.hpp"
#include "policy/preference.hpp"

namespace paceline::core::policy {

enum class AvoidReason : std::uint8_t {
  settled,          ///< stay: this is where it belongs
  pinned,           ///< stay: it may run nowhere else
  rotation,         ///< leave: this core is to be given up and another of the cluster idles
  bound_elsewhere,  ///< leave: the cluster it is bound to, or one of that kind, takes work
  not_recommended,  ///< leave: this cluster is to take no work and another one does
  shared_better,    ///< leave: another cluster has fewer tasks of its sort
  shared_off_kind,  ///< leave: its sort prefers its own kind
  off_kind,         ///< leave: the kind it prefers takes work
  preferred_idle,   ///< leave: nothing waits on the cluster it prefers
};
std::string_view to_string(AvoidReason reason) noexcept;

struct AvoidAsk {
  qos q = qos::standard;
  ClusterIndex here = 0;
  ClusterIndex preferred = kNoCluster;  ///< none: EdgeTable::home()
  ClusterIndex bound = kNoCluster;
  SharedUse shared = SharedUse::none;
  bool pinned = false;  ///< to this worker
  bool quantum_expired = false;
  bool rotating = false;     ///< this worker is flagged for rotation
  bool steady_idle = false;  ///< an unflagged worker of this cluster idles
};

struct AvoidVerdict {
  bool leave;
  AvoidReason reason;

  friend bool operator==(const AvoidVerdict&, const AvoidVerdict&) = default;
};

/// Whether one of the clusters of `cluster`'s kind takes work.
template <class Loads>
bool kind_available(const EdgeTable& table, ClusterIndex cluster, const Loads& loads) noexcept {
  if (available(loads, cluster)) return true;
  for (const Candidate& c : table.natives(cluster)) {
    if (available(loads, c.cluster)) return true;
  }
  return false;
}

template <class Loads>
bool other_available(const EdgeTable& table, ClusterIndex cluster, const Loads& loads) noexcept {
  for (const Candidate& c : table.candidates(cluster)) {
    if (available(loads, c.cluster)) return true;
  }
  return false;
}

/// 3.9: whether a shared task finds a cluster with fewer of its sort. On its own kind it does not
/// count itself, so that one task per cluster stays where it is.
template <class Loads>
bool better_cluster_exists(const EdgeTable& table, ClusterIndex here, ClusterIndex preferred,
                           SharedUse use, const Loads& loads) noexcept {
  Load current = loads.shared(here, use);
  if (table.same_kind(here, preferred) && current != 0 && current != kInfiniteLoad) --current;
  for (const Candidate& c : table.candidates(here)) {
    if (use == SharedUse::native_first && !table.same_kind(c.cluster, preferred)) continue;
    if (loads.shared(c.cluster, use) < current) return true;
  }
  return false;
}

template <class Loads>
AvoidVerdict avoid(const EdgeTable& table, const AvoidAsk& ask, const Loads& loads) noexcept {
  const auto leave_if = [](bool leave, AvoidReason reason) {
    return AvoidVerdict{leave, leave ? reason : AvoidReason::settled};
  };
  const ClusterIndex here = table.known(ask.here);
  const ClusterIndex preferred = preference_of(table, ask.q, ask.preferred, loads).cluster;
  if (ask.pinned) return {false, AvoidReason::pinned};
  if (ask.quantum_expired && ask.rotating && ask.steady_idle) return {true, AvoidReason::rotation};
  if (table.contains(ask.bound)) {
    // A bound task that is where its binding puts it has no reason to leave.
    if (available(loads, ask.bound))
      return leave_if(here != ask.bound, AvoidReason::bound_elsewhere);
    if (kind_available(table, ask.bound, loads))
      return leave_if(!table.same_kind(here, ask.bound) || !available(loads, here),
                      AvoidReason::bound_elsewhere);
  }
  // What is queued is drained (3.10); what runs here has to be sent away as well.
  if (!loads.recommended(here) && other_available(table, here, loads))
    return {true, AvoidReason::not_recommended};
  const bool off_kind = !table.same_kind(here, preferred);
  if (ask.shared != SharedUse::none) {
    if (ask.shared == SharedUse::native_first && off_kind)
      return {true, AvoidReason::shared_off_kind};
    return leave_if(better_cluster_exists(table, here, preferred, ask.shared, loads),
                    AvoidReason::shared_better);
  }
  if (off_kind && kind_available(table, preferred, loads)) return {true, AvoidReason::off_kind};
  return leave_if(here != preferred && loads.latency(preferred, ask.q) == 0,
                  AvoidReason::preferred_idle);
}

/// Whether a task that leaves takes its turn on the preferred kind: PlaceAsk::stir. Its place is
/// then chosen by rotation, at the tail, and WorkerAsk::force displaces somebody. Only at the end
/// of a quantum: a displaced task must not displace the next.
constexpr bool stir(const AvoidAsk& ask, const AvoidVerdict& verdict) noexcept {
  const bool off_kind =
      verdict.reason == AvoidReason::off_kind || verdict.reason == AvoidReason::shared_off_kind;
  return verdict.leave && ask.quantum_expired && off_kind && ask.q != qos::urgent;
}

extern template AvoidVerdict avoid(const EdgeTable&, const AvoidAsk&, const LoadView&) noexcept;

}  // namespace paceline::core::policy
