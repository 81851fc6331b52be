// SPDX-License-Identifier: BSL-1.0
// Sketches of machines by hwloc: this one, that of an XML file, that of a synthetic text.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <system_error>

#include <hwloc.h>
#include <hwloc/cpukinds.h>
#include <hwloc/distances.h>
#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

constexpr std::size_t kMaxFile = std::size_t{64} << 20;

using Topology =
    std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, void (*)(hwloc_topology_t)>;

/// With CPUs that we may not use: they are reported, not forgotten.
Topology begin() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw std::bad_alloc();
  Topology topology(raw, hwloc_topology_destroy);
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return topology;
}

std::vector<unsigned> numbers_of(hwloc_const_bitmap_t set) {
  std::vector<unsigned> numbers;
  if (set == nullptr || hwloc_bitmap_weight(set) < 0) return numbers;  // endless: says nothing
  for (int at = hwloc_bitmap_first(set); at >= 0; at = hwloc_bitmap_next(set, at)) {
    numbers.push_back(static_cast<unsigned>(at));
  }
  return numbers;
}

std::vector<unsigned> without(const std::vector<unsigned>& all, const std::vector<unsigned>& some) {
  std::vector<unsigned> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(rest));
  return rest;
}

/// Dense numbers for objects, in the order in which they are met.
class Numbering {
 public:
  unsigned of(hwloc_obj_t object) {
    return numbers_.emplace(object, static_cast<unsigned>(numbers_.size())).first->second;
  }

 private:
  std::map<hwloc_obj_t, unsigned> numbers_;
};

struct Numberings {
  Numbering physical, near, cache, die, package;
};

/// Where a processor stands. What is missing is taken from the next thing around it.
SketchedCpu place_of(hwloc_obj_t pu, Numberings& number, const std::vector<topology::node>& nodes) {
  hwloc_obj_t core = pu, near = nullptr, cache = nullptr, die = nullptr, package = nullptr;
  hwloc_obj_t root = pu;
  for (hwloc_obj_t at = pu; at != nullptr; at = at->parent) {
    root = at;
    if (at->type == HWLOC_OBJ_CORE) core = at;
    if (at->type == HWLOC_OBJ_DIE) die = at;
    if (at->type == HWLOC_OBJ_PACKAGE) package = at;
    if (hwloc_obj_type_is_dcache(at->type)) {
      // The nearest cache that is not the core's own.
      if (near == nullptr && !hwloc_bitmap_isequal(at->cpuset, core->cpuset)) near = at;
      cache = at;
    }
  }
  if (package == nullptr) package = root;
  if (die == nullptr) die = package;
  // A cache of one core alone, where no cache is shared, gathers nothing: that is a cluster of one
  // all the same. No cache at all: what shares the die.
  if (cache == nullptr) cache = die;
  SketchedCpu cpu;
  cpu.cpu = pu->os_index;
  cpu.physical = number.physical.of(core);
  cpu.near_is_last = near == nullptr || near == cache;
  if (!cpu.near_is_last) cpu.near = number.near.of(near);
  cpu.cache = number.cache.of(cache);
  cpu.die = number.die.of(die);
  cpu.package = number.package.of(package);
  const int node = pu->nodeset != nullptr ? hwloc_bitmap_first(pu->nodeset) : -1;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (node >= 0 && nodes[i].number == static_cast<unsigned>(node)) {
      cpu.node = static_cast<unsigned>(i);
    }
  }
  return cpu;
}

std::optional<unsigned> number(const char* text) {
  unsigned value = 0;
  const char* const end = text + std::char_traits<char>::length(text);
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc() && at == end && value != 0 ? std::optional(value) : std::nullopt;
}

/// The one place that knows how hwloc gives the facts about a kind: 2.x, as count and array.
std::vector<KindClue> clues_of(hwloc_topology_t topology, const std::vector<unsigned>& usable) {
  std::vector<KindClue> clues;
  const int count = hwloc_cpukinds_get_nr(topology, 0);
  const std::unique_ptr<hwloc_bitmap_s, void (*)(hwloc_bitmap_t)> set(hwloc_bitmap_alloc(),
                                                                      hwloc_bitmap_free);
  if (set == nullptr) throw std::bad_alloc();
  for (int i = 0; i < count; ++i) {
    KindClue clue;
    unsigned facts = 0;
    hwloc_info_s* fact = nullptr;
    if (hwloc_cpukinds_get_info(topology, static_cast<unsigned>(i), set.get(), &clue.efficiency,
                                &facts, &fact, 0) != 0) {
      continue;
    }
    const std::vector<unsigned> members = numbers_of(set.get());
    std::set_intersection(members.begin(), members.end(), usable.begin(), usable.end(),
                          std::back_inserter(clue.cpus));
    if (clue.cpus.empty()) continue;
    for (unsigned f = 0; f < facts; ++f) {
      const std::string_view name = fact[f].name;
      if (name == "CoreType") clue.type = fact[f].value;
      if (name == "CPUPart" || name == "CPUModelNumber") clue.model = fact[f].value;
      if (name == "LinuxCapacity") clue.capacity = number(fact[f].value);
      if (name == "FrequencyMaxMHz") clue.clock_max = number(fact[f].value);
      if (name == "FrequencyBaseMHz") clue.clock_base = number(fact[f].value);
    }
    clues.push_back(std::move(clue));
  }
  return clues;
}

std::vector<topology::node> nodes_of(hwloc_topology_t topology) {
  std::vector<topology::node> nodes;
  for (hwloc_obj_t at = nullptr;
       (at = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, at)) != nullptr;) {
    const std::uint64_t bytes = at->attr != nullptr ? at->attr->numanode.local_memory : 0;
    nodes.push_back({.number = at->os_index, .bytes = bytes});
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return nodes;
}

/// By hwloc's matrix of memory latencies, if there is one for just these nodes.
std::vector<std::uint64_t> latencies_of(hwloc_topology_t topology,
                                        const std::vector<topology::node>& nodes) {
  unsigned count = 1;
  hwloc_distances_s* found = nullptr;
  if (hwloc_distances_get_by_type(topology, HWLOC_OBJ_NUMANODE, &count, &found,
                                  HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) != 0 ||
      count == 0 || found == nullptr) {
    return {};
  }
  const std::unique_ptr<hwloc_distances_s, std::function<void(hwloc_distances_s*)>> matrix(
      found, [topology](hwloc_distances_s* d) { hwloc_distances_release(topology, d); });
  std::vector<std::uint64_t> latency(nodes.size() * nodes.size());
  if (matrix->nbobjs != nodes.size()) return {};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (matrix->objs[i] == nullptr) return {};
  }
  const auto index = [&](unsigned i) {
    const auto at = std::find_if(nodes.begin(), nodes.end(), [&](const topology::node& node) {
      return node.number == matrix->objs[i]->os_index;
    });
    return static_cast<std::size_t>(at - nodes.begin());
  };
  for (unsigned i = 0; i < nodes.size(); ++i) {
    for (unsigned j = 0; j < nodes.size(); ++j) {
      const std::size_t row = index(i), column = index(j);
      if (row == nodes.size() || column == nodes.size()) return {};
      latency[row * nodes.size() + column] = matrix->values[i * nodes.size() + j];
    }
  }
  return latency;
}

Sketch sketch_of(hwloc_topology_t topology) {
  Sketch sketch;
  const auto all = numbers_of(hwloc_topology_get_complete_cpuset(topology));
  const auto online = numbers_of(hwloc_topology_get_topology_cpuset(topology));
  const auto allowed = numbers_of(hwloc_topology_get_allowed_cpuset(topology));
  sketch.offline = without(all, online);
  sketch.forbidden = without(online, allowed);
  const auto usable = without(online, sketch.forbidden);
  sketch.nodes = nodes_of(topology);
  if (sketch.nodes.empty()) sketch.nodes.emplace_back();
  Numberings numberings;
  for (const unsigned cpu : usable) {
    const hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(topology, cpu);
    if (pu != nullptr) sketch.cpus.push_back(place_of(pu, numberings, sketch.nodes));
  }
  sketch.clues = clues_of(topology, usable);
  if (!sketch.clues.empty()) sketch.kinds_from = topology::origin::library;
  sketch.latencies = latencies_of(topology, sketch.nodes);
  return sketch;
}

std::string read_file(const std::string& path) {
  const auto refuse = [&](int error) {
    throw std::system_error(
        error, std::generic_category(),
        fmt::format("topology::from_xml: cannot read '{}'; give a file made by `lstopo FILE.xml`",
                    path));
  };
  // Opening a pipe waits for somebody to write, reading a device for ever. What is not there, and a
  // folder, fails by itself below.
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  if (std::filesystem::is_other(status)) {
    throw std::invalid_argument(fmt::format(
        "topology::from_xml: '{}' is no regular file but a pipe, socket or device; give "
        "a file made by `lstopo FILE.xml`",
        path));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(errno != 0 ? errno : ENOENT);
  std::string text;
  char block[1 << 16];
  while (file.read(block, sizeof block), file.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMaxFile) {
      throw std::invalid_argument(fmt::format(
          "topology::from_xml: '{}' is larger than 64 MiB, which no machine needs; give a file "
          "made by `lstopo FILE.xml`",
          path));
    }
  }
  if (file.bad() || (!file.eof() && file.fail())) refuse(EIO);
  return text;
}

}  // namespace

Sketch sketch_this_machine() {
  const Topology topology = begin();
  if (hwloc_topology_load(topology.get()) != 0) {
    throw std::runtime_error(
        fmt::format("topology::detect: hwloc cannot read this machine ({}); unset the HWLOC_* "
                    "variables, see whether `lstopo` works, or give runtime_options.topology",
                    std::generic_category().message(errno)));
  }
  Sketch sketch = sketch_of(topology.get());
  sketch.this_machine = hwloc_topology_is_thissystem(topology.get()) != 0;
  sketch.description = sketch.this_machine ? "this machine" : "HWLOC_* variables";
  return sketch;
}

Sketch sketch_from_xml(const std::string& path) {
  const std::string text = read_file(path);
  check_xml(path, text);
  const Topology topology = begin();
  // The length counts the terminating zero.
  if (hwloc_topology_set_xmlbuffer(topology.get(), text.c_str(),
                                   static_cast<int>(text.size()) + 1) != 0 ||
      hwloc_topology_load(topology.get()) != 0) {
    throw std::invalid_argument(
        fmt::format("topology::from_xml: '{}' is not a machine that hwloc {} understands; write it "
                    "again with `lstopo --of xml FILE.xml` of hwloc 2",
                    path, HWLOC_VERSION));
  }
  Sketch sketch = sketch_of(topology.get());
  sketch.description = path;
  return sketch;
}

Sketch sketch_from_hwloc_text(std::string_view text) {
  const std::string whole(text);
  const Topology topology = begin();
  if (hwloc_topology_set_synthetic(topology.get(), whole.c_str()) != 0 ||
      hwloc_topology_load(topology.get()) != 0) {
    throw std::invalid_argument(
        fmt::format("topology::synthetic: '{}' is neither like \"4P+4E\" or \"2x20x2\" nor an "
                    "hwloc description like \"package:2 l3:4 core:8 pu:2\"",
                    whole));
  }
  Sketch sketch = sketch_of(topology.get());
  sketch.description = whole;
  return sketch;
}

}  // namespace paceline::core::machine
