// SPDX-License-Identifier: BSL-1.0
// The short form of a machine: "4P+4E", "2x20x2". Its grammar stands at topology::synthetic.
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

constexpr unsigned kFullCapacity = 1024;

/// Capacity of a kind when the text gives none.
struct Letter {
  char name;
  unsigned capacity;
};
// M: 0.70, the middle cores of a GB10; E: 0.40 of P, the model of policies.md 6.1 and statement 45;
// L: 0.30, the lower end there.
constexpr Letter kLetters[] = {{'P', kFullCapacity}, {'M', 717}, {'E', 410}, {'L', 307}};

struct Group {
  unsigned clusters = 1;
  unsigned cores = 1;  // of one cluster
  unsigned threads = 1;
  char letter = 0;
  unsigned capacity = kFullCapacity;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Sketch parse() {
    const std::size_t letter = text_.find_first_of("PMEL");
    if (letter == std::string_view::npos) {
      plain();
    } else {
      kinds();
    }
    if (at_ != text_.size()) refuse("nothing more");
    Sketch sketch = draw();
    sketch.description = std::string(text_);
    return sketch;
  }

 private:
  [[noreturn]] void refuse(std::string_view wanted) const {
    throw std::invalid_argument(fmt::format(
        "topology::synthetic: '{}': expected {} at '{}'; it looks like \"4P+4E\", \"2*5P+4E\", "
        "\"6P:2+8E\", \"2x(4P+4E)\" or \"2x20x2\"",
        text_.substr(0, 200), wanted, text_.substr(at_, 20)));
  }

  bool take(char wanted) {
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  unsigned number(std::string_view what, unsigned most) {
    unsigned value = 0;
    const char* const from = text_.data() + at_;
    const auto [end, error] = std::from_chars(from, text_.data() + text_.size(), value);
    if (end == from || error != std::errc() || value == 0 || value > most) {
      refuse(fmt::format("{}, 1 to {},", what, most));
    }
    at_ += static_cast<std::size_t>(end - from);
    return value;
  }
  unsigned count(std::string_view what) { return number(what, static_cast<unsigned>(kMaxCores)); }

  /// CORES | PACKAGES "x" CORES [ "x" THREADS ]
  void plain() {
    Group group;
    group.cores = count("a number of cores");
    if (take('x')) {
      packages_ = group.cores;
      group.cores = count("a number of cores");
      if (take('x')) group.threads = count("a number of threads");
    }
    groups_.push_back(group);
  }

  /// [ PACKAGES "x" ] GROUP { "+" GROUP }
  void kinds() {
    const std::size_t start = at_;
    const unsigned first = count("a number");
    bool inner = false;
    if (take('x')) {
      packages_ = first;
      inner = take('(');
    } else {
      at_ = start;
    }
    do groups_.push_back(group());
    while ((packages_ == 1 || inner) && take('+'));
    if (inner && !take(')')) refuse("')'");
    if (!inner && packages_ > 1 && at_ != text_.size()) refuse("'(' behind 'x', or the end");
  }

  Group group() {
    Group group;
    group.cores = count("a number of cores");
    if (take('*')) {
      group.clusters = group.cores;
      group.cores = count("a number of cores");
    }
    for (const Letter& known : kLetters) {
      if (!take(known.name)) continue;
      group.letter = known.name;
      group.capacity = known.capacity;
    }
    if (group.letter == 0) refuse("one of P, M, E, L");
    if (take('@')) group.capacity = number("a capacity", kFullCapacity);
    if (take(':')) group.threads = count("a number of threads");
    return group;
  }

  Sketch draw() {
    std::uint64_t all = 0;
    for (const Group& g : groups_) {
      all += std::uint64_t{packages_} * g.clusters * g.cores * g.threads;
    }
    if (all > kMaxCores) {
      throw std::invalid_argument(fmt::format(
          "topology::synthetic: '{}' has {} processors, the most is {}", text_, all, kMaxCores));
    }
    Sketch sketch;
    SketchedCpu next;
    for (; next.package < packages_; ++next.package) {
      next.die = next.node = next.package;
      sketch.nodes.push_back({.number = next.node});
      for (const Group& group : groups_) {
        for (unsigned c = 0; c < group.clusters; ++c) draw_cluster(sketch, next, group);
      }
    }
    sketch.kinds_from = topology::origin::configured;
    return sketch;
  }

  static void draw_cluster(Sketch& sketch, SketchedCpu& next, const Group& group) {
    for (unsigned core = 0; core < group.cores; ++core) {
      for (unsigned thread = 0; thread < group.threads; ++thread) {
        sketch.cpus.push_back(next);
        clue(sketch, group).cpus.push_back(next.cpu);
        ++next.cpu;
      }
      ++next.physical;
    }
    ++next.cache;
  }

  static KindClue& clue(Sketch& sketch, const Group& group) {
    const std::string name(group.letter == 0 ? 0 : 1, group.letter);
    for (KindClue& known : sketch.clues) {
      if (known.name == name && known.capacity == group.capacity) return known;
    }
    KindClue fresh;
    fresh.name = name;
    fresh.capacity = group.capacity;
    return sketch.clues.emplace_back(std::move(fresh));
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  unsigned packages_ = 1;
  std::vector<Group> groups_;
};

}  // namespace

bool is_short_text(std::string_view text) noexcept {
  return text.find_first_not_of("0123456789PMEL@:*x+()") == std::string_view::npos;
}

Sketch sketch_from_text(std::string_view text) { return Parser(text).parse(); }

}  // namespace paceline::core::machine
