// SPDX-License-Identifier: BSL-1.0
// pacebench --list | pacebench CASE... [--workers N] [--n N] [--repeat N] [--json FILE] [--tiny]
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "harness.hpp"

namespace pacebench {

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

}  // namespace pacebench

namespace {

using namespace pacebench;

struct Row {
  std::string name, unit;
  std::map<std::string, std::string> params;
  std::map<std::string, double> also;  // medians
  double median = 0, mad = 0, min = 0, max = 0;
  std::size_t repeats = 0;
  std::uint64_t work_hash = 0;
};

Row measure(const Case& c, const Settings& settings, std::size_t repeats, bool tiny) {
  const Prepared prepared = c.prepare(settings);
  if (!tiny) prepared.once();  // warms caches and pools
  std::vector<double> values;
  Row row{c.name, c.unit, prepared.params, {}, 0, 0, 0, 0, repeats, 0};
  std::map<std::string, std::vector<double>> also;
  for (std::size_t i = 0; i < repeats; ++i) {
    const Sample sample = prepared.once();
    require(i == 0 || sample.work_hash == row.work_hash, c.name + ": the work differs by repeat");
    row.work_hash = sample.work_hash;
    values.push_back(sample.value);
    for (const auto& [name, value] : sample.also) also[name].push_back(value);
  }
  for (const auto& [name, figures] : also) row.also[name] = median_of(figures);
  row.median = median_of(values);
  std::vector<double> deviations;
  for (double v : values) deviations.push_back(std::abs(v - row.median));
  row.mad = median_of(deviations);
  row.min = *std::min_element(values.begin(), values.end());
  row.max = *std::max_element(values.begin(), values.end());
  return row;
}

std::string json(const Row& row) {
  std::string params;
  for (const auto& [key, value] : row.params) {
    params += fmt::format("{}\"{}\": \"{}\"", params.empty() ? "" : ", ", key, value);
  }
  std::string also;
  for (const auto& [key, value] : row.also) also += fmt::format("\"{}\": {:.3f}, ", key, value);
  return fmt::format(
      R"({{"name": "{}", "params": {{{}}}, "unit": "{}", "median": {:.3f}, "mad": {:.3f}, )"
      R"("min": {:.3f}, "max": {:.3f}, {}"repeats": {}, "work_hash": "{:016x}"}})",
      row.name, params, row.unit, row.median, row.mad, row.min, row.max, also, row.repeats,
      row.work_hash);
}

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern == "all" || pattern == name) return true;
  return pattern.ends_with("/*") && name.starts_with(pattern.substr(0, pattern.size() - 1));
}

int usage(std::FILE* out) {
  std::fputs(
      "pacebench --list\n"
      "pacebench CASE... [--workers N] [--n N] [--repeat N] [--json FILE] [--tiny]\n"
      "  CASE        area/name, area/* or all\n"
      "  --workers   worker threads (default 2)\n"
      "  --n         size of the case (default: each case's own)\n"
      "  --repeat    measured repeats after one warm-up (default 11)\n"
      "  --json      also write one JSON row per case to FILE\n"
      "  --tiny      smallest sizes, one repeat, no warm-up: only checks that the cases work\n",
      out);
  return out == stdout ? 0 : 2;
}

std::uint64_t number(const char* option, const char* text) {
  std::uint64_t value = 0;
  const char* end = text + std::strlen(text);
  if (const auto [at, error] = std::from_chars(text, end, value);
      error != std::errc() || at != end) {
    throw std::invalid_argument(fmt::format("{} takes a number, not '{}'", option, text));
  }
  return value;
}

int run(int argc, char** argv) {
  Settings settings;
  std::size_t repeats = 11;
  std::string json_file;
  bool list = false;
  bool tiny = false;
  std::vector<std::string> patterns;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 >= argc) throw std::invalid_argument(std::string(arg) + " needs a value");
      return argv[++i];
    };
    if (arg == "--list") {
      list = true;
    } else if (arg == "--help" || arg == "-h") {
      return usage(stdout);
    } else if (arg == "--workers") {
      settings.workers = number("--workers", value());
    } else if (arg == "--n") {
      settings.n = number("--n", value());
    } else if (arg == "--repeat") {
      repeats = std::max<std::uint64_t>(1, number("--repeat", value()));
    } else if (arg == "--json") {
      json_file = value();
    } else if (arg == "--tiny") {
      tiny = true;
    } else if (arg.starts_with("-")) {
      throw std::invalid_argument("unknown option " + std::string(arg));
    } else {
      patterns.emplace_back(arg);
    }
  }
  auto& all = cases();
  std::sort(all.begin(), all.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  if (list) {
    for (const Case& c : all)
      std::puts(fmt::format("{:<22} {:<10} {}", c.name, c.unit, c.what).c_str());
    return 0;
  }
  if (patterns.empty()) return usage(stderr);
  std::vector<const Case*> chosen;
  for (const std::string& pattern : patterns) {
    const std::size_t before = chosen.size();
    for (const Case& c : all) {
      if (matches(pattern, c.name)) chosen.push_back(&c);
    }
    if (chosen.size() == before) {
      throw std::invalid_argument("no case matches '" + pattern + "'; see pacebench --list");
    }
  }
  if (tiny) {
    repeats = 1;
    if (settings.n == 0) settings.n = 10;
  }
  std::ofstream rows;
  if (!json_file.empty()) {
    rows.open(json_file);
    if (!rows) throw std::invalid_argument("cannot write " + json_file);
  }
  std::puts(fmt::format("{:<22} {:>12} {:>10} {:>12} {:>12}  {}", "case", "median", "MAD", "min",
                        "max", "unit")
                .c_str());
  for (const Case* c : chosen) {
    const Row row = measure(*c, settings, repeats, tiny);
    std::puts(fmt::format("{:<22} {:>12.1f} {:>10.1f} {:>12.1f} {:>12.1f}  {}", row.name,
                          row.median, row.mad, row.min, row.max, row.unit)
                  .c_str());
    for (const auto& [name, value] : row.also) {
      std::puts(fmt::format("  {:<20} {:>12.1f}", name, value).c_str());
    }
    std::fflush(stdout);
    if (rows.is_open()) rows << json(row) << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "pacebench: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pacebench: FAILED: %s\n", error.what());
    return 1;
  }
}
