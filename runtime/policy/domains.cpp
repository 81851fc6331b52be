// SPDX-License-Identifier: BSL-1.0
#include "policy/domains.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

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
