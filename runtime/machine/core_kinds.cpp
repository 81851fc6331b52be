// SPDX-License-Identifier: BSL-1.0
// Kinds of cores: from what sources say about CPUs to few kinds, ranked, with capacities. Pure.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

constexpr unsigned kFullCapacity = 1024;
constexpr unsigned kMaxKinds = 64;
constexpr unsigned kMaxCpu = 1u << 20;

// Cores of one type whose highest clocks or capacities differ by less are one kind: favoured turbo
// cores, and the few parts per thousand by which firmware tells one core from the next.
constexpr unsigned kJitterPercent = 10;

/// Types from fast to slow, as hwloc names them.
constexpr std::array<std::string_view, 5> kTypes = {"IntelCore", "AMDPerformance", "IntelAtom",
                                                    "AMDEfficiency", "IntelLowPower"};

int rank_of_type(const std::string& type) noexcept {
  const auto at = std::find(kTypes.begin(), kTypes.end(), type);
  return static_cast<int>(at - kTypes.begin());
}

/// What a group of merged clues spans.
struct Span {
  unsigned least = std::numeric_limits<unsigned>::max();
  unsigned most = 0;
  bool whole = true;  // every member knows the figure

  void add(const std::optional<unsigned>& figure) noexcept {
    whole = whole && figure.has_value();
    if (!figure) return;
    least = std::min(least, *figure);
    most = std::max(most, *figure);
  }
  bool within_jitter() const noexcept {
    return std::uint64_t{most - least} * 100 < std::uint64_t{most} * kJitterPercent;
  }
};

struct Merged {
  KindClue clue;  // of the first member; cpus of all
  Span capacity, clock_max, clock_base;
  int efficiency = -1;

  explicit Merged(KindClue first) : clue(std::move(first)), efficiency(clue.efficiency) {
    span(clue);
  }
  void span(const KindClue& member) {
    capacity.add(member.capacity);
    clock_max.add(member.clock_max);
    clock_base.add(member.clock_base);
  }
  void take(KindClue member) {
    span(member);
    clue.cpus.insert(clue.cpus.end(), member.cpus.begin(), member.cpus.end());
    std::sort(clue.cpus.begin(), clue.cpus.end());
    efficiency = std::max(efficiency, member.efficiency);
  }
};

/// Do the figures of both say "alike but for jitter"? False too if neither knows any.
bool alike(const Merged& group, const KindClue& clue) {
  Merged both = group;
  both.span(clue);
  if (both.capacity.whole) return both.capacity.within_jitter();
  if (!both.clock_max.whole) return false;
  const bool same_base = !both.clock_base.whole || both.clock_base.least == both.clock_base.most;
  return same_base && both.clock_max.within_jitter();
}

/// One kind in spite of what tells them apart? The model decides first, then the type, then the
/// base clock; a capacity alone is believed as it stands.
bool same_kind(const Merged& group, const KindClue& clue) {
  const KindClue& first = group.clue;
  if (first.name != clue.name || first.type != clue.type || first.model != clue.model) return false;
  if (!first.name.empty()) return first.capacity == clue.capacity;
  const bool no_figures = !clue.capacity && !clue.clock_max && !first.capacity && !first.clock_max;
  if (!first.model.empty()) return no_figures || alike(group, clue);
  if (!first.type.empty()) return no_figures || alike(group, clue);
  const bool known_base = first.clock_base && clue.clock_base == first.clock_base;
  if (!known_base && (first.capacity || clue.capacity)) return clue.capacity == first.capacity;
  if (clue.clock_base == first.clock_base) return alike(group, clue);
  return false;
}

std::vector<Merged> merge(std::vector<KindClue> clues) {
  std::erase_if(clues, [](const KindClue& clue) { return clue.cpus.empty(); });
  // Fastest first, so that a group begins with its extreme and jitter cannot add up along a row.
  std::sort(clues.begin(), clues.end(), [](const KindClue& a, const KindClue& b) {
    const auto key = [](const KindClue& c) {
      return std::tuple(~c.capacity.value_or(0), ~c.clock_max.value_or(0), c.cpus.front());
    };
    return key(a) < key(b);
  });
  std::vector<Merged> groups;
  for (KindClue& clue : clues) {
    const auto group = std::find_if(groups.begin(), groups.end(),
                                    [&](const Merged& known) { return same_kind(known, clue); });
    if (group != groups.end()) {
      group->take(std::move(clue));
    } else {
      groups.emplace_back(std::move(clue));
    }
  }
  return groups;
}

template <class Known>
bool all(const std::vector<Merged>& groups, Known&& known) {
  return std::all_of(groups.begin(), groups.end(), known);
}

/// Different figures, so that they rank.
bool distinct_efficiencies(const std::vector<Merged>& groups) {
  for (const Merged& a : groups) {
    if (a.efficiency < 0) return false;
    for (const Merged& b : groups) {
      if (&a != &b && a.efficiency == b.efficiency) return false;
    }
  }
  return true;
}

/// The speeds of the groups, each with what it rests on, fastest first; and `groups` in that order.
std::vector<std::pair<unsigned, topology::origin>> speeds(std::vector<Merged>& groups) {
  using Origin = topology::origin;
  // Fastest first; equals by their lowest CPU.
  const auto sort_by = [&](auto key) {
    std::sort(groups.begin(), groups.end(), [&](const Merged& a, const Merged& b) {
      if (key(a) != key(b)) return key(a) > key(b);
      return a.clue.cpus.front() < b.clue.cpus.front();
    });
  };
  std::vector<std::pair<unsigned, Origin>> found;
  if (groups.size() == 1) return {{kFullCapacity, Origin::none}};
  if (all(groups, [](const Merged& g) { return g.capacity.whole; })) {
    sort_by([](const Merged& g) { return g.capacity.least; });
    for (const Merged& g : groups) {
      found.emplace_back(std::clamp(g.capacity.least, 1u, kFullCapacity), Origin::library);
    }
    return found;
  }
  const auto clock = [](const Merged& g) { return std::max(g.clock_max.least, 1u); };
  const bool clocks = all(groups, [](const Merged& g) { return g.clock_max.whole; });
  const bool types =
      all(groups, [](const Merged& g) { return rank_of_type(g.clue.type) < int{kTypes.size()}; });
  // The order: an efficiency that tells all apart, else types and clocks, else clocks alone.
  const bool ranked = distinct_efficiencies(groups);
  if (ranked) {
    sort_by([](const Merged& g) { return g.efficiency; });
  } else if (types) {
    sort_by([&](const Merged& g) {
      return std::pair(-rank_of_type(g.clue.type), clocks ? clock(g) : 0);
    });
  } else if (clocks) {
    sort_by(clock);
  } else {
    // Different, but nobody can say how: equals.
    return std::vector(groups.size(), std::pair(kFullCapacity, Origin::assumed));
  }
  unsigned above = kFullCapacity;
  for (const Merged& g : groups) {
    const bool first = found.empty();
    std::pair<unsigned, Origin> speed{first ? above : std::max(above / 2, 1u), Origin::assumed};
    if (clocks) {
      const std::uint64_t ratio = std::uint64_t{kFullCapacity} * clock(g) / clock(groups.front());
      // A slower kind with as high a clock does less in each cycle, nobody knows how much.
      if (first || ratio < above) {
        speed = {static_cast<unsigned>(std::clamp<std::uint64_t>(ratio, 1, kFullCapacity)),
                 Origin::clock};
      }
    }
    above = speed.first;
    found.push_back(speed);
  }
  return found;
}

/// "P" the fastest, "E" the slowest, "M" between; a number where a letter is taken.
void name_kinds(std::vector<topology::kind>& kinds) {
  const unsigned last = kinds.empty() ? 0 : kinds.back().rank;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    std::string& name = kinds[i].name;
    if (name.empty()) name = kinds[i].rank == 0 ? "P" : kinds[i].rank == last ? "E" : "M";
    const std::string letter = name;
    const auto taken = [&](const topology::kind& other) {
      return &other < &kinds[i] && other.name == name;
    };
    for (unsigned n = 2; std::any_of(kinds.begin(), kinds.end(), taken); ++n) {
      name = letter + std::to_string(n);
    }
  }
}

}  // namespace

SettledKinds settle_kinds(std::vector<KindClue> clues) {
  std::vector<Merged> groups = merge(std::move(clues));
  SettledKinds settled;
  if (groups.empty()) return settled;
  std::sort(groups.begin(), groups.end(), [](const Merged& a, const Merged& b) {
    return a.clue.cpus.front() < b.clue.cpus.front();
  });
  const auto speed = speeds(groups);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    topology::kind kind;
    kind.name = groups[i].clue.name;
    kind.capacity = speed[i].first;
    kind.capacity_from = speed[i].second;
    kind.cores = groups[i].clue.cpus.size();
    if (i > 0) kind.rank = settled.kinds.back().rank + (speed[i].first < speed[i - 1].first);
    settled.kinds.push_back(std::move(kind));
    settled.cpus.push_back(std::move(groups[i].clue.cpus));
  }
  name_kinds(settled.kinds);
  return settled;
}

std::vector<KindClue> complete_clues(std::vector<KindClue> clues,
                                     const std::vector<KindClue>& system) {
  std::vector<KindClue> parted;
  for (KindClue& clue : clues) {
    std::vector<unsigned> left = std::move(clue.cpus);
    for (const KindClue& other : system) {
      KindClue part = clue;
      part.cpus.clear();
      std::set_intersection(left.begin(), left.end(), other.cpus.begin(), other.cpus.end(),
                            std::back_inserter(part.cpus));
      if (part.cpus.empty()) continue;
      std::vector<unsigned> rest;
      std::set_difference(left.begin(), left.end(), part.cpus.begin(), part.cpus.end(),
                          std::back_inserter(rest));
      left = std::move(rest);
      if (part.model.empty()) part.model = other.model;
      if (part.type.empty()) part.type = other.type;
      if (!part.capacity) part.capacity = other.capacity;
      if (!part.clock_max) part.clock_max = other.clock_max;
      if (!part.clock_base) part.clock_base = other.clock_base;
      parted.push_back(std::move(part));
    }
    clue.cpus = std::move(left);
    if (!clue.cpus.empty()) parted.push_back(std::move(clue));
  }
  return parted;
}

std::vector<KindClue> parse_kind_list(std::string_view text) {
  const std::string_view whole = text;
  const auto refuse = [&](std::string_view why) {
    throw std::invalid_argument(
        fmt::format("PACELINE_KINDS is '{}': {}; it looks like \"0-3=1024;4-7=400\"", whole, why));
  };
  const auto number = [&](std::string_view digits, unsigned most) {
    unsigned value = 0;
    const auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc() || at != digits.data() + digits.size() ||
        value > most) {
      refuse(fmt::format("'{}' is no number up to {}", digits, most));
    }
    return value;
  };
  const auto next = [](std::string_view& rest, char separator) {
    const std::size_t at = rest.find(separator);
    const std::string_view part = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
    return part;
  };
  std::vector<KindClue> clues;
  std::vector<unsigned> seen;
  while (!text.empty()) {
    std::string_view part = next(text, ';');
    std::string_view list = next(part, '=');
    KindClue clue;
    clue.capacity = number(part, kFullCapacity);
    if (*clue.capacity == 0) refuse("a capacity is 1 to 1024");
    while (!list.empty()) {
      std::string_view range = next(list, ',');
      const bool from_to = range.find('-') != std::string_view::npos;
      const unsigned first = number(next(range, '-'), kMaxCpu);
      const unsigned last = from_to ? number(range, kMaxCpu) : first;
      if (last < first) refuse(fmt::format("{} comes before {}", last, first));
      for (unsigned cpu = first; cpu <= last; ++cpu) clue.cpus.push_back(cpu);
    }
    if (clue.cpus.empty()) refuse("a kind has no CPUs");
    std::sort(clue.cpus.begin(), clue.cpus.end());
    seen.insert(seen.end(), clue.cpus.begin(), clue.cpus.end());
    clues.push_back(std::move(clue));
    if (clues.size() > kMaxKinds) refuse(fmt::format("more than {} kinds", kMaxKinds));
  }
  if (clues.empty()) refuse("it is empty");
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) != seen.end()) refuse("a CPU has two kinds");
  return clues;
}

}  // namespace paceline::core::machine
