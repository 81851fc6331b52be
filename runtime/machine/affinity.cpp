// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <iterator>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline {

namespace {

std::vector<std::size_t> range(std::size_t first, std::size_t count) {
  std::vector<std::size_t> cores(count);
  for (std::size_t i = 0; i < count; ++i) cores[i] = first + i;
  return cores;
}

/// The cores of all clusters for which `wanted(cluster)`.
template <class Wanted>
std::vector<std::size_t> cores_of(const topology& machine, Wanted&& wanted) {
  std::vector<std::size_t> cores;
  for (const topology::cluster& cluster : machine.clusters()) {
    if (!wanted(cluster)) continue;
    for (const std::size_t core : range(cluster.first, cluster.count)) cores.push_back(core);
  }
  return cores;
}

void require_index(std::size_t index, std::size_t size, const char* what) {
  if (index < size) return;
  throw std::out_of_range(
      fmt::format("affinity: there is no {} {}, the machine has {}", what, index, size));
}

}  // namespace

affinity::affinity(std::initializer_list<std::size_t> cores)
    : affinity(std::span<const std::size_t>(cores.begin(), cores.size())) {}

affinity::affinity(std::span<const std::size_t> cores) : cores_(cores.begin(), cores.end()) {
  std::sort(cores_.begin(), cores_.end());
  cores_.erase(std::unique(cores_.begin(), cores_.end()), cores_.end());
  if (cores_.empty()) {
    throw std::invalid_argument("affinity: no cores; name at least one, or leave affinity out");
  }
  if (cores_.back() >= core::machine::kMaxCores) {
    throw std::invalid_argument(fmt::format("affinity: core {} is out of range, 0 to {}",
                                            cores_.back(), core::machine::kMaxCores - 1));
  }
}

affinity affinity::of_cluster(const topology& machine, std::size_t cluster) {
  require_index(cluster, machine.clusters().size(), "cluster");
  const topology::cluster& chosen = machine.clusters()[cluster];
  return affinity(std::span<const std::size_t>(range(chosen.first, chosen.count)));
}

affinity affinity::of_kind(const topology& machine, std::size_t kind) {
  require_index(kind, machine.kinds().size(), "kind");
  return affinity(std::span<const std::size_t>(
      cores_of(machine, [&](const topology::cluster& c) { return c.kind == kind; })));
}

affinity affinity::of_node(const topology& machine, std::size_t node) {
  require_index(node, machine.nodes().size(), "memory node");
  return affinity(std::span<const std::size_t>(
      cores_of(machine, [&](const topology::cluster& c) { return c.node == node; })));
}

bool affinity::contains(std::size_t core) const noexcept {
  return std::binary_search(cores_.begin(), cores_.end(), core);
}

affinity affinity::operator&(const affinity& other) const {
  std::vector<std::size_t> both;
  std::set_intersection(cores_.begin(), cores_.end(), other.cores_.begin(), other.cores_.end(),
                        std::back_inserter(both));
  if (both.empty()) {
    throw std::invalid_argument("affinity: the two sets have no core in common");
  }
  return affinity(std::span<const std::size_t>(both));
}

}  // namespace paceline
