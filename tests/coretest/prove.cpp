// SPDX-License-Identifier: BSL-1.0
#include "prove.hpp"

#include <array>
#include <fstream>
#include <set>
#include <string_view>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "clock.hpp"
#include "environment.hpp"
#include "process.hpp"
#include "report.hpp"
#include "session.hpp"

namespace coretest {

namespace {

/// One mistake, how rarely it strikes, and who should notice: the best first.
struct Planting {
  Mutant mutant;
  std::uint64_t one_in;
  std::string_view what;
  std::array<std::string_view, 3> scenarios;
  Chaos chaos = Chaos::off;  // some windows are too narrow to be met without
};

// The rates are low enough that a run without luck would pass: the scenario has to be good at it.
constexpr std::array<Planting, 9> kPlantings = {{
    {Mutant::drop_wake, 1'000, "one wake in 1,000 is dropped", {"park-edge", "wake-storm", "ring"}},
    {Mutant::drop_wake,
     10'000,
     "one wake in 10,000 is dropped",
     {"wake-storm", "ring", "park-edge"}},
    {Mutant::double_run,
     20,
     "one claim in 20 ignores that the task runs",
     {"wake-storm", "wake-storm", "ring"}},
    {Mutant::leak_descriptor,
     3,
     "one start of a runtime in 3 leaks a descriptor",
     {"shutdown", "wake-late", "shutdown"}},
    {Mutant::skip_rearm_sometimes,
     20,
     "one re-arm in 20 is skipped",
     {"ring", "wake-storm", "ring"},
     Chaos::light},
    {Mutant::no_park_recheck,
     10,
     "one re-check before a sleep in 10 is skipped",
     {"park-edge", "park-edge", "park-edge"}},
    {Mutant::no_summary_recheck,
     100,
     "one re-check of a summary in 100 is skipped",
     {"ring", "wake-storm", "ring"}},
    {Mutant::no_rearm_on_release,
     20,
     "one wake during a run in 20 is forgotten",
     {"ring", "wake-storm", "ring"},
     Chaos::light},
    {Mutant::trust_late_wake,
     1'000,
     "one claim in 1,000 is believed without asking",
     {"wake-late", "wake-late", "timers"}},
}};

// Each scenario of a planting looks so often, with a new seed, before the mistake counts as unseen.
// On a machine that does much else the best scenario misses up to one mistake in three at its first
// look, on one that is overloaded eight in ten: twelve looks, which cost time after misses alone.
constexpr int kRounds = 4;
// How long a scenario may look, and how long it may stand still, before the next one tries.
constexpr double kLookSeconds = 6 * kSlowness;
constexpr double kStillSeconds = 3 * kSlowness;
constexpr double kControlSeconds = 1.5;

class Proof {
 public:
  explicit Proof(const Options& options)
      : options_(options),
        seed_(options.seed ? *options.seed : fresh_seed()),
        timeout_s_(options.timeout_s.value_or(kStillSeconds)),
        program_(program_for(Parks::infinite)) {
    if (options.json_file.empty()) return;
    json_.open(options.json_file, std::ios::trunc);
    if (!json_) throw UsageError(fmt::format("--json: cannot write '{}'", options.json_file));
    JsonObject header;
    header.text("record", "header").number("schema", 1);
    describe_environment(header);
    header.text("seed", fmt::format("{:#x}", seed_))
        .text("chaos", "off")
        .texts("argv", options.argv);
    json_ << header.str() << '\n';
  }

  int run() {
    say(fmt::format("coretest --prove: seed {:#x}", seed_));
    if (!controls_pass()) return finish();
    for (const Planting& planting : kPlantings) {
      const bool caught = is_caught(planting);
      caught_ += caught ? 1 : 0;
      if (!caught && !options_.keep_going) break;
    }
    return finish();
  }

 private:
  Settings settings(std::string_view scenario, double seconds) const {
    Settings s;
    s.scenario = std::string(scenario);
    s.seed = split(seed_, runs_);
    s.workers = 2;
    s.duration_s = seconds;
    s.parks = Parks::infinite;
    return s;
  }

  RunResult run_one(const Settings& s) {
    ++runs_;
    RunResult result = run_watched(program_, s, timeout_s_, true);
    if (json_.is_open()) json_ << run_record(result) << '\n' << std::flush;
    return result;
  }

  /// Without a planted mistake the same scenarios pass: otherwise what they catch proves nothing.
  bool controls_pass() {
    std::set<std::string_view> used;
    for (const Planting& planting : kPlantings)
      used.insert(planting.scenarios.begin(), planting.scenarios.end());
    for (const std::string_view scenario : used) {
      const RunResult result = run_one(settings(scenario, kControlSeconds));
      if (result.verdict == Verdict::pass) continue;
      say(fmt::format("nothing planted, and yet {} {}: {}\n    replay: coretest --replay '{}'",
                      scenario, to_string(result.verdict), result.reason,
                      to_replay(result.settings)));
      control_failed_ = true;
      if (!options_.keep_going) return false;
    }
    say(fmt::format("nothing planted: {} scenarios {}", used.size(),
                    control_failed_ ? "ran" : "pass"));
    return true;
  }

  bool is_caught(const Planting& planting) {
    bool struck = false;
    for (std::size_t look = 0; look < kRounds * planting.scenarios.size(); ++look) {
      const std::string_view scenario = planting.scenarios[look % planting.scenarios.size()];
      Settings s = settings(scenario, kLookSeconds);
      s.sabotage = {planting.mutant, planting.one_in};
      s.chaos = planting.chaos;
      const RunResult result = run_one(s);
      struck = struck || result.struck;
      if (result.verdict == Verdict::pass || result.verdict == Verdict::skip) continue;
      if (!result.struck) {
        say(fmt::format("{}: {} {} before anything was planted: {}", planting.what, scenario,
                        to_string(result.verdict), result.reason));
        return false;
      }
      say(fmt::format("{}: caught by {} after {:.1f} s: {}, {}", planting.what, scenario,
                      result.wall_s, to_string(result.verdict), result.reason));
      return true;
    }
    say(fmt::format("{}: NOT caught{}", planting.what,
                    struck ? "" : "; the place where it is planted was never reached"));
    return false;
  }

  int finish() {
    const bool proved = !control_failed_ && caught_ == kPlantings.size();
    const double seconds = static_cast<double>(now_ns() - start_) / kSecond;
    const std::string last =
        proved
            ? fmt::format("coretest pass. {} of {} planted mistakes caught, seed {:#x}, {:.1f} s",
                          caught_, kPlantings.size(), seed_, seconds)
            : fmt::format("coretest FAIL {}/{}. planted mistakes not caught, seed {:#x}, {:.1f} s",
                          kPlantings.size() - caught_, kPlantings.size(), seed_, seconds);
    const int code = proved ? kPassed : kBroken;
    if (json_.is_open()) {
      JsonObject summary;
      summary.text("record", "summary").number("exit_code", code).number("runs", runs_);
      summary.number("planted", kPlantings.size()).number("caught", caught_).text("final", last);
      json_ << summary.str() << '\n';
    }
    say(last);
    return code;
  }

  static void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  }

  const Options& options_;
  const std::uint64_t seed_;
  const double timeout_s_;
  const std::string program_;
  const std::int64_t start_ = now_ns();
  std::ofstream json_;
  std::uint64_t runs_ = 0;
  std::size_t caught_ = 0;
  bool control_failed_ = false;
};

}  // namespace

int run_prove(const Options& options) { return Proof(options).run(); }

}  // namespace coretest
