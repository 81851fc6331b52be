// SPDX-License-Identifier: BSL-1.0
#include "session.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include <spdlog/fmt/fmt.h>
#include <paceline/topology.hpp>

#include "clock.hpp"
#include "process.hpp"
#include "report.hpp"
#include "scenario.hpp"

namespace coretest {

namespace {

constexpr double kQuickSeconds = 6;
constexpr double kNamedSeconds = 10;
constexpr double kAllSeconds = 60;
constexpr std::uint64_t kChaosWorkersMost = 8;
// Where there is no other, so that a seed means the same everywhere.
constexpr const char* kSimulatedMachine = "8";

double duration_of(const Options& o) noexcept {
  if (o.duration_s) return *o.duration_s;
  if (o.iterations != 0) return 0;
  if (o.quick) return kQuickSeconds;
  return o.all ? kAllSeconds : kNamedSeconds;
}

/// What chaos chooses beside the probes: how many workers, and whether parks have time-outs.
void apply_chaos(Settings& s, const Scenario& scenario) {
  if (s.chaos == Chaos::off) return;
  Rng rng(split(s.seed, 77));
  if (s.workers == 0) {
    s.workers =
        std::max(static_cast<unsigned>(1 + rng.below(kChaosWorkersMost)), scenario.least_workers);
  }
  s.parks = rng.below(2) == 0 ? Parks::infinite : Parks::timed;
}

/// On the simulated machine work takes no time, so rounds are all that can end a run.
void apply_virtual_time(Settings& s, const Options& o) {
  if (!o.virtual_time) return;
  s.parks = Parks::simulated;
  s.duration_s = 0;
  if (s.topology.empty()) s.topology = std::string(kSimulatedMachine);
}

Settings settings_for(const Options& o, const Scenario& scenario, std::uint64_t seed) {
  Settings s;
  s.scenario = std::string(scenario.name);
  s.seed = split(seed, static_cast<std::uint64_t>(scenario.id[1] - '0') * 10 +
                           static_cast<std::uint64_t>(scenario.id[2] - '0'));
  s.workers = o.workers;
  s.topology = o.topology;
  s.duration_s = duration_of(o);
  s.iterations = o.iterations;
  s.tasks = o.tasks;
  s.chaos = o.chaos;
  apply_chaos(s, scenario);
  apply_virtual_time(s, o);
  return s;
}

Settings classic_settings(const Options& o, std::uint64_t seed) {
  Settings s;
  s.scenario = "sleepers";
  s.seed = seed;
  s.workers = o.workers;
  s.topology = o.topology;
  s.tasks = o.sleepers;
  s.chaos = o.chaos;
  s.classic = true;
  apply_chaos(s, *find_scenario("sleepers"));
  apply_virtual_time(s, o);
  return s;
}

bool is_verdict(std::string_view word) noexcept {
  return std::any_of(kVerdicts.begin(), kVerdicts.end(),
                     [word](Verdict verdict) { return to_string(verdict) == word; });
}

/// Lines of "NAME VERDICT"; what follows a # is a comment.
std::map<std::string, std::string> read_list_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("--list-file: cannot read '{}'", path));
  std::map<std::string, std::string> expected;
  std::string line;
  for (unsigned number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name, verdict, more;
    if (!(words >> name)) continue;
    const bool known = find_scenario(name) != nullptr;
    if (!known || !(words >> verdict) || (words >> more) || !is_verdict(verdict)) {
      throw UsageError(
          fmt::format("{}:{}: expected 'NAME VERDICT', a name of coretest --list and one of pass, "
                      "fail, hang, crash, limit, skip, not '{}'",
                      path, number, line));
    }
    expected[std::string(find_scenario(name)->name)] = verdict;
  }
  if (expected.empty()) throw UsageError(fmt::format("--list-file: '{}' names no scenario", path));
  return expected;
}

/// Measures a result against what the list file expects of it.
void apply_expectation(RunResult& result, const std::string& expected) {
  const std::string got(to_string(result.verdict));
  if (got == expected) {
    if (result.verdict != Verdict::pass && result.verdict != Verdict::skip) {
      result.verdict = Verdict::pass;
      result.reason = fmt::format("{} as expected: {}", got, result.reason);
    }
    return;
  }
  result.verdict = Verdict::fail;
  result.code = "unexpected";
  result.reason = fmt::format("expected {}, got {}{}{}", expected, got,
                              result.reason.empty() ? "" : ": ", result.reason);
}

/// Throws UsageError.
void require_topology(const std::string& text) {
  if (text.empty()) return;
  try {
    paceline::topology::from_file_or_text(text);
  } catch (const std::exception& error) {
    throw UsageError(fmt::format("--topology: {}", error.what()));
  }
}

}  // namespace

double default_timeout_s() noexcept { return kSanitized ? 120 : 20; }

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) ^ static_cast<std::uint64_t>(now_ns());
}

std::vector<Settings> plan_runs(const Options& o, std::uint64_t seed) {
  if (!o.replay.empty()) {
    Settings s = from_replay(o.replay);
    const Scenario* scenario = find_scenario(s.scenario);
    if (scenario == nullptr) {
      throw UsageError(fmt::format("--replay: there is no scenario '{}'", s.scenario));
    }
    s.scenario = std::string(scenario->name);
    if (s.parks == Parks::simulated) {
      if (s.duration_s != 0) throw UsageError("--replay: virtual time is measured in iterations");
      return {s};
    }
    if (s.duration_s == 0 && s.iterations == 0 && !s.classic) s.duration_s = kNamedSeconds;
    return {s};
  }
  if (o.mode == Options::Mode::classic) return {classic_settings(o, seed)};
  std::vector<Settings> runs;
  std::vector<std::string> names = o.scenarios;
  if (!o.list_file.empty()) {
    for (const auto& [name, verdict] : read_list_file(o.list_file)) names.push_back(name);
  }
  if (names.empty()) {
    for (const Scenario& scenario : scenarios()) names.emplace_back(scenario.name);
  }
  for (const std::string& name : names) runs.push_back(settings_for(o, *find_scenario(name), seed));
  Rng rng(split(seed, 76));
  for (std::size_t i = runs.size(); i > 1; --i) std::swap(runs[i - 1], runs[rng.below(i)]);
  return runs;
}

int run_session(const Options& o) {
  std::uint64_t seed = o.seed ? *o.seed : fresh_seed();
  if (!o.replay.empty()) seed = from_replay(o.replay).seed;
  const double timeout_s = o.timeout_s.value_or(default_timeout_s());
  // Everything that may be wrong with the request is found before anything runs.
  std::vector<std::vector<Settings>> plan;
  for (std::uint64_t i = 0; i < o.seeds; ++i) plan.push_back(plan_runs(o, seed + i));
  std::map<std::string, std::string> expected;
  if (!o.list_file.empty()) expected = read_list_file(o.list_file);
  for (const auto& runs : plan) {
    for (const Settings& s : runs) {
      program_for(s.parks);
      require_topology(s.topology);
    }
  }
  Report report(o.json_file, {seed, o.chaos, o.argv});
  const bool classic = o.mode == Options::Mode::classic;
  if (!classic) std::puts(fmt::format("coretest: seed {:#x}", seed).c_str());
  std::fflush(stdout);
  for (const auto& runs : plan) {
    for (const Settings& s : runs) {
      RunResult result = run_watched(program_for(s.parks), s, timeout_s, false);
      if (const auto at = expected.find(s.scenario); at != expected.end()) {
        apply_expectation(result, at->second);
      }
      report.add(std::move(result));
    }
    if (report.failed() && !o.keep_going) break;
  }
  return report.finish(o.table);
}

}  // namespace coretest
