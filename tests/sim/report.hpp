// SPDX-License-Identifier: BSL-1.0
// What a scenario found: figures, and checks of figures against bounds. Written as text or as one
// JSON object; the same run gives the same bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace paceline_sim {

enum class Relation : std::uint8_t { at_most, at_least, equal };

struct Check {
  std::string name;
  double figure;
  Relation relation;
  double bound;
  double tolerance;  ///< of `equal`

  bool ok() const;
  /// "12 <= 8"
  std::string text() const;
};

class Report {
 public:
  /// `command` repeats the run; `bounds` replace those of the scenario, by the check's name.
  Report(std::string scenario, std::uint64_t seed, std::string topology, std::string command,
         std::map<std::string, double> bounds);

  void figure(std::string name, double value) { figures_.emplace_back(std::move(name), value); }
  /// The units are in the names.
  void at_most(std::string name, double figure, double bound);
  void at_least(std::string name, double figure, double bound);
  void equal(std::string name, double figure, double bound, double tolerance = 0);

  bool ok() const;
  /// Names in `bounds` that no check has.
  std::vector<std::string> unknown_bounds() const;

  const std::string& scenario() const { return scenario_; }
  std::uint64_t seed() const { return seed_; }
  const std::string& topology() const { return topology_; }
  const std::string& command() const { return command_; }
  const std::vector<std::pair<std::string, double>>& figures() const { return figures_; }
  const std::vector<Check>& checks() const { return checks_; }

  std::string json() const;
  std::string text(std::string_view what) const;
  /// One line for each check that fails, and how to see it again; empty if all hold.
  std::string failures() const;

 private:
  void check(std::string name, double figure, Relation relation, double bound, double tolerance);

  std::string scenario_;
  std::uint64_t seed_;
  std::string topology_;
  std::string command_;
  std::map<std::string, double> bounds_;
  std::vector<std::pair<std::string, double>> figures_;
  std::vector<Check> checks_;
};

/// Six digits at most, no trailing zeros.
std::string number(double value);

}  // namespace paceline_sim
