// SPDX-License-Identifier: BSL-1.0
// topology: what cores a machine has, how fast they are and how near each other; affinity: a set
// of cores. Values: cheap to copy, never changed after they were made, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

namespace detail {
struct TopologyData;
struct TopologyAccess;
}  // namespace detail

/// A machine as the runtime understands it.
///
/// A core is one logical processor that the process may use; cores are numbered 0..n-1 without
/// holes, cluster by cluster, and a runtime's worker i runs on core i. A cluster is the set of
/// cores of one kind that share a last-level cache and a memory node. See docs/topology.md.
class topology {
 public:
  /// Where the kinds of cores, or a kind's capacity, come from; best first.
  enum class origin : std::uint8_t {
    configured,  ///< said by the user: a text, or the environment variable PACELINE_KINDS
    library,     ///< reported by hwloc
    system,      ///< read from the operating system's files
    clock,       ///< capacity only: the ratio of the highest clocks
    assumed,     ///< capacity only: half of the next faster kind, for want of a figure
    none,        ///< nothing tells cores apart: all are of one kind
  };

  /// Cores of one make and speed.
  struct kind {
    std::string name;       ///< "P" the fastest, "E" the slowest, "M" between
    unsigned rank = 0;      ///< by capacity, 0 is the fastest; kinds that cannot be told share one
    unsigned capacity = 0;  ///< of one of its cores relative to the machine's fastest, 1..1024
    origin capacity_from = origin::none;
    std::size_t cores = 0;
  };

  struct cluster {
    unsigned kind = 0;      ///< index into kinds()
    unsigned node = 0;      ///< index into nodes()
    unsigned die = 0;       ///< 0..; dies of different packages have different numbers
    std::size_t first = 0;  ///< its cores are first..first+count-1
    std::size_t count = 0;
  };

  struct core {
    unsigned cpu = 0;         ///< the system's number; may be sparse
    unsigned cluster = 0;     ///< index into clusters()
    std::size_t sibling = 0;  ///< the first core of the same physical core (SMT); itself without
  };

  /// A memory node (NUMA) that holds cores.
  struct node {
    unsigned number = 0;      ///< the system's; may be sparse
    std::uint64_t bytes = 0;  ///< of memory; 0: not known
    std::size_t cores = 0;
  };

  /// This machine, as far as the process may use it (affinity mask, cgroup). Kinds come from the
  /// environment variable PACELINE_KINDS ("0-3=1024;4-7=400": CPUs and their capacity), else
  /// from hwloc, else from the system's files; else all cores are alike. Takes some milliseconds
  /// the first time. Throws std::runtime_error if hwloc cannot read the machine,
  /// std::invalid_argument if PACELINE_KINDS is not understood.
  static topology detect();

  /// The machine of an hwloc XML file (`lstopo FILE.xml`), version 2, at most 64 MiB and 16,384
  /// processors. Throws std::system_error if the file cannot be read, std::invalid_argument if it
  /// does not describe a machine; both name the file and what to do. Blocks on the file.
  static topology from_xml(const std::string& path);

  /// A machine from a text, either of this form, without blanks:
  ///
  ///     MACHINE = [ PACKAGES "x" ] GROUP { "+" GROUP }      "4P+4E"  "2x(2*4P+2E)"
  ///             | CORES | PACKAGES "x" CORES [ "x" THREADS ]   "8"  "2x20"  "2x20x2"
  ///     GROUP   = [ CLUSTERS "*" ] CORES KIND [ "@" CAPACITY ] [ ":" THREADS ]   "2*5P"  "6P:2"
  ///     KIND    = "P" | "M" | "E" | "L"
  ///
  /// with more than one group behind PACKAGES in parentheses; or an hwloc synthetic description
  /// ("package:2 l3:12 core:8 pu:2"), whose cores are of one kind. Each group has caches of its
  /// own, one for each cluster; each package has a memory node. Without "@" a P has capacity 1024,
  /// an M 717, an E 410, an L 307. 1..16,384 processors in all. Throws std::invalid_argument with
  /// the place of the mistake.
  static topology synthetic(std::string_view text);

  /// synthetic(text), or from_xml(text) if that is how the text ends (".xml") or a file has that
  /// name. Throws as these do.
  static topology from_file_or_text(const std::string& text);

  std::span<const core> cores() const noexcept;
  std::span<const cluster> clusters() const noexcept;
  /// By rank, then by the lowest CPU number.
  std::span<const kind> kinds() const noexcept;
  std::span<const node> nodes() const noexcept;

  /// How far apart two cores are: 0 itself, 1 the same physical core, 2 a nearer cache shared, 3
  /// the last-level cache, 4 the same package and memory node, then more with each step of the
  /// machine's memory distances. Indices of cores(); throws std::out_of_range.
  unsigned distance(std::size_t a, std::size_t b) const;

  /// CPUs that exist but are switched off, ascending.
  std::span<const unsigned> offline_cpus() const noexcept;
  /// CPUs that work but that this process may not use (affinity mask, cgroup), ascending.
  std::span<const unsigned> forbidden_cpus() const noexcept;

  /// Where kinds() come from.
  origin kinds_from() const noexcept;
  /// Does it describe the machine that the process runs on? Then workers are bound to its cores;
  /// else they are virtual ones.
  bool is_this_machine() const noexcept;
  /// What it was made from: "this machine", a file's name or a text.
  std::string_view description() const noexcept;

  /// What was understood, as a table of lines.
  std::string to_table() const;
  /// The same as a picture, an SVG document.
  std::string to_svg() const;

 private:
  friend struct detail::TopologyAccess;
  explicit topology(std::shared_ptr<const detail::TopologyData> data) noexcept;

  std::shared_ptr<const detail::TopologyData> data_;
};

/// Name of an origin as written in tables, e.g. "configured".
std::string_view to_string(topology::origin from) noexcept;

/// A set of cores, by their index in a topology, which is the index of their worker; never empty.
class affinity {
 public:
  /// These cores; naming one twice is naming it once. Throws std::invalid_argument if there is none
  /// or an index is 16,384 or more.
  affinity(std::initializer_list<std::size_t> cores);
  explicit affinity(std::span<const std::size_t> cores);

  /// All cores of a cluster, of a kind, of a memory node. Throws std::out_of_range.
  static affinity of_cluster(const topology& machine, std::size_t cluster);
  static affinity of_kind(const topology& machine, std::size_t kind);
  static affinity of_node(const topology& machine, std::size_t node);

  bool contains(std::size_t core) const noexcept;
  /// Ascending.
  std::span<const std::size_t> cores() const noexcept { return cores_; }

  /// The cores in both. Throws std::invalid_argument if there is none.
  affinity operator&(const affinity& other) const;
  friend bool operator==(const affinity&, const affinity&) = default;

 private:
  std::vector<std::size_t> cores_;
};

}  // namespace paceline
