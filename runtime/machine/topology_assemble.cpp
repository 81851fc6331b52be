// SPDX-License-Identifier: BSL-1.0
// From a sketch to a topology: kinds settled, cores ordered cluster by cluster, ids made dense.
#include <algorithm>
#include <iterator>
#include <map>
#include <stdexcept>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

constexpr std::size_t kMaxNodes = 1024;  // steps between them are a matrix

void check_sketch(const Sketch& sketch) {
  if (sketch.cpus.empty()) {
    throw std::invalid_argument(fmt::format(
        "topology: '{}' has no processor that may be used; see its allowed and online processors",
        sketch.description));
  }
  if (sketch.cpus.size() > kMaxCores) {
    throw std::invalid_argument(fmt::format("topology: '{}' has {} processors, the most is {}",
                                            sketch.description, sketch.cpus.size(), kMaxCores));
  }
  if (sketch.nodes.size() > kMaxNodes) {
    throw std::invalid_argument(fmt::format("topology: '{}' has {} memory nodes, the most is {}",
                                            sketch.description, sketch.nodes.size(), kMaxNodes));
  }
}

/// Only usable CPUs, and all of them: what no clue names is a kind of its own.
std::vector<KindClue> clues_for(const Sketch& sketch, const std::vector<unsigned>& cpus) {
  std::vector<KindClue> clues;
  std::vector<unsigned> left = cpus;
  for (KindClue clue : sketch.clues) {
    std::vector<unsigned> members;
    std::set_intersection(left.begin(), left.end(), clue.cpus.begin(), clue.cpus.end(),
                          std::back_inserter(members));
    if (members.empty()) continue;
    std::vector<unsigned> rest;
    std::set_difference(left.begin(), left.end(), members.begin(), members.end(),
                        std::back_inserter(rest));
    left = std::move(rest);
    clue.cpus = std::move(members);
    clues.push_back(std::move(clue));
  }
  if (left.empty()) return clues;
  KindClue unknown;
  if (sketch.kinds_from == topology::origin::configured) unknown.capacity = 1024;
  unknown.cpus = std::move(left);
  clues.push_back(std::move(unknown));
  return clues;
}

/// Numbers 0.. in the order in which values are met.
class Dense {
 public:
  unsigned of(unsigned value) {
    return numbers_.emplace(value, static_cast<unsigned>(numbers_.size())).first->second;
  }

 private:
  std::map<unsigned, unsigned> numbers_;
};

/// How many steps two nodes are apart: by the ranks of the latencies, else by package.
std::vector<unsigned> steps_of(const Sketch& sketch, const std::vector<unsigned>& sketched_node,
                               const std::vector<unsigned>& package_of_node) {
  const std::size_t count = sketched_node.size();
  std::vector<unsigned> steps(count * count, 0);
  const bool known = !sketch.latencies.empty();
  const auto latency = [&](std::size_t i, std::size_t j) {
    const std::size_t all = sketch.nodes.size();
    return std::max(sketch.latencies[sketched_node[i] * all + sketched_node[j]],
                    sketch.latencies[sketched_node[j] * all + sketched_node[i]]);
  };
  std::vector<std::uint64_t> values;
  for (std::size_t i = 0; known && i < count; ++i) {
    for (std::size_t j = 0; j < i; ++j) values.push_back(latency(i, j));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < count; ++j) {
      if (i == j) continue;
      unsigned step = package_of_node[i] == package_of_node[j] ? 1 : 2;
      if (known) {
        const auto at = std::lower_bound(values.begin(), values.end(), latency(i, j));
        step = 1 + static_cast<unsigned>(at - values.begin());
      }
      steps[i * count + j] = step;
    }
  }
  return steps;
}

struct Placed {
  SketchedCpu cpu;
  unsigned kind;
};

}  // namespace

topology assemble(Sketch sketch) {
  check_sketch(sketch);
  std::vector<unsigned> cpus;
  cpus.reserve(sketch.cpus.size());
  for (const SketchedCpu& cpu : sketch.cpus) cpus.push_back(cpu.cpu);
  std::sort(cpus.begin(), cpus.end());
  if (std::adjacent_find(cpus.begin(), cpus.end()) != cpus.end()) {
    throw std::invalid_argument(
        fmt::format("topology: '{}' has a processor twice", sketch.description));
  }
  detail::TopologyData data;
  SettledKinds settled = settle_kinds(clues_for(sketch, cpus));
  std::map<unsigned, unsigned> kind_of;
  for (std::size_t k = 0; k < settled.cpus.size(); ++k) {
    for (const unsigned cpu : settled.cpus[k]) kind_of[cpu] = static_cast<unsigned>(k);
  }
  for (topology::kind& kind : settled.kinds) {
    if (kind.capacity_from == topology::origin::library) kind.capacity_from = sketch.kinds_from;
  }
  data.kinds = std::move(settled.kinds);

  // Clusters, ordered by their lowest CPU.
  using Key = std::tuple<unsigned, unsigned, unsigned>;
  std::map<Key, unsigned> lowest;
  std::vector<Placed> placed;
  const auto key_of = [](const Placed& p) { return Key(p.cpu.cache, p.cpu.node, p.kind); };
  for (const SketchedCpu& cpu : sketch.cpus) {
    placed.push_back({cpu, kind_of.at(cpu.cpu)});
    const auto [at, fresh] = lowest.emplace(key_of(placed.back()), cpu.cpu);
    if (!fresh) at->second = std::min(at->second, cpu.cpu);
  }
  std::sort(placed.begin(), placed.end(), [&](const Placed& a, const Placed& b) {
    return std::pair(lowest.at(key_of(a)), a.cpu.cpu) < std::pair(lowest.at(key_of(b)), b.cpu.cpu);
  });

  Dense nodes, dies, packages, caches, nears;
  std::map<unsigned, std::size_t> first_of_physical;
  std::vector<unsigned> sketched_node, package_of_node;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const SketchedCpu& cpu = placed[i].cpu;
    const unsigned node = nodes.of(cpu.node);
    const unsigned package = packages.of(cpu.package);
    if (node == data.nodes.size()) {
      data.nodes.push_back(sketch.nodes.at(cpu.node));
      sketched_node.push_back(cpu.node);
      package_of_node.push_back(package);
    }
    ++data.nodes[node].cores;
    if (i == 0 || key_of(placed[i - 1]) != key_of(placed[i])) {
      data.clusters.push_back(
          {.kind = placed[i].kind, .node = node, .die = dies.of(cpu.die), .first = i});
    }
    ++data.clusters.back().count;
    const std::size_t sibling = first_of_physical.emplace(cpu.physical, i).first->second;
    data.cores.push_back({.cpu = cpu.cpu,
                          .cluster = static_cast<unsigned>(data.clusters.size() - 1),
                          .sibling = sibling});
    // Nearer caches and last-level ones share one numbering, so that equal ids mean one cache.
    data.cache.push_back(caches.of(cpu.cache));
    data.near.push_back(cpu.near_is_last ? data.cache.back()
                                         : static_cast<unsigned>(kMaxCores) + nears.of(cpu.near));
    data.package.push_back(package);
  }
  data.node_steps = steps_of(sketch, sketched_node, package_of_node);
  data.offline = std::move(sketch.offline);
  data.forbidden = std::move(sketch.forbidden);
  data.kinds_from = sketch.kinds_from;
  data.this_machine = sketch.this_machine;
  data.description = std::move(sketch.description);
  return detail::TopologyAccess::make(std::move(data));
}

void restrict_to(Sketch& sketch, const std::vector<int>& usable) {
  std::vector<unsigned> wanted;
  wanted.reserve(usable.size());
  for (const int cpu : usable) wanted.push_back(static_cast<unsigned>(cpu));
  const auto allowed = [&](unsigned cpu) {
    return std::binary_search(wanted.begin(), wanted.end(), cpu);
  };
  std::vector<SketchedCpu> kept;
  std::vector<unsigned> known;
  SketchedCpu fresh;
  for (const SketchedCpu& cpu : sketch.cpus) {
    known.push_back(cpu.cpu);
    fresh.physical = std::max(fresh.physical, cpu.physical + 1);
    fresh.cache = std::max(fresh.cache, cpu.cache + 1);
    fresh.die = std::max(fresh.die, cpu.die);
    fresh.package = std::max(fresh.package, cpu.package);
    if (allowed(cpu.cpu)) {
      kept.push_back(cpu);
    } else {
      sketch.forbidden.push_back(cpu.cpu);
    }
  }
  std::sort(known.begin(), known.end());
  for (const unsigned cpu : wanted) {
    if (std::binary_search(known.begin(), known.end(), cpu)) continue;
    std::erase(sketch.offline, cpu);
    std::erase(sketch.forbidden, cpu);
    fresh.cpu = cpu;
    fresh.near_is_last = true;
    kept.push_back(fresh);
    ++fresh.physical;
  }
  std::sort(sketch.forbidden.begin(), sketch.forbidden.end());
  sketch.cpus = std::move(kept);
}

topology homogeneous(const std::vector<int>& cpus) {
  Sketch sketch;
  sketch.nodes.emplace_back();
  sketch.this_machine = true;
  sketch.description = "this machine, its cores taken as alike";
  restrict_to(sketch, cpus);
  return assemble(std::move(sketch));
}

}  // namespace paceline::core::machine
