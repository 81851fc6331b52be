// SPDX-License-Identifier: BSL-1.0
// What a topology holds, and the sketch that every source of one (hwloc, a text, the bare mask)
// draws first. Start-up only, any thread.
// It must never name hwloc: the rest of the room stays free of it.
// Proof: tests/unit/machine/topology_*_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <paceline/topology.hpp>

namespace paceline::detail {

struct TopologyData {
  std::vector<topology::core> cores;
  std::vector<topology::cluster> clusters;
  std::vector<topology::kind> kinds;
  std::vector<topology::node> nodes;
  std::vector<unsigned> near;        // of each core: the nearer cache it shares
  std::vector<unsigned> cache;       // of each core: its last-level cache
  std::vector<unsigned> package;     // of each core
  std::vector<unsigned> node_steps;  // of each two nodes: 0 itself, 1 the nearest others, ...
  std::vector<unsigned> offline;
  std::vector<unsigned> forbidden;
  topology::origin kinds_from = topology::origin::none;
  bool this_machine = false;
  std::string description;
};

struct TopologyAccess {
  static topology make(TopologyData data) {
    return topology(std::make_shared<const TopologyData>(std::move(data)));
  }
  static const TopologyData& look(const topology& machine) noexcept { return *machine.data_; }
};

}  // namespace paceline::detail

namespace paceline::core::machine {

/// More processors than this are refused: indices of cores fit 16 bits with room to spare, and a
/// text cannot ask for all memory.
inline constexpr std::size_t kMaxCores = 16'384;

/// What is known about some CPUs of one make. Fields may be empty: not known.
struct KindClue {
  std::vector<unsigned> cpus;  // ascending
  std::string name;            // said by the user
  std::string type;            // e.g. "IntelCore"
  std::string model;           // e.g. an Arm part number
  std::optional<unsigned> capacity;
  std::optional<unsigned> clock_max;   // MHz
  std::optional<unsigned> clock_base;  // MHz
  int efficiency = -1;                 // higher is faster, within one list of clues; -1: unranked
};

/// Kinds of cores, fastest first, and which CPUs are of each.
struct SettledKinds {
  std::vector<topology::kind> kinds;
  std::vector<std::vector<unsigned>> cpus;  // parallel to kinds, ascending
};

/// Merges clues that differ by jitter only, ranks what is left and gives it capacities. Pure; the
/// rules are in core_kinds.cpp.
SettledKinds settle_kinds(std::vector<KindClue> clues);

/// Clues of the operating system's files below `root` ("" is the machine itself) for these CPUs,
/// those that cannot be told apart together; empty if all are alike. Linux.
std::vector<KindClue> system_clues(const std::string& root, const std::vector<unsigned>& cpus);
/// Fills what the clues lack from the system's: CPUs of one clue with different models part.
std::vector<KindClue> complete_clues(std::vector<KindClue> clues,
                                     const std::vector<KindClue>& system);

/// "0-3,8=1024;4-7=400". Throws std::invalid_argument.
std::vector<KindClue> parse_kind_list(std::string_view text);

/// One processor as its source describes it; ids are dense per field and mean nothing else.
struct SketchedCpu {
  unsigned cpu = 0;
  unsigned physical = 0;
  unsigned near = 0;
  unsigned cache = 0;
  unsigned die = 0;
  unsigned package = 0;
  unsigned node = 0;         // index into Sketch::nodes
  bool near_is_last = true;  // no cache between its own and the last level; `near` says nothing
};

struct Sketch {
  std::vector<SketchedCpu> cpus;  // usable
  std::vector<KindClue> clues;
  std::vector<topology::node> nodes;
  std::vector<std::uint64_t> latencies;  // of each two nodes; empty: not known
  std::vector<unsigned> offline;
  std::vector<unsigned> forbidden;
  topology::origin kinds_from = topology::origin::none;
  bool this_machine = false;
  std::string description;
};

/// Throws std::invalid_argument if the sketch has no CPU, too many, or one twice.
topology assemble(Sketch sketch);

/// By hwloc. Errors as topology::detect, ::from_xml, ::synthetic; no clues of other sources.
Sketch sketch_this_machine();
Sketch sketch_from_xml(const std::string& path);
Sketch sketch_from_hwloc_text(std::string_view text);
/// Our own short form. Throws std::invalid_argument.
Sketch sketch_from_text(std::string_view text);
/// Is it meant as our own short form?
bool is_short_text(std::string_view text) noexcept;

/// Throws std::invalid_argument, naming the file, if `text` is not what hwloc may be given: no XML,
/// entities, deep nesting, numbers beyond any machine.
void check_xml(const std::string& path, std::string_view text);

/// Leaves only CPUs of `usable`; those it does not know are added as cores far from all others.
void restrict_to(Sketch& sketch, const std::vector<int>& usable);

/// All of `cpus` alike, for where detection fails.
topology homogeneous(const std::vector<int>& cpus);

}  // namespace paceline::core::machine
