// SPDX-License-Identifier: BSL-1.0
// A topology for people: a table of lines, and a picture.
#include <algorithm>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline {

namespace {

std::size_t physical_cores(const topology& machine) {
  const auto cores = machine.cores();
  std::size_t count = 0;
  for (std::size_t i = 0; i < cores.size(); ++i) count += cores[i].sibling == i ? 1 : 0;
  return count;
}

std::string many(std::size_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

/// "0-3,8" of ascending or any numbers in their order.
std::string ranges(const std::vector<unsigned>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (end - i > 1) text += fmt::format("-{}", numbers[end - 1]);
    i = end;
  }
  return text;
}
std::string ranges(std::span<const unsigned> numbers) {
  return ranges(std::vector<unsigned>(numbers.begin(), numbers.end()));
}

std::vector<unsigned> cpus_of(const topology& machine, const topology::cluster& cluster) {
  std::vector<unsigned> cpus;
  for (const topology::core& core : machine.cores().subspan(cluster.first, cluster.count)) {
    cpus.push_back(core.cpu);
  }
  return cpus;
}

std::string counts(const topology& machine) {
  return fmt::format(
      "{} in {}, {}, {}, {}; kinds from: {}", many(machine.cores().size(), "processor"),
      many(physical_cores(machine), "core"), many(machine.clusters().size(), "cluster"),
      many(machine.kinds().size(), "kind"), many(machine.nodes().size(), "memory node"),
      to_string(machine.kinds_from()));
}

// --- the picture ---
// Nodes below each other, their clusters in rows, in each cluster its physical cores, in each of
// those its processors with the system's numbers. All in pixels.

constexpr unsigned kWidth = 960;
constexpr unsigned kGap = 10;
constexpr unsigned kCell = 34;  // a processor
constexpr unsigned kCellHeight = 26;
constexpr unsigned kTitle = 20;         // a line of text
constexpr std::size_t kMostName = 110;  // letters of it fit
constexpr unsigned kCellsInRow = 8;     // of one cluster

struct Colour {
  const char* fill;
  const char* line;
};
constexpr Colour kColours[] = {{"#cfe3f7", "#2b6cb0"},  // the fastest
                               {"#fbe3c8", "#c05621"},  // the slowest
                               {"#d8efd3", "#2f855a"},  // between, in turn
                               {"#e9d8fd", "#6b46c1"}};

Colour colour_of(const topology& machine, unsigned kind) {
  if (kind == 0) return kColours[0];
  if (kind + 1 == machine.kinds().size()) return kColours[1];
  return kColours[2 + kind % 2];
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '"') {
      safe += "&quot;";
    } else {
      safe += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return safe;
}

class Picture {
 public:
  explicit Picture(const topology& machine) : machine_(machine) {}

  std::string draw() {
    std::string_view name = machine_.description();
    if (name.size() > kMostName) name.remove_prefix(name.size() - kMostName);  // a long path's end
    text(kGap, kTitle, 15, name);
    text(kGap, 2 * kTitle, 13, counts(machine_));
    unsigned y = 2 * kTitle + kGap;
    y += legend(y);
    for (unsigned node = 0; node < machine_.nodes().size(); ++node) y += draw_node(node, y) + kGap;
    for (const auto& [what, numbers] :
         {std::pair("switched off", machine_.offline_cpus()),
          std::pair("not for this process", machine_.forbidden_cpus())}) {
      if (numbers.empty()) continue;
      text(kGap, y + kTitle - 6, 12, fmt::format("{}: CPUs {}", what, ranges(numbers)));
      y += kTitle;
    }
    return fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" )"
                       R"(viewBox="0 0 {0} {1}" font-family="sans-serif">)"
                       "\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
                       kWidth, y + kGap) +
           body_ + "</svg>\n";
  }

 private:
  void text(unsigned x, unsigned y, unsigned size, std::string_view words,
            std::string_view anchor = "start") {
    body_ += fmt::format(R"(<text x="{}" y="{}" font-size="{}" text-anchor="{}">{}</text>)"
                         "\n",
                         x, y, size, anchor, escaped(words));
  }
  void box(unsigned x, unsigned y, unsigned width, unsigned height, Colour colour) {
    body_ +=
        fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" rx="4" fill="{}" stroke="{}"/>)"
                    "\n",
                    x, y, width, height, colour.fill, colour.line);
  }

  unsigned legend(unsigned y) {
    for (unsigned k = 0; k < machine_.kinds().size(); ++k) {
      const topology::kind& kind = machine_.kinds()[k];
      box(kGap, y + k * kTitle, 14, 14, colour_of(machine_, k));
      text(kGap + 22, y + k * kTitle + 12, 12,
           fmt::format("{}: {}, capacity {} ({})", kind.name, many(kind.cores, "processor"),
                       kind.capacity, to_string(kind.capacity_from)));
    }
    return static_cast<unsigned>(machine_.kinds().size()) * kTitle + kGap;
  }

  unsigned draw_node(unsigned node, unsigned top) {
    const std::size_t frame = body_.size();
    unsigned x = 2 * kGap, y = top + kTitle + kGap, row = 0;
    for (unsigned c = 0; c < machine_.clusters().size(); ++c) {
      if (machine_.clusters()[c].node != node) continue;
      const auto [width, height] = size_of(machine_.clusters()[c]);
      if (x > 2 * kGap && x + width > kWidth - 2 * kGap) {
        x = 2 * kGap;
        y += row + kGap;
        row = 0;
      }
      draw_cluster(c, x, y, width, height);
      x += width + kGap;
      row = std::max(row, height);
    }
    const unsigned height = y + row + kGap - top;
    // The frame goes below what it frames.
    std::string inside = body_.substr(frame);
    body_.resize(frame);
    box(kGap, top, kWidth - 2 * kGap, height, {"#f7f7f7", "#999999"});
    const topology::node& described = machine_.nodes()[node];
    std::string title = fmt::format("memory node {}", described.number);
    if (described.bytes != 0) title += fmt::format(", {} MiB", described.bytes >> 20);
    text(2 * kGap, top + kTitle - 4, 12, title);
    body_ += inside;
    return height;
  }

  unsigned threads_of(const topology::cluster& cluster) const {
    std::map<std::size_t, unsigned> threads;
    unsigned most = 1;
    for (const topology::core& core : machine_.cores().subspan(cluster.first, cluster.count)) {
      most = std::max(most, ++threads[core.sibling]);
    }
    return most;
  }

  /// Physical cores side by side, their threads below each other.
  std::pair<unsigned, unsigned> size_of(const topology::cluster& cluster) const {
    const unsigned threads = threads_of(cluster);
    const auto cores = static_cast<unsigned>((cluster.count + threads - 1) / threads);
    const unsigned columns = std::min(cores, kCellsInRow);
    const unsigned rows = (cores + kCellsInRow - 1) / kCellsInRow;
    const unsigned width = std::max(columns * (kCell + 4) + 2 * kGap - 4, 150u);
    return {width, kTitle + rows * (threads * kCellHeight + 6) + kGap};
  }

  void draw_cluster(unsigned index, unsigned x, unsigned y, unsigned width, unsigned height) {
    const topology::cluster& cluster = machine_.clusters()[index];
    const Colour colour = colour_of(machine_, cluster.kind);
    box(x, y, width, height, {"white", colour.line});
    text(x + kGap, y + kTitle - 6, 12,
         fmt::format("cluster {}: {}, die {}", index, machine_.kinds()[cluster.kind].name,
                     cluster.die));
    const unsigned threads = threads_of(cluster);
    std::map<std::size_t, std::pair<unsigned, unsigned>> places;  // of a physical core: which, used
    for (const topology::core& core : machine_.cores().subspan(cluster.first, cluster.count)) {
      auto& [which, used] =
          places.emplace(core.sibling, std::pair(static_cast<unsigned>(places.size()), 0u))
              .first->second;
      const unsigned left = x + kGap + which % kCellsInRow * (kCell + 4);
      const unsigned above =
          y + kTitle + which / kCellsInRow * (threads * kCellHeight + 6) + used++ * kCellHeight;
      box(left, above, kCell, kCellHeight - 1, colour);
      text(left + kCell / 2, above + 17, 11, std::to_string(core.cpu), "middle");
    }
  }

  const topology& machine_;
  std::string body_;
};

}  // namespace

std::string topology::to_table() const {
  std::string out = fmt::format("{}: {}\n\n", description(), counts(*this));
  out += fmt::format("{:<8} {:>10} {:>9} {:>5}  {}\n", "kind", "processors", "capacity", "rank",
                     "capacity from");
  for (const kind& one : kinds()) {
    out += fmt::format("{:<8} {:>10} {:>9} {:>5}  {}\n", one.name, one.cores, one.capacity,
                       one.rank, paceline::to_string(one.capacity_from));
  }
  out += fmt::format("\n{:<8} {:<8} {:>10} {:>6} {:>4} {:>5}  {}\n", "cluster", "kind",
                     "processors", "cores", "die", "node", "CPUs");
  for (std::size_t c = 0; c < clusters().size(); ++c) {
    const cluster& one = clusters()[c];
    std::size_t physical = 0;
    for (std::size_t i = one.first; i < one.first + one.count; ++i) {
      physical += cores()[i].sibling == i ? 1 : 0;
    }
    out += fmt::format("{:<8} {:<8} {:>10} {:>6} {:>4} {:>5}  {}\n", c, kinds()[one.kind].name,
                       one.count, physical, one.die, nodes()[one.node].number,
                       ranges(cpus_of(*this, one)));
  }
  if (!offline_cpus().empty()) out += "\nswitched off: CPUs " + ranges(offline_cpus()) + "\n";
  if (!forbidden_cpus().empty()) {
    out += "\nnot for this process: CPUs " + ranges(forbidden_cpus()) + "\n";
  }
  return out;
}

std::string topology::to_svg() const { return Picture(*this).draw(); }

}  // namespace paceline
