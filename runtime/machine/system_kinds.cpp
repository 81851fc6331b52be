// SPDX-License-Identifier: BSL-1.0
// What the files of Linux below /sys/devices tell about kinds of cores.
#include <algorithm>
#include <charconv>
#include <fstream>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

constexpr unsigned kMostCpu = 1u << 20;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::uint64_t> parse(std::string_view text, int base) {
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || at == text.data()) return std::nullopt;
  return value;
}

std::optional<unsigned> number_in(const std::string& path, std::uint64_t divisor = 1) {
  const auto value = parse(first_line(path), 10);
  if (!value || *value / divisor == 0 || *value / divisor > 1'000'000) return std::nullopt;
  return static_cast<unsigned>(*value / divisor);
}

/// "0-3,8,10-11"; what is not understood ends the list.
std::vector<unsigned> list_in(const std::string& path) {
  const std::string line = first_line(path);
  std::string_view rest = line;
  std::vector<unsigned> cpus;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view range = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const std::size_t dash = range.find('-');
    const auto first = parse(range.substr(0, dash), 10);
    const auto last = dash == std::string_view::npos ? first : parse(range.substr(dash + 1), 10);
    if (!first || !last || *last > kMostCpu || *first > *last) break;
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu) {
      cpus.push_back(static_cast<unsigned>(cpu));
    }
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

KindClue clue_of(const std::string& folder) {
  KindClue clue;
  clue.capacity = number_in(folder + "cpu_capacity");
  // Implementer and part number: which design it is, without variant and revision.
  if (const auto midr = parse(first_line(folder + "regs/identification/midr_el1"), 16)) {
    clue.model = fmt::format("{:#x}", *midr & 0xff00'fff0u);
  }
  clue.clock_max = number_in(folder + "cpufreq/cpuinfo_max_freq", 1000);
  clue.clock_base = number_in(folder + "cpufreq/base_frequency", 1000);
  if (!clue.clock_base) clue.clock_base = number_in(folder + "acpi_cppc/nominal_freq");
  return clue;
}

}  // namespace

std::vector<KindClue> system_clues(const std::string& root, const std::vector<unsigned>& cpus) {
  const std::string devices = root + "/sys/devices/";
  // The kernel's own division of Intel hybrids: one device of counters for each kind.
  std::vector<std::pair<std::string, std::vector<unsigned>>> types;
  for (const auto& [file, type] :
       {std::pair("cpu_core", "IntelCore"), std::pair("cpu_atom", "IntelAtom"),
        std::pair("cpu_lowpower", "IntelLowPower")}) {
    types.emplace_back(type, list_in(devices + file + "/cpus"));
  }
  std::vector<KindClue> clues;
  for (const unsigned cpu : cpus) {
    KindClue clue = clue_of(fmt::format("{}system/cpu/cpu{}/", devices, cpu));
    for (const auto& [type, members] : types) {
      if (std::binary_search(members.begin(), members.end(), cpu)) clue.type = type;
    }
    const auto key = [](const KindClue& c) {
      return std::tie(c.type, c.model, c.capacity, c.clock_max, c.clock_base);
    };
    auto same = std::find_if(clues.begin(), clues.end(),
                             [&](const KindClue& known) { return key(known) == key(clue); });
    if (same == clues.end()) same = clues.insert(same, std::move(clue));
    same->cpus.push_back(cpu);
  }
  return clues;
}

}  // namespace paceline::core::machine
