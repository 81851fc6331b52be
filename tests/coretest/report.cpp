// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <spdlog/fmt/fmt.h>

#include "clock.hpp"
#include "environment.hpp"
#include "json.hpp"
#include "scenario.hpp"

namespace coretest {

namespace {

constexpr int kSchema = 1;
// Goals are judged only where there was time to reach them.
constexpr double kGoalsNeedSeconds = 1.0 * kSlowness;
// Lines of a dump on the terminal; the JSON record has all that were sent.
constexpr std::size_t kDumpShown = 40;

bool counts_as_failure(Verdict verdict) noexcept {
  return verdict != Verdict::pass && verdict != Verdict::skip;
}

std::string human_ns(double ns) {
  if (ns <= 0) return "-";
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.1f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

std::string human_count(double n) {
  if (n < 1e4) return fmt::format("{:.0f}", n);
  if (n < 1e7) return fmt::format("{:.1f} k", n / 1e3);
  return fmt::format("{:.1f} M", n / 1e6);
}

std::string human_bytes(double n) { return n <= 0 ? "-" : fmt::format("{:.0f} MB", n / 1e6); }

std::string goals_text(const RunResult& result) {
  const auto reached = std::count_if(result.goals.begin(), result.goals.end(),
                                     [](const GoalResult& goal) { return goal.reached; });
  return fmt::format("{}/{}", reached, result.goals.size());
}

void print_line(const std::string& line) { std::puts(line.c_str()); }

}  // namespace

std::string run_record(const RunResult& result) {
  const Settings& s = result.settings;
  const Scenario* scenario = find_scenario(s.scenario);
  JsonObject record;
  record.text("record", "run");
  record.text("id", scenario == nullptr ? "" : scenario->id).text("scenario", s.scenario);
  record.text("seed", fmt::format("{:#x}", s.seed));
  record.text("verdict", to_string(result.verdict)).text("code", result.code);
  record.text("reason", result.reason);
  record.text("chaos", to_string(s.chaos)).text("park_mode", to_string(s.parks));
  record.number("workers", s.workers);
  if (s.sabotage.mutant != Mutant::none) {
    record.text("planted", to_string(s.sabotage.mutant)).yes("struck", result.struck);
  }
  for (const auto& [name, value] : result.values) record.raw(name, value);
  record.number("lost", result.code == "lost" ? 1 : 0);
  record.number("double", result.code == "double" ? 1 : 0);
  JsonObject goals;
  for (const GoalResult& goal : result.goals) goals.yes(goal.name, goal.reached);
  record.raw("goals", goals.str());
  record.raw("wall_s", fmt::format("{:.3f}", result.wall_s));
  if (s.parks != Parks::simulated) record.raw("cpu_s", fmt::format("{:.3f}", result.cpu_s));
  record.text("replay", fmt::format("coretest --replay {}", to_replay(s)));
  if (counts_as_failure(result.verdict)) {
    record.texts("complaints", result.complaints).texts("dump", result.dump);
  }
  return record.str();
}

Report::Report(const std::string& json_file, const Heading& heading)
    : heading_(heading), start_(now_ns()) {
  if (json_file.empty()) return;
  json_.open(json_file, std::ios::trunc);
  if (!json_) throw UsageError(fmt::format("--json: cannot write '{}'", json_file));
  JsonObject header;
  header.text("record", "header").number("schema", kSchema);
  describe_environment(header);
  header.text("seed", fmt::format("{:#x}", heading.seed)).text("chaos", to_string(heading.chaos));
  header.texts("argv", heading.argv);
  write(header.str());
}

void Report::write(const std::string& line) {
  if (json_.is_open()) json_ << line << '\n' << std::flush;
}

void Report::add(RunResult result) {
  write(run_record(result));
  const bool quiet = result.settings.classic && result.verdict == Verdict::pass;
  if (!quiet)
    print_line(fmt::format("{:<12} {:<6} seed {:#x}, {} ops, {:.1f} s{}{}",
                           result.settings.scenario, to_string(result.verdict),
                           result.settings.seed, human_count(result.number("ops")), result.wall_s,
                           result.reason.empty() ? "" : ": ", result.reason));
  if (counts_as_failure(result.verdict)) print_failure(result);
  std::fflush(stdout);
  results_.push_back(std::move(result));
}

void Report::print_failure(const RunResult& result) const {
  for (std::size_t i = 0; i < std::min(kDumpShown, result.dump.size()); ++i) {
    print_line("    | " + result.dump[i]);
  }
  if (result.dump.size() > kDumpShown) {
    print_line(fmt::format("    | ... {} more lines, see --json", result.dump.size() - kDumpShown));
  }
  print_line(fmt::format("    replay: coretest --replay '{}'", to_replay(result.settings)));
}

bool Report::failed() const noexcept {
  return std::any_of(results_.begin(), results_.end(),
                     [](const RunResult& r) { return counts_as_failure(r.verdict); });
}

/// Goals that no run of their scenario reached, where together they had time enough.
std::vector<Report::Missing> Report::missing_goals() const {
  struct Seen {
    std::map<std::string, bool> goals;
    double seconds = 0;
  };
  std::map<std::string, Seen> by_scenario;
  for (const RunResult& result : results_) {
    // Virtual time says nothing about how much was tried.
    if (result.verdict != Verdict::pass || result.settings.parks == Parks::simulated) continue;
    Seen& seen = by_scenario[result.settings.scenario];
    // What a run took beyond its time, to start and to end, it tried nothing in.
    const double asked = result.settings.duration_s;
    seen.seconds += asked > 0 ? std::min(result.wall_s, asked) : result.wall_s;
    for (const GoalResult& goal : result.goals) seen.goals[goal.name] |= goal.reached;
  }
  std::vector<Missing> missing;
  for (const auto& [scenario, seen] : by_scenario) {
    if (seen.seconds < kGoalsNeedSeconds) continue;
    for (const auto& [goal, reached] : seen.goals) {
      if (!reached) missing.push_back({scenario, goal});
    }
  }
  return missing;
}

void Report::print_table() const {
  std::vector<const RunResult*> rows;
  for (const bool failed : {true, false}) {
    for (const RunResult& result : results_) {
      if (counts_as_failure(result.verdict) == failed) rows.push_back(&result);
    }
  }
  print_line(fmt::format("\n{:<12} {:<7} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>6}  {}", "scenario",
                         "verdict", "ops", "p50", "p99", "max", "RSS", "goals", "wall", "seed"));
  for (const RunResult* row : rows) {
    // Whichever the scenario measures: from wake to run, or how late a sleep ended.
    const bool wakes = row->number("wake_to_run_count") > 0;
    const std::string of = wakes ? "wake_to_run" : "lateness";
    print_line(fmt::format(
        "{:<12} {:<7} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>6}  {:#x}", row->settings.scenario,
        to_string(row->verdict), human_count(row->number("ops")),
        human_ns(row->number(of + "_p50_ns")), human_ns(row->number(of + "_p99_ns")),
        human_ns(row->number(of + "_max_ns")), human_bytes(row->number("rss_peak_bytes")),
        goals_text(*row), fmt::format("{:.1f} s", row->wall_s), row->settings.seed));
  }
}

/// Since the start; of virtual time, all that the runs took together.
double Report::seconds() const {
  double virtual_s = 0;
  for (const RunResult& result : results_) {
    if (result.settings.parks != Parks::simulated) {
      return static_cast<double>(now_ns() - start_) / kSecond;
    }
    virtual_s += result.wall_s;
  }
  return virtual_s;
}

int Report::exit_code(const std::vector<Missing>& missing) const {
  const auto any = [&](Verdict verdict) {
    return std::any_of(results_.begin(), results_.end(),
                       [&](const RunResult& r) { return r.verdict == verdict; });
  };
  if (any(Verdict::crash)) return kCrash;
  if (any(Verdict::hang)) return kHang;
  if (any(Verdict::fail)) return kBroken;
  if (any(Verdict::limit)) return kLimit;
  if (!missing.empty()) return kGoal;
  return any(Verdict::pass) ? kPassed : kAllSkipped;
}

std::string Report::final_line(int code, const std::vector<Missing>& missing) const {
  const auto number = [&](auto&& holds) {
    return std::count_if(results_.begin(), results_.end(), holds);
  };
  const auto failures = number([](const RunResult& r) { return counts_as_failure(r.verdict); });
  const auto skipped = number([](const RunResult& r) { return r.verdict == Verdict::skip; });
  const std::string skips = skipped == 0 ? "" : fmt::format(", {} skipped", skipped);
  if (code == kAllSkipped) return fmt::format("coretest skipped. nothing ran, {} skipped", skipped);
  if (code == kPassed) {
    if (results_.size() == 1 && results_[0].settings.classic) {
      return fmt::format("coretest pass. {:.0f} sleepers, {:.2f} s", results_[0].number("sleepers"),
                         results_[0].number("elapsed_s"));
    }
    return fmt::format("coretest pass. {} runs{}, seed {:#x}, {:.1f} s", results_.size() - skipped,
                       skips, heading_.seed, seconds());
  }
  std::set<std::string> unreached;
  for (const Missing& m : missing) unreached.insert(m.scenario);
  const auto wrong = failures != 0 ? failures : static_cast<std::ptrdiff_t>(unreached.size());
  return fmt::format("coretest FAIL {}/{}. exit code {}{}, seed {:#x}, {:.1f} s", wrong,
                     results_.size(), code, skips, heading_.seed, seconds());
}

int Report::finish(bool table) {
  const std::vector<Missing> missing = missing_goals();
  if (table) print_table();
  std::vector<std::string> unreached;
  for (const Missing& m : missing) {
    unreached.push_back(m.scenario + ": " + m.goal);
    print_line(fmt::format("goal not reached: {}: {}", m.scenario, m.goal));
  }
  const int code = exit_code(missing);
  const std::string last = final_line(code, missing);
  JsonObject summary;
  summary.text("record", "summary").number("exit_code", code).number("runs", results_.size());
  for (const Verdict verdict : kVerdicts) {
    summary.number(to_string(verdict),
                   std::count_if(results_.begin(), results_.end(),
                                 [&](const RunResult& r) { return r.verdict == verdict; }));
  }
  summary.texts("goals_unreached", unreached);
  summary.raw("wall_s", fmt::format("{:.3f}", seconds()));
  summary.text("final", last);
  write(summary.str());
  print_line(last);
  std::fflush(stdout);
  return code;
}

}  // namespace coretest
