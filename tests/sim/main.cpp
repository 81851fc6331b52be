// SPDX-License-Identifier: BSL-1.0
// paceline-sim: the policies on simulated cores, in virtual time.
// Exit code: 0 all checks hold, 1 one does not, 2 the command line or a file is wrong.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include <paceline/topology.hpp>

#include "sim/picture.hpp"
#include "sim/scenario.hpp"

namespace {

using namespace paceline_sim;

constexpr const char* kUsage = R"(usage: paceline-sim --scenario NAME [options]
       paceline-sim --list

  --scenario NAME      what is simulated
  --seed N             decides everything that is left to chance; 1 without it
  --topology MACHINE   a text like 4P+4E, or a file of hwloc, for scenarios that run on any machine
  --json               one JSON object instead of text
  --svg FILE           writes a timeline as a picture
  --html FILE          writes a page with the picture, the checks and the figures
  --bound CHECK=VALUE  another bound for a check; may be repeated
  --list               names and describes the scenarios
)";

struct Options {
  const Scenario* scenario = nullptr;
  std::uint64_t seed = 1;
  std::optional<std::string> topology;
  bool json = false;
  bool list = false;
  bool help = false;
  std::string svg;
  std::string html;
  std::map<std::string, double> bounds;
  std::string bound_words;  // as given, to be repeated
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

const Scenario& scenario_named(const std::string& name) {
  std::string all;
  for (const Scenario& scenario : scenarios()) {
    if (scenario.name == name) return scenario;
    all += fmt::format("{}{}", all.empty() ? "" : ", ", scenario.name);
  }
  throw UsageError(fmt::format("there is no scenario '{}'; there are {}", name, all));
}

template <class Number>
Number parsed(const std::string& text, const char* what) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw UsageError(fmt::format("'{}' is not {}", text, what));
  }
  return value;
}

/// A word of the command that is printed, such that a shell reads it as it was.
std::string quoted(const std::string& word) {
  const bool plain = word.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_+-=.,:@/%") == std::string::npos;
  if (plain && !word.empty()) return word;
  std::string safe = "'";
  for (const char c : word) safe += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return safe + "'";
}

void add_bound(const std::string& text, Options& options) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos || at == 0) throw UsageError("--bound takes CHECK=VALUE");
  const auto value = parsed<double>(text.substr(at + 1), "a number");
  if (!std::isfinite(value)) throw UsageError("--bound takes a finite number");
  options.bounds[text.substr(0, at)] = value;
  options.bound_words += " --bound " + quoted(text);
}

Options parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto value = [&] {
      if (i + 1 == words.size()) throw UsageError(words[i] + " needs a value");
      return words[++i];
    };
    const std::string& word = words[i];
    if (word == "--scenario") {
      options.scenario = &scenario_named(value());
    } else if (word == "--seed") {
      options.seed = parsed<std::uint64_t>(value(), "a whole number from 0");
    } else if (word == "--topology") {
      options.topology = value();
    } else if (word == "--json") {
      options.json = true;
    } else if (word == "--svg") {
      options.svg = value();
    } else if (word == "--html") {
      options.html = value();
    } else if (word == "--bound") {
      add_bound(value(), options);
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--help" || word == "-h") {
      options.help = true;
    } else {
      throw UsageError(fmt::format("unknown argument '{}'; see --help", word));
    }
  }
  if (options.list || options.help) return options;
  if (options.scenario == nullptr) throw UsageError("give a --scenario; --list names them");
  if (options.topology && !options.scenario->any_machine) {
    throw UsageError(fmt::format("{} has a machine of its own", options.scenario->name));
  }
  return options;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw UsageError(fmt::format("cannot write '{}'", path));
}

void list() {
  for (const Scenario& s : scenarios()) {
    fmt::print("{:<13} {} ({}{})\n", s.name, s.what, s.topology,
               s.any_machine ? ", or any --topology" : "");
  }
}

int play(const Options& options) {
  const Scenario& scenario = *options.scenario;
  const std::string text = options.topology.value_or(std::string(scenario.topology));
  const auto machine = paceline::topology::from_file_or_text(text);
  std::string command =
      fmt::format("./dev sim --scenario {} --seed {}", scenario.name, options.seed);
  if (options.topology) command += " --topology " + quoted(text);
  command += options.bound_words;
  Report report(std::string(scenario.name), options.seed, text, command, options.bounds);
  Timeline timeline;
  Run run{options.seed, machine, report, timeline};
  scenario.run(run);
  if (const auto unknown = report.unknown_bounds(); !unknown.empty()) {
    throw UsageError(fmt::format("{} has no check '{}'", scenario.name, unknown.front()));
  }
  if (!options.svg.empty()) write(options.svg, svg_of(timeline, scenario.what, report));
  if (!options.html.empty()) write(options.html, html_of(timeline, scenario.what, report));
  std::cout << (options.json ? report.json() : report.text(scenario.what)) << std::flush;
  std::cerr << report.failures();
  return report.ok() ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse({words + 1, words + count});
    if (options.help) {
      std::cout << kUsage;
      return 0;
    }
    if (options.list) {
      list();
      return 0;
    }
    return play(options);
  } catch (const std::exception& error) {
    std::cerr << "paceline-sim: " << error.what() << '\n';
    return 2;
  }
}
