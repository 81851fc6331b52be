// SPDX-License-Identifier: BSL-1.0
#include "sim/report.hpp"

#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "coretest/json.hpp"

namespace paceline_sim {

namespace {

using coretest::JsonObject;

const char* sign(Relation relation) {
  switch (relation) {
    case Relation::at_most: return "<=";
    case Relation::at_least: return ">=";
    case Relation::equal: return "==";
  }
  return "?";
}

std::string joined(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& item : items) list += (list.empty() ? "" : ", ") + item;
  return "[" + list + "]";
}

std::string json_number(double value) { return std::isfinite(value) ? number(value) : "null"; }

}  // namespace

std::string number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{:.6g}", value);
}

bool Check::ok() const {
  switch (relation) {
    case Relation::at_most: return figure <= bound;
    case Relation::at_least: return figure >= bound;
    case Relation::equal: return std::abs(figure - bound) <= tolerance;
  }
  return false;
}

std::string Check::text() const {
  std::string text = fmt::format("{} {} {}", number(figure), sign(relation), number(bound));
  if (tolerance != 0) text += fmt::format(" within {:.2g}", tolerance);
  return text;
}

Report::Report(std::string scenario, std::uint64_t seed, std::string topology, std::string command,
               std::map<std::string, double> bounds)
    : scenario_(std::move(scenario)),
      seed_(seed),
      topology_(std::move(topology)),
      command_(std::move(command)),
      bounds_(std::move(bounds)) {}

void Report::check(std::string name, double figure, Relation relation, double bound,
                   double tolerance) {
  const auto other = bounds_.find(name);
  checks_.push_back({std::move(name), figure, relation,
                     other == bounds_.end() ? bound : other->second, tolerance});
}

void Report::at_most(std::string name, double figure, double bound) {
  check(std::move(name), figure, Relation::at_most, bound, 0);
}

void Report::at_least(std::string name, double figure, double bound) {
  check(std::move(name), figure, Relation::at_least, bound, 0);
}

void Report::equal(std::string name, double figure, double bound, double tolerance) {
  check(std::move(name), figure, Relation::equal, bound, tolerance);
}

bool Report::ok() const {
  return std::all_of(checks_.begin(), checks_.end(), [](const Check& c) { return c.ok(); });
}

std::vector<std::string> Report::unknown_bounds() const {
  std::vector<std::string> unknown;
  for (const auto& entry : bounds_) {
    const bool known = std::any_of(checks_.begin(), checks_.end(),
                                   [&](const Check& c) { return c.name == entry.first; });
    if (!known) unknown.push_back(entry.first);
  }
  return unknown;
}

std::string Report::json() const {
  JsonObject figures;
  for (const auto& [name, value] : figures_) figures.raw(name, json_number(value));
  std::vector<std::string> checks;
  for (const Check& c : checks_) {
    checks.push_back(JsonObject()
                         .text("name", c.name)
                         .raw("figure", json_number(c.figure))
                         .text("relation", sign(c.relation))
                         .raw("bound", json_number(c.bound))
                         .raw("tolerance", number(c.tolerance))
                         .yes("ok", c.ok())
                         .str());
  }
  return JsonObject()
             .text("scenario", scenario_)
             .number("seed", seed_)
             .text("topology", topology_)
             .text("command", command_)
             .yes("ok", ok())
             .raw("figures", figures.str())
             .raw("checks", joined(checks))
             .str() +
         "\n";
}

std::string Report::text(std::string_view what) const {
  std::string text = fmt::format("{}: {}\nseed {}, {}\n\n", scenario_, what, seed_, topology_);
  std::size_t width = 0;
  for (const auto& [name, value] : figures_) width = std::max(width, name.size());
  for (const Check& c : checks_) width = std::max(width, c.name.size());
  for (const auto& [name, value] : figures_) {
    text += fmt::format("        {:<{}}  {}\n", name, width, number(value));
  }
  for (const Check& c : checks_) {
    text += fmt::format("  {:<4}  {:<{}}  {}\n", c.ok() ? "ok" : "FAIL", c.name, width, c.text());
  }
  return text;
}

std::string Report::failures() const {
  std::string text;
  for (const Check& c : checks_) {
    if (c.ok()) continue;
    text +=
        fmt::format("{} with seed {}: {} does not hold: {}\n", scenario_, seed_, c.name, c.text());
  }
  if (!text.empty()) text += fmt::format("repeat with: {}\n", command_);
  return text;
}

}  // namespace paceline_sim
