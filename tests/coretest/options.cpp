// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <limits>

#include <spdlog/fmt/fmt.h>

#include "scenario.hpp"

namespace coretest {

namespace {

constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();

void add_scenarios(Options& options, std::string_view names) {
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    const std::string_view name = names.substr(0, comma);
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
    const Scenario* scenario = find_scenario(name);
    if (scenario == nullptr) {
      throw UsageError(
          fmt::format("there is no scenario '{}'; coretest --list shows what there is", name));
    }
    options.scenarios.emplace_back(scenario->name);
  }
  if (options.scenarios.empty()) throw UsageError("--scenario takes a name; see coretest --list");
}

/// What must not be said together.
void reject_contradictions(const Options& o, bool number_given) {
  const auto reject = [](bool both, const char* message) {
    if (both) throw UsageError(message);
  };
  const bool chooses = o.all || o.quick || !o.scenarios.empty();
  const bool sizes =
      o.duration_s || o.iterations != 0 || o.tasks != 0 || o.workers != 0 || !o.topology.empty();
  reject(o.all && !o.scenarios.empty(), "--all and --scenario contradict each other; give one");
  reject(!o.list_file.empty() && chooses,
         "--list-file names its scenarios itself; drop --scenario, --all, --quick");
  reject(number_given && (chooses || !o.list_file.empty() || !o.replay.empty() ||
                          o.mode == Options::Mode::prove),
         "a number of sleepers is for the plain run: coretest [N]");
  reject(number_given && o.tasks != 0, "give the number of sleepers once: as N or with --tasks");
  reject(
      o.virtual_time && (o.duration_s || o.chaos != Chaos::off || o.mode == Options::Mode::prove ||
                         !o.replay.empty() || o.quick || !o.list_file.empty()),
      "--virtual-time goes with [N], --scenario or --all; its runs are measured in --iterations, "
      "and "
      "the seed is all their chance");
  reject(!o.replay.empty() && (chooses || sizes || o.seed || o.seeds != 1 || o.chaos != Chaos::off),
         "--replay takes everything from its string; drop the other options that choose a run");
  reject(
      o.mode == Options::Mode::prove &&
          (chooses || sizes || o.seeds != 1 || o.chaos != Chaos::off || !o.replay.empty() ||
           !o.list_file.empty() || o.table),
      "--prove chooses its own runs; only --seed, --timeout, --json and --keep-going go with it");
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  using Mode = Options::Mode;
  Options o;
  bool number_given = false;
  for (int i = 0; i < argc; ++i) o.argv.emplace_back(argv[i]);
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&]() -> std::string_view {
      if (i + 1 >= argc) throw UsageError(fmt::format("{} needs a value", arg));
      return argv[++i];
    };
    if (arg == "--list") {
      o.mode = Mode::list;
    } else if (arg == "--help" || arg == "-h") {
      o.mode = Mode::help;
    } else if (arg == "--version") {
      o.mode = Mode::version;
    } else if (arg == "--prove") {
      o.mode = Mode::prove;
    } else if (arg == "--virtual-time") {
      o.virtual_time = true;
    } else if (arg == "--all") {
      o.all = true;
    } else if (arg == "--quick") {
      o.quick = true;
    } else if (arg == "--scenario") {
      add_scenarios(o, value());
    } else if (arg == "--list-file") {
      o.list_file = value();
    } else if (arg == "--replay") {
      o.replay = value();
      if (o.replay.empty()) throw UsageError("--replay takes the string that a failure printed");
    } else if (arg == "--seed") {
      o.seed = parse_seed(arg, value());
    } else if (arg == "--seeds") {
      o.seeds = parse_number(arg, value(), 1, 1'000'000);
    } else if (arg == "--workers") {
      o.workers = static_cast<unsigned>(parse_number(arg, value(), 1, 1024));
    } else if (arg == "--topology") {
      o.topology = value();
      if (o.topology.empty()) throw UsageError("--topology takes a file or a text like 4P+4E");
    } else if (arg == "--show-topology") {
      o.mode = Mode::show_topology;
    } else if (arg == "--duration") {
      o.duration_s = parse_seconds(arg, value());
    } else if (arg == "--iterations") {
      o.iterations = parse_number(arg, value(), 1, kAny);
    } else if (arg == "--tasks") {
      o.tasks = parse_number(arg, value(), 1, 100'000'000);
    } else if (arg == "--chaos") {
      o.chaos = parse_chaos(value());
    } else if (arg == "--timeout") {
      o.timeout_s = parse_seconds(arg, value());
    } else if (arg == "--keep-going") {
      o.keep_going = true;
    } else if (arg == "--json") {
      o.json_file = value();
      if (o.json_file.empty()) throw UsageError("--json takes a file name");
    } else if (arg == "--table") {
      o.table = true;
    } else if (arg == "--child") {
      o.mode = Mode::child;
      o.replay = value();
    } else if (arg == "--wire") {
      o.wire = static_cast<int>(parse_number(arg, value(), 0, 1 << 20));
    } else if (arg == "--control") {
      o.control = static_cast<int>(parse_number(arg, value(), 0, 1 << 20));
    } else if (arg.starts_with("-") && arg.size() > 1) {
      throw UsageError(fmt::format("unknown option {}; see coretest --help", arg));
    } else if (number_given) {
      throw UsageError(fmt::format("what is '{}'? One number of sleepers is enough", arg));
    } else {
      o.sleepers = parse_number("coretest [N]", arg, 1, 1'000'000);
      number_given = true;
    }
  }
  if (o.mode == Mode::child) {
    if (o.wire < 0 || o.control < 0) throw UsageError("--child is for coretest itself");
    return o;
  }
  reject_contradictions(o, number_given);
  const bool runs =
      o.all || o.quick || !o.scenarios.empty() || !o.list_file.empty() || !o.replay.empty();
  if (o.mode == Mode::classic && runs) o.mode = Mode::run;
  if (o.mode == Mode::classic && o.tasks != 0) o.sleepers = o.tasks;
  if (o.mode == Mode::classic && (o.duration_s || o.iterations != 0)) {
    throw UsageError(
        "the plain run lasts as long as its sleeps; --duration and --iterations need "
        "--scenario or --all");
  }
  return o;
}

std::string_view help_text() noexcept {
  return
      R"(coretest [N]                          N sleepers (default 32): even ones 10 x 1 s, odd ones n x 0.5 s
coretest --scenario NAME[,NAME...]    run these scenarios
coretest --all [--quick]              run all of them; --quick takes about a minute
coretest --list-file FILE             run the scenarios of FILE, lines of "NAME VERDICT"
coretest --replay STRING              run again what a failure printed
coretest --prove                      plant mistakes in the runtime; each must be caught
coretest --virtual-time [N]           the same in virtual time, at once, on a simulated machine where
                                      the seed decides who runs next; also with --scenario or --all
coretest --list | --help | --version | --show-topology

  --seed S         64-bit seed of all chance, 0x... or decimal (default: from the clock)
  --seeds N        repeat with N successive seeds; ends at the first that fails
  --keep-going     with --seeds or --prove: go on after a failure
  --workers N      worker threads (default: one per core; under chaos 1 to 8 by seed)
  --topology T     run on the virtual cores of another machine: a file of hwloc (.xml) or a text like
                   4P+4E or 2x20x2; also what --show-topology shows
  --duration S     seconds per run (default: 60 with --all, 6 with --quick, else 10)
  --iterations N   rounds per run instead of a duration
  --tasks N        size of a round (default: each scenario's own)
  --chaos LEVEL    off, light or heavy: disturb the runtime at its most delicate points
  --timeout S      a run without progress for so long hangs; its state is shown, then it is killed
                   (default 20, 120 in sanitizer builds)
  --json FILE      write the report as JSON Lines
  --table          print a table at the end, failures first

Each run is a process of its own. Exit code: 0 all passed, 1 an invariant was broken, 2 usage,
3 nothing could run, 4 a hang, 5 a resource bound was broken, 6 a crash, 7 a rare path was never
reached, 77 everything was skipped. Of several, the first of 6, 4, 1, 5, 7 counts.
)";
}

}  // namespace coretest
