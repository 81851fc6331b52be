// SPDX-License-Identifier: BSL-1.0
// What happens to queued and running work when the performance controller changes its mind, and how
// wide work of a class should be.
//
// Flow room: controller. Its thread, one cluster at a time, after the new preference or
// recommendation is published. It must never move anything itself. The rules are the reference's
// section 3.10 (XNU's sched_edge preferred-cluster and cluster-recommendation paths).
// Proof: tests/unit/policy/controller_events_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include "policy/edge_table.hpp"

namespace paceline::core::policy {

/// What a change of preference does beyond itself.
struct PreferenceOptions {
  bool migrate_running = false;
  bool migrate_queued = false;
};

enum class QueuedAction : std::uint8_t {
  mark,   ///< recompute whether it counts as native or foreign
  drain,  ///< take it out and place it again
};
std::string_view to_string(QueuedAction action) noexcept;

/// For one (cluster, group, class) after its preferred cluster became another one; `preferred` as
/// preference_of() says it.
struct PreferenceVerdict {
  QueuedAction queued;
  bool foreign;        ///< the new mark of what stays queued here
  bool ask_rebalance;  ///< running tasks of the group get a REBALANCE request

  friend bool operator==(const PreferenceVerdict&, const PreferenceVerdict&) = default;
};
PreferenceVerdict preference_changed(const EdgeTable& table, ClusterIndex here,
                                     ClusterIndex preferred, PreferenceOptions options) noexcept;

struct Availability {
  bool recommended;
  std::uint32_t workers;
};

enum class AvailabilityVerdict : std::uint8_t {
  nothing,      ///< it took work before and does now, or neither
  drain,        ///< place all its queued work again
  search_once,  ///< look for work for it as for an idle worker
};
std::string_view to_string(AvailabilityVerdict verdict) noexcept;
AvailabilityVerdict availability_changed(Availability before, Availability now) noexcept;

enum class WidthOf : std::uint8_t { cores, clusters };  ///< clusters: work with a shared resource

/// How many tasks of class `q` a library should make of parallel work, at least 1: urgent work as
/// many as there are fastest cores, background work as many as there are slower ones, all other
/// work as many as there are.
std::uint32_t recommended_width(const EdgeTable& table, qos q, WidthOf of) noexcept;

}  // namespace paceline::core::policy
