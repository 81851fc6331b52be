// SPDX-License-Identifier: BSL-1.0
#include <paceline/topology.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/topology_data.hpp"

namespace paceline {

namespace room = core::machine;  // `core` is a member's name below
using room::Sketch;

namespace {

/// This machine as hwloc and the system's files give it. Reading takes milliseconds and the machine
/// does not change under us: once per process. The mask is not part of it.
const Sketch& this_machine() {
  static const Sketch sketch = [] {
    Sketch found = room::sketch_this_machine();
    if (!found.this_machine) return found;
    std::vector<unsigned> cpus;
    cpus.reserve(found.cpus.size());
    for (const auto& cpu : found.cpus) cpus.push_back(cpu.cpu);
    auto system = room::system_clues("", cpus);
    if (!found.clues.empty()) {
      found.clues = room::complete_clues(std::move(found.clues), system);
    } else if (system.size() > 1) {
      found.clues = std::move(system);
      found.kinds_from = topology::origin::system;
    }
    return found;
  }();
  return sketch;
}

/// What detect() found, and all that it depends on.
struct Detected {
  std::vector<int> usable;
  std::optional<std::string> kinds;  // as PACELINE_KINDS has it
  topology machine;
};

topology assemble_detected(const std::vector<int>& usable,
                           const std::optional<std::string>& kinds) {
  Sketch sketch = this_machine();
  if (sketch.this_machine) {
    room::restrict_to(sketch, usable);
    if (kinds) {
      sketch.clues = room::parse_kind_list(*kinds);
      sketch.kinds_from = topology::origin::configured;
    }
  }
  return room::assemble(std::move(sketch));
}

/// hwloc allocates what a text asks for: an upper bound of it first.
void check_size(std::string_view text) {
  std::uint64_t product = 1, sum = 0;
  unsigned depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(') ++depth;
    if (c == ')' && depth > 0) --depth;
    const bool starts =
        c >= '0' && c <= '9' && at > 0 && (text[at - 1] == ':' || text[at - 1] == ' ');
    if (depth != 0 || (at > 0 && !starts) || c < '0' || c > '9') continue;
    std::uint64_t value = 0;
    const auto end = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (end.ec != std::errc() || value > room::kMaxCores) value = room::kMaxCores + 1;
    product = std::min<std::uint64_t>(product * std::max<std::uint64_t>(value, 1), 1u << 30);
    sum += product;
    if (product > room::kMaxCores || sum > 16 * room::kMaxCores) {
      throw std::invalid_argument(
          fmt::format("topology::synthetic: '{}' is larger than {} processors", text.substr(0, 200),
                      room::kMaxCores));
    }
  }
}

}  // namespace

topology::topology(std::shared_ptr<const detail::TopologyData> data) noexcept
    : data_(std::move(data)) {}

topology topology::detect() {
  const std::vector<int> usable = room::usable_cpus();
  std::optional<std::string> kinds;
  if (const char* value = ::secure_getenv("PACELINE_KINDS")) kinds = value;
  // A process starts many runtimes on one machine: what was assembled for the last one is kept.
  static constinit paceline::core::Mutex lock{paceline::core::LockRank::memory};
  static auto& last = *new std::optional<Detected>;  // ends with the process
  {
    const paceline::core::LockGuard guard(lock);
    if (last && last->usable == usable && last->kinds == kinds) {
      return last->machine;
    }
  }
  Detected found{usable, kinds, assemble_detected(usable, kinds)};
  const paceline::core::LockGuard guard(lock);
  return last.emplace(std::move(found)).machine;
}

topology topology::from_xml(const std::string& path) {
  return room::assemble(room::sketch_from_xml(path));
}

topology topology::synthetic(std::string_view text) {
  if (room::is_short_text(text)) {
    return room::assemble(room::sketch_from_text(text));
  }
  check_size(text);
  return room::assemble(room::sketch_from_hwloc_text(text));
}

topology topology::from_file_or_text(const std::string& text) {
  std::error_code ignored;
  const bool file = text.ends_with(".xml") || std::filesystem::is_regular_file(text, ignored);
  return file ? from_xml(text) : synthetic(text);
}

std::span<const topology::core> topology::cores() const noexcept { return data_->cores; }
std::span<const topology::cluster> topology::clusters() const noexcept { return data_->clusters; }
std::span<const topology::kind> topology::kinds() const noexcept { return data_->kinds; }
std::span<const topology::node> topology::nodes() const noexcept { return data_->nodes; }
std::span<const unsigned> topology::offline_cpus() const noexcept { return data_->offline; }
std::span<const unsigned> topology::forbidden_cpus() const noexcept { return data_->forbidden; }
topology::origin topology::kinds_from() const noexcept { return data_->kinds_from; }
bool topology::is_this_machine() const noexcept { return data_->this_machine; }
std::string_view topology::description() const noexcept { return data_->description; }

unsigned topology::distance(std::size_t a, std::size_t b) const {
  const detail::TopologyData& d = *data_;
  const core& one = d.cores.at(a);
  const core& other = d.cores.at(b);
  if (a == b) return 0;
  if (one.sibling == other.sibling) return 1;
  if (d.near[a] == d.near[b]) return d.cache[a] == d.near[a] ? 3 : 2;
  if (d.cache[a] == d.cache[b]) return 3;
  const std::size_t from = d.clusters[one.cluster].node;
  const std::size_t to = d.clusters[other.cluster].node;
  if (from == to) return d.package[a] == d.package[b] ? 4 : 5;
  return 4 + d.node_steps[from * d.nodes.size() + to];
}

std::string_view to_string(topology::origin from) noexcept {
  switch (from) {
    case topology::origin::configured: return "configured";
    case topology::origin::library: return "hwloc";
    case topology::origin::system: return "system";
    case topology::origin::clock: return "clock";
    case topology::origin::assumed: return "assumed";
    case topology::origin::none: return "none";
  }
  return "invalid";
}

}  // namespace paceline
