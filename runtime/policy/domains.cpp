// SPDX-License-Identifier: BSL-1.0
#include "policy/domains.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>

namespace paceline::core::policy {

namespace {

constexpr std::size_t kMostCores = std::numeric_limits<std::uint16_t>::max();

MachineVerdict judge_clusters(const MachineView& machine) noexcept {
  std::size_t covered = 0;
  for (std::uint32_t c = 0; c < machine.clusters.size(); ++c) {
    const ClusterView& cluster = machine.clusters[c];
    if (cluster.count == 0) return {MachineFault::empty_cluster, c};
    if (cluster.capacity == 0 || cluster.capacity > kFullCapacity) {
      return {MachineFault::bad_capacity, c};
    }
    const std::size_t end = std::size_t{cluster.first} + cluster.count;
    if (end > machine.cores.size()) return {MachineFault::scattered_cluster, c};
    for (std::size_t i = cluster.first; i < end; ++i) {
      if (machine.cores[i].cluster != c) return {MachineFault::scattered_cluster, c};
    }
    covered += cluster.count;
  }
  // Every core names one cluster, so equal sums mean that no core is left out or counted twice.
  if (covered != machine.cores.size()) {
    return {MachineFault::scattered_cluster, static_cast<std::uint32_t>(machine.clusters.size())};
  }
  return {MachineFault::none, 0};
}

std::uint32_t flags_of(DomainLevel level, bool asymmetric) noexcept {
  std::uint32_t flags = kDomainBalances | kDomainPullsWhenIdle;
  if (level == DomainLevel::smt) flags |= kDomainSharesCapacity;
  if (level <= DomainLevel::mc) flags |= kDomainSharesCache;
  if (asymmetric) flags |= kDomainAsymmetric;
  return flags;
}

/// What the cores of one domain of `level` have in common.
std::uint32_t key_of(DomainLevel level, const CorePlace& place) noexcept {
  switch (level) {
    case DomainLevel::smt: return place.sibling;
    case DomainLevel::mc: return place.cluster;
    case DomainLevel::numa: return place.node;
    case DomainLevel::sys: break;
  }
  return 0;
}

}  // namespace

std::string_view to_string(DomainLevel level) noexcept {
  switch (level) {
    case DomainLevel::smt: return "SMT";
    case DomainLevel::mc: return "MC";
    case DomainLevel::numa: return "NUMA";
    case DomainLevel::sys: return "SYS";
  }
  return "invalid";
}

std::string_view to_string(MachineFault fault) noexcept {
  switch (fault) {
    case MachineFault::none: return "nothing is wrong";
    case MachineFault::no_cores: return "the machine has no cores";
    case MachineFault::too_many_cores: return "the machine has more than 65535 cores";
    case MachineFault::empty_cluster: return "a cluster has no cores";
    case MachineFault::scattered_cluster:
      return "the clusters do not divide the cores 0..n-1 into ranges";
    case MachineFault::bad_capacity: return "a capacity is not within 1..1024";
    case MachineFault::bad_sibling:
      return "a core's sibling is not the first core of its physical core in its cluster";
  }
  return "invalid";
}

MachineVerdict judge_machine(const MachineView& machine) noexcept {
  if (machine.cores.empty()) return {MachineFault::no_cores, 0};
  if (machine.cores.size() > kMostCores) return {MachineFault::too_many_cores, 0};
  const MachineVerdict clusters = judge_clusters(machine);
  if (clusters.fault != MachineFault::none) return clusters;
  for (std::uint32_t i = 0; i < machine.cores.size(); ++i) {
    const CoreView& core = machine.cores[i];
    const bool first_of_pair =
        core.sibling <= i && machine.cores[core.sibling].sibling == core.sibling;
    if (!first_of_pair || machine.cores[core.sibling].cluster != core.cluster) {
      return {MachineFault::bad_sibling, i};
    }
  }
  return {MachineFault::none, 0};
}

Domains::Domains(const MachineView& machine) {
  const MachineVerdict verdict = judge_machine(machine);
  if (verdict.fault != MachineFault::none) {
    throw std::invalid_argument("scheduling domains: " + std::string(to_string(verdict.fault)) +
                                " (at " + std::to_string(verdict.index) + ")");
  }
  const auto cores = static_cast<std::uint32_t>(machine.cores.size());
  places_.reserve(cores);
  for (const CoreView& core : machine.cores) {
    const ClusterView& cluster = machine.clusters[core.cluster];
    places_.push_back(
        {0, kNoDomain, core.sibling, core.cluster, cluster.node, cluster.rank, cluster.capacity});
  }
  // Sorted by the keys of all levels, widest first, the cores of every domain are neighbours.
  order_.resize(cores);
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const CorePlace& x = places_[a];
    const CorePlace& y = places_[b];
    return std::tie(x.node, x.cluster, x.sibling, a) < std::tie(y.node, y.cluster, y.sibling, b);
  });
  for (std::uint32_t p = 0; p < cores; ++p) places_[order_[p]].position = p;

  std::vector<DomainGroup> units;  // what the next level groups: at first single cores
  units.reserve(cores);
  for (std::uint32_t p = 0; p < cores; ++p) {
    units.push_back({p, 1, kNoDomain, places_[order_[p]].capacity});
  }
  std::vector<DomainGroup> merged;
  for (const DomainLevel level :
       {DomainLevel::smt, DomainLevel::mc, DomainLevel::numa, DomainLevel::sys}) {
    merged.clear();
    for (std::size_t i = 0; i < units.size();) {
      const auto key = [&](std::size_t u) {
        return key_of(level, places_[order_[units[u].first]]);
      };
      std::size_t end = i + 1;
      while (end < units.size() && key(end) == key(i)) ++end;
      if (end - i == 1) {  // the same span as its only child: folded
        merged.push_back(units[i++]);
        continue;
      }
      const auto self = static_cast<std::uint32_t>(domains_.size());
      DomainGroup whole{units[i].first, 0, self, 0};
      const auto group_first = static_cast<std::uint32_t>(groups_.size());
      bool asymmetric = false;
      const std::uint16_t rank = places_[order_[whole.first]].rank;
      for (; i < end; ++i) {
        const DomainGroup& unit = units[i];
        groups_.push_back(unit);
        whole.count += unit.count;
        whole.capacity += unit.capacity;
        asymmetric = asymmetric || places_[order_[unit.first]].rank != rank;
        if (unit.domain == kNoDomain) {
          places_[order_[unit.first]].innermost = self;
        } else {
          domains_[unit.domain].parent = self;
          asymmetric = asymmetric || (domains_[unit.domain].flags & kDomainAsymmetric) != 0;
        }
      }
      domains_.push_back({level, flags_of(level, asymmetric), whole.first, whole.count, kNoDomain,
                          group_first, static_cast<std::uint32_t>(groups_.size()) - group_first});
      merged.push_back(whole);
    }
    units.swap(merged);
  }
  domains_.shrink_to_fit();
  groups_.shrink_to_fit();
}

std::uint32_t Domains::local_group(const Domain& domain, std::uint32_t core) const noexcept {
  const std::span<const DomainGroup> parts = groups(domain);
  const std::uint32_t position = places_[core].position;
  // Groups lie in order of positions: the last one that does not begin behind the core has it.
  const auto behind = std::partition_point(
      parts.begin(), parts.end(), [&](const DomainGroup& g) { return g.first <= position; });
  return static_cast<std::uint32_t>(behind - parts.begin()) - 1;
}

DomainLevel Domains::level_between(std::uint32_t a, std::uint32_t b) const noexcept {
  const CorePlace& x = places_[a];
  const CorePlace& y = places_[b];
  if (x.sibling == y.sibling) return DomainLevel::smt;
  if (x.cluster == y.cluster) return DomainLevel::mc;
  if (x.node == y.node) return DomainLevel::numa;
  return DomainLevel::sys;
}

std::size_t Domains::bytes() const noexcept {
  return places_.capacity() * sizeof(CorePlace) + order_.capacity() * sizeof(std::uint32_t) +
         domains_.capacity() * sizeof(Domain) + groups_.capacity() * sizeof(DomainGroup);
}

}  // namespace paceline::core::policy
