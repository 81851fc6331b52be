// SPDX-License-Identifier: BSL-1.0
// On which cluster a task goes that is spawned or woken and has no home yet.
//
// Flow room: spawn, wake. Any thread. Reads the loads it needs, most often one; decides by the
// edge table alone and changes nothing. The rules are the reference's sections 3.4, 3.8 and 3.9
// (XNU's sched_edge_migrate_candidate).
// Proof: tests/unit/policy/place_test.cpp, tests/unit/policy/edge_world_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include "policy/edge_table.hpp"
#include "policy/latency.hpp"
#include "policy/preference.hpp"

namespace paceline::core::policy {

enum class PlaceReason : std::uint8_t {
  bound,           ///< to the cluster it is bound to
  bound_native,    ///< to another one of the same kind: its own takes no work
  urgent,          ///< urgent tasks go where they prefer
  preferred_idle,  ///< nothing waits on the preferred cluster
  stirred,         ///< its turn on this cluster of the preferred kind
  idle,            ///< the first cluster on which nothing waits
  less_loaded,     ///< the wait is shorter by more than the edge costs
  preferred,       ///< no other cluster is worth the way
  native_room,     ///< shared: the least loaded cluster of the kind with a free worker
  instead_native,  ///< what was chosen takes no work: one of its kind
  instead_any,     ///< ... or the lowest that takes work
  nowhere,         ///< no cluster takes work: the task waits where it prefers
};
std::string_view to_string(PlaceReason reason) noexcept;

struct PlaceAsk {
  qos q = qos::standard;                ///< urgent tasks are placed by preference alone
  ClusterIndex preferred = kNoCluster;  ///< of the task's group and class; none: EdgeTable::home()
  ClusterIndex bound = kNoCluster;      ///< a wish: kept while that cluster takes work
  SharedUse shared = SharedUse::none;
  bool stir = false;                  ///< the verdict of stir() (avoid.hpp)
  ClusterIndex stirred = kNoCluster;  ///< where the group's last stirred task of this class went
};

struct PlaceVerdict {
  ClusterIndex where;
  PlaceReason reason;
  bool bound;  ///< idle workers of other clusters must not steal the task

  friend bool operator==(const PlaceVerdict&, const PlaceVerdict&) = default;
};

/// The next cluster after `last` among `preferred` and its natives, by number and around; the first
/// is `preferred`. Clusters that take no work are left out.
template <class Loads>
ClusterIndex stir_target(const EdgeTable& table, ClusterIndex preferred, ClusterIndex last,
                         const Loads& loads) noexcept {
  if (!table.contains(last) || !table.same_kind(preferred, last)) return preferred;
  ClusterIndex after = kNoCluster;
  ClusterIndex lowest = kNoCluster;
  const auto consider = [&](ClusterIndex c) {
    if (!available(loads, c)) return;
    if (c < lowest) lowest = c;
    if (c > last && c < after) after = c;
  };
  consider(preferred);
  for (const Candidate& candidate : table.natives(preferred)) consider(candidate.cluster);
  if (after != kNoCluster) return after;
  return lowest != kNoCluster ? lowest : preferred;
}

/// One placement, step by step.
template <class Loads>
class Placement {
 public:
  Placement(const EdgeTable& table, const PlaceAsk& ask, const Loads& loads) noexcept
      : table_(table), ask_(ask), loads_(loads) {}

  PlaceVerdict decide() noexcept {
    Choice choice = choose();
    if (!available(loads_, choice.where)) choice = instead_of(choice.where);
    return {choice.where, choice.reason, ask_.shared != SharedUse::none};
  }

 private:
  struct Choice {
    ClusterIndex where;
    PlaceReason reason;
  };
  /// The best so far. Natives are visited first, so they win ties without being asked for.
  struct Held {
    ClusterIndex where;
    std::int64_t gain;
    bool idle;
  };

  Load load(ClusterIndex c) const noexcept { return load_for(loads_, c, ask_.q, ask_.shared); }

  Choice choose() noexcept {
    if (table_.contains(ask_.bound)) {
      if (available(loads_, ask_.bound)) return {ask_.bound, PlaceReason::bound};
      if (const ClusterIndex c = least_of_kind(ask_.bound); c != kNoCluster)
        return {c, PlaceReason::bound_native};
    }
    const Preference preference = preference_of(table_, ask_.q, ask_.preferred, loads_);
    preferred_ = preference.cluster;
    slow_only_ = preference.slow_only;
    if (ask_.q == qos::urgent) return {preferred_, PlaceReason::urgent};
    at_preferred_ = load(preferred_);
    if (at_preferred_ == 0) return {preferred_, PlaceReason::preferred_idle};
    if (ask_.stir && ask_.shared != SharedUse::round_robin)
      return {stir_target(table_, preferred_, ask_.stirred, loads_), PlaceReason::stirred};
    return spread();
  }

  ClusterIndex least_of_kind(ClusterIndex cluster) const noexcept {
    ClusterIndex best = kNoCluster;
    Load least = kInfiniteLoad;
    for (const Candidate& c : table_.natives(cluster)) {
      if (!available(loads_, c.cluster)) continue;
      if (const Load here = load(c.cluster); best == kNoCluster || here < least) {
        best = c.cluster;
        least = here;
      }
    }
    return best;
  }

  /// Step 4 of 3.4 with the exceptions of 3.9.
  Choice spread() noexcept {
    if (ask_.shared == SharedUse::native_first) {
      if (const Choice room = native_room(); room.where != kNoCluster) return room;
    }
    Held held{preferred_, 0, false};
    visit(table_.candidates(preferred_), held);
    if (held.idle) return {held.where, PlaceReason::idle};
    return {held.where, held.gain != 0 ? PlaceReason::less_loaded : PlaceReason::preferred};
  }

  void visit(std::span<const Candidate> candidates, Held& held) const noexcept {
    // Round robin holds all clusters for equal, whatever the edges say; shared tasks pay no way.
    const unsigned wanted = ask_.shared == SharedUse::round_robin ? 0u : class_bit(ask_.q);
    const std::int64_t priced = ask_.shared == SharedUse::none ? 1 : 0;
    for (const Candidate& c : candidates) {
      if ((c.migrate & wanted) != wanted || (slow_only_ && c.rank == 0)) continue;
      const Load there = load(c.cluster);
      if (there == 0) {
        held = {c.cluster, 0, true};
        return;
      }
      // Without branches: which cluster is best is chance, and a wrong guess costs more than this.
      const std::int64_t gain = std::int64_t{at_preferred_} - std::int64_t{there};
      const bool better = (gain > held.gain) & (gain >= priced * c.weight);
      held.gain = better ? gain : held.gain;
      held.where = better ? c.cluster : held.where;
    }
  }

  /// Native-first tasks fill the workers of their kind before they look at another: the least
  /// loaded cluster that has a free worker, the preferred one if none is less loaded.
  Choice native_room() const noexcept {
    ClusterIndex best = kNoCluster;
    Load least = kInfiniteLoad;
    const auto consider = [&](ClusterIndex c, Load here) {
      if (here >= loads_.workers(c) || here >= least) return;
      best = c;
      least = here;
    };
    consider(preferred_, at_preferred_);
    for (const Candidate& c : table_.natives(preferred_)) consider(c.cluster, load(c.cluster));
    return {best, PlaceReason::native_room};
  }

  /// Step 5.
  Choice instead_of(ClusterIndex chosen) const noexcept {
    for (const Candidate& c : table_.natives(chosen)) {
      if (available(loads_, c.cluster)) return {c.cluster, PlaceReason::instead_native};
    }
    ClusterIndex fast = kNoCluster;  // for background, should the slow ones be gone meanwhile
    for (std::size_t i = 0; i < table_.clusters(); ++i) {
      const auto c = static_cast<ClusterIndex>(i);
      if (!available(loads_, c)) continue;
      if (!slow_only_ || table_.rank(c) != 0) return {c, PlaceReason::instead_any};
      if (fast == kNoCluster) fast = c;
    }
    if (fast != kNoCluster) return {fast, PlaceReason::instead_any};
    return {chosen, PlaceReason::nowhere};
  }

  const EdgeTable& table_;
  const PlaceAsk& ask_;
  const Loads& loads_;
  ClusterIndex preferred_ = 0;
  Load at_preferred_ = 0;
  bool slow_only_ = false;
};

/// Where the task of `ask` goes. Never allocates; costs the loads of as many clusters as it takes
/// to find one on which nothing waits.
template <class Loads>
PlaceVerdict place(const EdgeTable& table, const PlaceAsk& ask, const Loads& loads) noexcept {
  return Placement<Loads>(table, ask, loads).decide();
}

extern template PlaceVerdict place(const EdgeTable&, const PlaceAsk&, const LoadView&) noexcept;

}  // namespace paceline::core::policy
