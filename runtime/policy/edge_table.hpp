// SPDX-License-Identifier: BSL-1.0
// Where work may go from its preferred cluster and what that costs: the graph of "Edge", the policy
// that spreads work over clusters.
//
// Flow room: spawn and wake (place.hpp), idle (idle_search.hpp). Made at the start and by the
// controller, read by any thread; whoever rewrites edges publishes a copy. Allocates when made and
// never later. The rules come from the reference specification, section 3.2 (XNU's sched_clutch.c)
// and section 8.1, row 6 (profiles); between more than two kinds from decision 0032.
// Proof: tests/unit/policy/edge_table_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <paceline/qos.hpp>

#include "policy/machine_view.hpp"

namespace paceline::core::policy {

using ClusterIndex = std::uint16_t;
inline constexpr ClusterIndex kNoCluster = 0xffff;

/// [P] The biggest machines that are served. A row of 255 candidates is what a placement reads at
/// worst.
inline constexpr std::size_t kMostClusters = 256;
inline constexpr std::size_t kMostCores = 4096;

/// A set of classes, bit by index of paceline::qos.
using ClassMask = std::uint8_t;
inline constexpr ClassMask kNoClass = 0;
inline constexpr ClassMask kAllClasses = (1u << qos_count) - 1;
constexpr unsigned index_of(qos q) noexcept { return static_cast<unsigned>(q); }
constexpr ClassMask class_bit(qos q) noexcept {
  return static_cast<ClassMask>(1u << (index_of(q) & 7u));
}
/// `q` and everything more important.
constexpr ClassMask classes_up_from(qos q) noexcept {
  return static_cast<ClassMask>((2u << (index_of(q) & 7u)) - 1);
}

/// A set of kinds of cores, bit by rank. [P] Slower kinds than the eighth count as the eighth: the
/// machines that are known have at most four.
using RankMask = std::uint8_t;
inline constexpr std::uint16_t kMostRanks = 8;
constexpr RankMask rank_bit(std::uint16_t rank) noexcept {
  return static_cast<RankMask>(1u << (rank < kMostRanks ? rank : kMostRanks - 1));
}

/// What the user wants of fast and slow cores. `xnu` is the raw table.
enum class Profile : std::uint8_t { xnu, efficiency, balanced, performance };
std::string_view to_string(Profile profile) noexcept;

/// What is added to each weight: nothing, or what a move across the machine costs (`topo`).
enum class Distance : std::uint8_t { ignored, added };
std::string_view to_string(Distance distance) noexcept;

/// A directed edge. Weights are microseconds of scheduling latency.
struct Edge {
  std::uint16_t weight;  ///< a move must shorten the wait by so much
  ClassMask migrate;     ///< classes that placement may send along the edge
  ClassMask steal;       ///< classes that idle workers at its end may take along it

  friend bool operator==(const Edge&, const Edge&) = default;
};

/// A profile as data: edges by direction between kinds. To a kind further away than the next one
/// they allow the same, for the weight once for each rank.
struct ProfileRules {
  Edge same;             ///< between clusters of one kind
  Edge slower;           ///< to the next slower kind
  Edge faster;           ///< to the next faster kind
  bool slow_background;  ///< background stays off the fastest kind while a slower one can run it
};
ProfileRules rules_of(Profile profile) noexcept;

/// One entry of a cluster's row: the other cluster with what the way there and back allows.
struct Candidate {
  ClusterIndex cluster;
  std::uint16_t weight;  ///< of the edge row -> cluster
  ClassMask migrate;     ///< of the edge row -> cluster
  ClassMask steal_from;  ///< `steal` of the edge cluster -> row
  std::uint8_t rank;     ///< of the cluster's kind, below kMostRanks
  bool native;           ///< same kind as the row's cluster
};
static_assert(sizeof(Candidate) == 8, "eight candidates to a cache line");

class EdgeTable {
 public:
  /// Throws std::invalid_argument when `machine` has no core, more than the limits above, or
  /// clusters and cores that contradict each other. The view is not kept.
  EdgeTable(const MachineView& machine, Profile profile, Distance distance = Distance::ignored);

  std::size_t clusters() const noexcept { return clusters_.size(); }
  bool contains(ClusterIndex cluster) const noexcept { return cluster < clusters_.size(); }
  /// The lowest cluster of the fastest kind: the preference of work that has none.
  ClusterIndex home() const noexcept { return home_; }
  /// `cluster`, or home() where there is no such cluster.
  ClusterIndex known(ClusterIndex cluster) const noexcept {
    return contains(cluster) ? cluster : home_;
  }

  std::uint8_t rank(ClusterIndex cluster) const noexcept { return clusters_[cluster].rank; }
  std::uint16_t cores(ClusterIndex cluster) const noexcept { return clusters_[cluster].cores; }
  bool same_kind(ClusterIndex a, ClusterIndex b) const noexcept { return rank(a) == rank(b); }
  std::uint16_t kinds() const noexcept { return kinds_; }
  bool slow_background() const noexcept { return slow_background_; }

  /// All others in the order of a visit: natives, then foreign kinds; in each the same die first,
  /// then the nearest kind, the faster of two that are as near, then by number.
  std::span<const Candidate> candidates(ClusterIndex cluster) const noexcept {
    return {row(cluster), clusters_.size() - 1};
  }
  std::span<const Candidate> natives(ClusterIndex cluster) const noexcept {
    return {row(cluster), clusters_[cluster].natives};
  }
  std::span<const Candidate> foreigners(ClusterIndex cluster) const noexcept {
    return candidates(cluster).subspan(clusters_[cluster].natives);
  }

  /// The edge between two clusters; nothing is allowed to itself or between unknown clusters.
  Edge edge(ClusterIndex from, ClusterIndex to) const noexcept;
  /// For the controller. False, and nothing changed, where edge() would allow nothing.
  bool set_edge(ClusterIndex from, ClusterIndex to, Edge edge) noexcept;

 private:
  struct Cluster {
    std::uint16_t cores;
    std::uint16_t natives;  // others of its kind
    std::uint8_t rank;
  };

  const Candidate* row(ClusterIndex cluster) const noexcept {
    return rows_.data() + std::size_t{cluster} * (clusters_.size() - 1);
  }
  std::size_t entry(ClusterIndex of, ClusterIndex other) const noexcept;

  std::vector<Cluster> clusters_;
  std::vector<Candidate> rows_;  // clusters x (clusters - 1)
  ClusterIndex home_ = 0;
  std::uint16_t kinds_ = 1;
  bool slow_background_ = false;
};

}  // namespace paceline::core::policy
