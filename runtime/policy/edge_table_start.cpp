// SPDX-License-Identifier: BSL-1.0
// Builds the rows of the edge table from the machine and a profile: once, before scheduling starts,
// so it may allocate and refuse its input.
// Proof: tests/unit/policy/edge_table_test.cpp.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "policy/edge_table.hpp"

namespace paceline::core::policy {

namespace {

// Reference 4.4, read as microseconds by 3.2. Clusters of one die share its last-level cache or
// are next to it; the view knows nothing finer.
constexpr std::uint16_t kSameDie = 10;
constexpr std::uint16_t kSameNode = 100;
constexpr std::uint16_t kOtherNode = 1000;

bool same_die(const ClusterView& a, const ClusterView& b) noexcept {
  return a.die == b.die && a.node == b.node;
}

std::uint16_t cost_between(const ClusterView& a, const ClusterView& b) noexcept {
  if (same_die(a, b)) return kSameDie;
  return a.node == b.node ? kSameNode : kOtherNode;
}

[[noreturn]] void refuse(const std::string& why) {
  throw std::invalid_argument("edge table: " + why);
}

void require_sound(const MachineView& machine) {
  const std::size_t clusters = machine.clusters.size();
  const std::size_t cores = machine.cores.size();
  if (clusters == 0 || cores == 0) refuse("the machine has no core; give it one cluster of one");
  if (clusters > kMostClusters) {
    refuse(std::to_string(clusters) + " clusters are more than " + std::to_string(kMostClusters) +
           "; merge neighbours");
  }
  if (cores > kMostCores) {
    refuse(std::to_string(cores) + " cores are more than " + std::to_string(kMostCores));
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < clusters; ++i) {
    const ClusterView& cluster = machine.clusters[i];
    const std::string name = "cluster " + std::to_string(i);
    if (cluster.count == 0) refuse(name + " has no core; leave it out");
    if (cluster.first != next) refuse(name + " does not begin where the one before it ends");
    next += cluster.count;
    if (next > cores) refuse(name + " reaches beyond the last core");
    for (std::size_t core = cluster.first; core < next; ++core) {
      if (machine.cores[core].cluster != i) refuse(name + " holds a core of another cluster");
    }
  }
  if (next != cores) refuse("the last cores belong to no cluster");
}

unsigned ranks_between(unsigned a, unsigned b) noexcept { return a < b ? b - a : a - b; }

/// What the rules say of the way between two kinds: as open as to the next one, and that price for
/// each rank. Were it open to the next kind only, work would wait beside idle cores that lie two
/// ranks away: who runs between them has no more than it can do, so nothing is taken from there
/// (decision 0032).
Edge edge_between(const ProfileRules& rules, unsigned from, unsigned to) noexcept {
  if (from == to) return rules.same;
  Edge edge = from < to ? rules.slower : rules.faster;
  edge.weight = static_cast<std::uint16_t>(edge.weight * ranks_between(from, to));
  return edge;
}

}  // namespace

EdgeTable::EdgeTable(const MachineView& machine, Profile profile, Distance distance) {
  require_sound(machine);
  const ProfileRules rules = rules_of(profile);
  slow_background_ = rules.slow_background;
  const std::size_t count = machine.clusters.size();

  // Ranks of a view may have holes (a kind that the process may not use), which cost nothing.
  std::vector<std::uint16_t> ranks;
  for (const ClusterView& cluster : machine.clusters) ranks.push_back(cluster.rank);
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  kinds_ = std::min(static_cast<std::uint16_t>(ranks.size()), kMostRanks);
  clusters_.reserve(count);
  for (const ClusterView& cluster : machine.clusters) {
    const auto dense = std::lower_bound(ranks.begin(), ranks.end(), cluster.rank) - ranks.begin();
    clusters_.push_back(
        {cluster.count, 0,
         static_cast<std::uint8_t>(std::min<std::ptrdiff_t>(dense, kMostRanks - 1))});
  }
  while (clusters_[home_].rank != 0) ++home_;

  rows_.reserve(count * (count - 1));
  for (std::size_t from = 0; from < count; ++from) {
    for (std::size_t to = 0; to < count; ++to) {
      if (to == from) continue;
      const unsigned here = clusters_[from].rank;
      const unsigned there = clusters_[to].rank;
      Edge out = edge_between(rules, here, there);
      const Edge back = edge_between(rules, there, here);
      if (distance == Distance::added) {
        out.weight = static_cast<std::uint16_t>(
            out.weight + cost_between(machine.clusters[from], machine.clusters[to]));
      }
      rows_.push_back({static_cast<ClusterIndex>(to), out.weight, out.migrate, back.steal,
                       clusters_[to].rank, here == there});
      if (here == there) ++clusters_[from].natives;
    }
    const auto begin = rows_.end() - static_cast<std::ptrdiff_t>(count - 1);
    std::sort(begin, rows_.end(), [&](const Candidate& a, const Candidate& b) {
      if (a.native != b.native) return a.native;
      const bool a_near = same_die(machine.clusters[from], machine.clusters[a.cluster]);
      const bool b_near = same_die(machine.clusters[from], machine.clusters[b.cluster]);
      if (a_near != b_near) return a_near;
      const unsigned a_way = ranks_between(clusters_[from].rank, a.rank);
      const unsigned b_way = ranks_between(clusters_[from].rank, b.rank);
      if (a_way != b_way) return a_way < b_way;
      if (a.rank != b.rank) return a.rank < b.rank;
      return a.cluster < b.cluster;
    });
  }
}

}  // namespace paceline::core::policy
