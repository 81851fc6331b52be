// SPDX-License-Identifier: BSL-1.0
// Builds the tree of domains: once, before scheduling starts, so it may allocate and refuse its
// input.
// Proof: tests/unit/policy/domains_test.cpp.
#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "policy/domains.hpp"

namespace paceline::core::policy {

namespace {

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

}  // namespace paceline::core::policy
