// SPDX-License-Identifier: BSL-1.0
// Builds the rows of the edge table from the machine and a profile.
// Flow room: start, controller. It must never be called where work is placed: it allocates.
// Proof: tests/unit/policy/edge_table_test.cpp.
#include "policy/edge_table.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace paceline::core::policy {

namespace {

constexpr Edge kClosed{0, kNoClass, kNoClass};
constexpr Edge kFree{0, kAllClasses, kAllClasses};

// Reference 3.2, from XNU's sched_clutch.c: leaving P for E must win 64 us.
constexpr std::uint16_t kKindWeight = 64;
constexpr Edge kDown{kKindWeight, kAllClasses, kAllClasses};

// Reference 8.1, row 6: utility and above may use fast cores when the slow ones are overloaded, at
// the price of the way down. Overloaded needs no word here: placement looks at other clusters, and
// a thief of another kind takes something, only where more is runnable than there are workers.
constexpr Edge kUpWhenOverloaded{kKindWeight, classes_up_from(qos::utility),
                                 classes_up_from(qos::utility)};

struct ProfileRow {
  Profile profile;
  std::string_view name;
  ProfileRules rules;
};
constexpr std::array<ProfileRow, 4> kProfiles{{
    {Profile::xnu, "xnu", {kFree, kDown, kClosed, false}},
    {Profile::efficiency, "efficiency", {kFree, kDown, kClosed, true}},
    {Profile::balanced, "balanced", {kFree, kDown, kUpWhenOverloaded, true}},
    {Profile::performance, "performance", {kFree, kDown, kUpWhenOverloaded, true}},
}};

// Reference 4.4, read as microseconds by 3.2. Clusters of one die share its last-level cache or
// are next to it; the view knows nothing finer.
constexpr std::uint16_t kSameDie = 10;
constexpr std::uint16_t kSameNode = 100;
constexpr std::uint16_t kOtherNode = 1000;

const ProfileRow& row_of(Profile profile) noexcept {
  const auto index = static_cast<std::size_t>(profile);
  return kProfiles[index < kProfiles.size() ? index : static_cast<std::size_t>(Profile::balanced)];
}

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

/// What the rules say of the way between two kinds, one rank at a time: work goes on to kinds
/// further away by being stolen from the ones between.
Edge edge_between(const ProfileRules& rules, unsigned from, unsigned to) noexcept {
  if (from == to) return rules.same;
  if (to == from + 1) return rules.slower;
  if (from == to + 1) return rules.faster;
  return kClosed;
}

}  // namespace

std::string_view to_string(Profile profile) noexcept {
  const auto index = static_cast<std::size_t>(profile);
  return index < kProfiles.size() ? kProfiles[index].name : "invalid";
}

std::string_view to_string(Distance distance) noexcept {
  switch (distance) {
    case Distance::ignored: return "ignored";
    case Distance::added: return "added";
  }
  return "invalid";
}

ProfileRules rules_of(Profile profile) noexcept { return row_of(profile).rules; }

EdgeTable::EdgeTable(const MachineView& machine, Profile profile, Distance distance) {
  require_sound(machine);
  const ProfileRules rules = rules_of(profile);
  slow_background_ = rules.slow_background;
  const std::size_t count = machine.clusters.size();

  // Ranks of a view may have holes (a kind that the process may not use); edges go from one kind
  // to the next that is there.
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
      return a.cluster < b.cluster;
    });
  }
}

std::size_t EdgeTable::entry(ClusterIndex of, ClusterIndex other) const noexcept {
  std::size_t at = std::size_t{of} * (clusters_.size() - 1);
  while (rows_[at].cluster != other) ++at;
  return at;
}

Edge EdgeTable::edge(ClusterIndex from, ClusterIndex to) const noexcept {
  if (!contains(from) || !contains(to) || from == to) return kClosed;
  const Candidate& out = rows_[entry(from, to)];
  return {out.weight, out.migrate, rows_[entry(to, from)].steal_from};
}

bool EdgeTable::set_edge(ClusterIndex from, ClusterIndex to, Edge edge) noexcept {
  if (!contains(from) || !contains(to) || from == to) return false;
  Candidate& out = rows_[entry(from, to)];
  out.weight = edge.weight;
  out.migrate = edge.migrate & kAllClasses;
  rows_[entry(to, from)].steal_from = edge.steal & kAllClasses;
  return true;
}

}  // namespace paceline::core::policy
