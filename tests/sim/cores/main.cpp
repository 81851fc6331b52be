// SPDX-License-Identifier: BSL-1.0
// paceline-sim-cores: the shipped runtime with many workers on the simulated machine, where lines
// have prices. One workload, one number of workers; prints figures, one on a line.
//   paceline-sim-cores WORKLOAD WORKERS SEED [lines | bodies | TOPOLOGY]
// `lines` also prints the busiest cache lines, `bodies` who ran when in the window.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "machine/unwind.hpp"
#include "sched/runtime_core.hpp"
#include "sim/cores/names.hpp"
#include "sim/cores/workloads.hpp"
#include "sim/machine/prices.hpp"
#include "sim/machine/simulation.hpp"

namespace {

using namespace paceline_cores;
using paceline::core::RuntimeCore;
namespace simulation = paceline::core::simulation;

// A line that so many workers write is everybody's.
constexpr std::size_t kSharedFrom = 9;
constexpr std::size_t kLinesShown = 8;
constexpr std::size_t kFunctionsShown = 12;

struct Arguments {
  const WorkloadKind* kind = nullptr;
  unsigned workers = 0;
  std::uint64_t seed = 0;
  bool lines = false;
  bool bodies = false;
  std::string topology;
};

template <class Number>
Number parsed(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw std::invalid_argument(fmt::format("'{}' is no number", text));
  }
  return value;
}

Arguments parse(int count, char** words) {
  if (count < 4) throw std::invalid_argument("give WORKLOAD WORKERS SEED");
  Arguments given;
  for (const WorkloadKind& kind : workload_kinds()) {
    if (kind.name == words[1]) given.kind = &kind;
  }
  if (given.kind == nullptr) throw std::invalid_argument(fmt::format("no workload {}", words[1]));
  given.workers = parsed<unsigned>(words[2]);
  given.seed = parsed<std::uint64_t>(words[3]);
  given.topology = fmt::format("{}", given.workers);
  for (int i = 4; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "lines") {
      given.lines = true;
    } else if (word == "bodies") {
      given.bodies = true;
    } else {
      given.topology = word;
    }
  }
  return given;
}

void print_lines(const simulation::Tally& tally, Nanos window) {
  RuntimeCore* core = RuntimeCore::find(1);
  paceline::core::machine::Symbols symbols;
  for (std::size_t i = 0; i < std::min(kLinesShown, tally.lines.size()); ++i) {
    const simulation::LineTally& line = tally.lines[i];
    fmt::print("line busy {:.2f} % accesses {} misses {} waited_ns {} writers {}: {}\n",
               100.0 * static_cast<double>(line.held) / static_cast<double>(window), line.accesses,
               line.misses, line.waited, line.writers, name_of_line(*core, line.address));
    std::map<std::string, std::uint64_t> by_function;
    for (const auto& [from, misses] : line.missed_from) {
      const std::string& place = symbols.describe(reinterpret_cast<std::uintptr_t>(from));
      by_function[place.substr(0, place.find('+'))] += misses;
    }
    std::vector<std::pair<std::uint64_t, std::string>> most;
    for (const auto& [function, misses] : by_function) most.emplace_back(misses, function);
    std::sort(most.rbegin(), most.rend());
    most.resize(std::min(most.size(), kFunctionsShown));
    for (const auto& [misses, function] : most) fmt::print("  from {} {}\n", misses, function);
  }
  core->release();
}

/// How long it took until as many workers as are meant to be busy had a body.
Nanos warm_up(const WorkloadKind& kind, const Workload& load, std::size_t busy) {
  constexpr Nanos kStep = 10 * kMicrosecond;
  Nanos ramp = 0;
  for (; load.at_work() < busy && ramp < kind.patience; ramp += kStep) simulation::pass(kStep);
  if (ramp < kind.warm_up) simulation::pass(kind.warm_up - ramp);
  return ramp;
}

[[noreturn]] void run(const Arguments& given) {
  simulation::begin({.seed = given.seed});
  simulation::price({});
  const auto load = given.kind->make();
  std::vector<Ran> ran;
  const auto machine = paceline::topology::from_file_or_text(given.topology);
  paceline::runtime rt({.workers = given.workers, .topology = machine});
  for (std::size_t i = 0; i < rt.workers(); ++i) {
    const auto& core = machine.cores()[i % machine.cores().size()];
    const auto& kind = machine.kinds()[machine.clusters()[core.cluster].kind];
    load->capacity.push_back(static_cast<std::uint32_t>(kind.capacity));
  }
  load->begin(rt);
  load->begun = true;
  const std::size_t busy = given.workers - load->feeders();
  const Nanos ramp = warm_up(*given.kind, *load, busy);
  simulation::take_tally();
  load->begin_window();
  if (given.bodies) load->record = &ran;
  const std::uint64_t bodies_before = load->bodies;
  const Nanos from = simulation::facts().elapsed;
  simulation::pass(given.kind->window);
  const std::uint64_t bodies = load->bodies - bodies_before;
  const simulation::Tally tally = simulation::take_tally();
  std::uint64_t shared = 0;
  for (const simulation::LineTally& line : tally.lines) {
    if (line.writers >= kSharedFrom) shared += line.misses;
  }
  fmt::print("busy_workers {}\nwindow_ns {}\nbody_ns {}\nbodies {}\n", busy, given.kind->window,
             load->body_ns, bodies);
  fmt::print("accesses {}\nmisses {}\nwaited_ns {}\n", tally.accesses, tally.misses, tally.waited);
  fmt::print("ramp_ns {}\nat_work {}\n", ramp, load->at_work());
  fmt::print("shared_misses {}\nbusiest_ns {}\n", shared,
             tally.lines.empty() ? 0 : tally.lines.front().held);
  load->print(rt);
  if (given.lines) print_lines(tally, given.kind->window);
  for (const Ran& body : ran) {
    fmt::print("ran {} {} {} {}\n", body.worker, body.from - from, body.to - from, body.task);
  }
  // What the end takes is nobody's question, and to simulate it would take as long as the window.
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse(count, words));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "paceline-sim-cores: %s\n", error.what());
    return 2;
  }
}
