// SPDX-License-Identifier: BSL-1.0
// The harness of the peers in C++: command line, statistics and rows are those of
// benchmarks/main.cpp, in standard C++ alone so that a peer needs nothing but what it measures.
#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "../harness.hpp"

namespace pacebench {

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

}  // namespace pacebench

namespace {

using namespace pacebench;

struct Options {
  std::vector<std::string_view> patterns;
  bool list = false;
  Settings settings;
  std::size_t repeat = 11;
  const char* json = nullptr;
};

std::uint64_t number(std::string_view option, const char* text) {
  std::uint64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (error != std::errc() || at != end) {
    throw std::invalid_argument(std::string(option) + " takes a number, not '" + text + "'");
  }
  return value;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto text = [&] {
      if (i + 1 >= argc) throw std::invalid_argument(std::string(arg) + " needs a value");
      return argv[++i];
    };
    if (arg == "--list") {
      o.list = true;
    } else if (arg == "--workers") {
      o.settings.workers = std::max<std::uint64_t>(1, number(arg, text()));
    } else if (arg == "--n") {
      o.settings.n = number(arg, text());
    } else if (arg == "--repeat") {
      o.repeat = std::max<std::uint64_t>(1, number(arg, text()));
    } else if (arg == "--json") {
      o.json = text();
    } else if (arg.starts_with("-")) {
      throw std::invalid_argument("unknown option " + std::string(arg));
    } else {
      o.patterns.push_back(arg);
    }
  }
  return o;
}

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern == "all" || pattern == name) return true;
  return pattern.ends_with("/*") && name.starts_with(pattern.substr(0, pattern.size() - 1));
}

std::vector<const Case*> choose(const std::vector<std::string_view>& patterns) {
  if (patterns.empty()) throw std::invalid_argument("no case given");
  std::vector<const Case*> chosen;
  for (const std::string_view pattern : patterns) {
    const std::size_t before = chosen.size();
    for (const Case& c : cases()) {
      if (matches(pattern, c.name)) chosen.push_back(&c);
    }
    if (chosen.size() == before) {
      throw std::invalid_argument("no case matches '" + std::string(pattern) + "'; see --list");
    }
  }
  return chosen;
}

/// Prints the case's line of the table and, given a file, its JSON row.
void measure(const Case& c, const Options& options, std::FILE* rows) {
  const Prepared prepared = c.prepare(options.settings);
  const std::uint64_t work_hash = prepared.once().work_hash;  // the warm-up
  std::vector<double> values;
  std::map<std::string, std::vector<double>> also;
  for (std::size_t i = 0; i < options.repeat; ++i) {
    const Sample sample = prepared.once();
    require(sample.work_hash == work_hash, c.name + ": the work differs by repeat");
    values.push_back(sample.value);
    for (const auto& [name, value] : sample.also) also[name].push_back(value);
  }
  const double median = median_of(values);
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  std::vector<double> deviations;
  for (const double v : values) deviations.push_back(std::abs(v - median));
  const double mad = median_of(deviations);
  std::printf("%-20s %12.1f %10.1f %12.1f %12.1f  %s\n", c.name.c_str(), median, mad, *min, *max,
              c.unit.c_str());
  std::string further;
  for (const auto& [name, figures] : also) {
    std::printf("  %-18s %12.1f\n", name.c_str(), median_of(figures));
    further += "\"" + name + "\": " + std::to_string(median_of(figures)) + ", ";
  }
  if (rows == nullptr) return;
  std::fprintf(rows,
               R"({"name": "%s", "params": {"n": "%s", "workers": "%s"}, "unit": "%s", )"
               R"("median": %.3f, "mad": %.3f, "min": %.3f, "max": %.3f, %s"repeats": %zu, )"
               R"("work_hash": "%016)" PRIx64 "\"}\n",
               c.name.c_str(), prepared.params.at("n").c_str(),
               prepared.params.at("workers").c_str(), c.unit.c_str(), median, mad, *min, *max,
               further.c_str(), values.size(), work_hash);
}

void run(const Options& options) {
  if (options.list) {
    for (const Case& c : cases()) {
      std::printf("%-20s %-10s %s\n", c.name.c_str(), c.unit.c_str(), c.what.c_str());
    }
    return;
  }
  const std::vector<const Case*> chosen = choose(options.patterns);
  std::FILE* rows = nullptr;
  if (options.json != nullptr && (rows = std::fopen(options.json, "w")) == nullptr) {
    throw std::invalid_argument(std::string("cannot write ") + options.json);
  }
  std::printf("%-20s %12s %10s %12s %12s  unit\n", "case", "median", "MAD", "min", "max");
  for (const Case* c : chosen) measure(*c, options, rows);
  if (rows != nullptr) require(std::fclose(rows) == 0, "the rows are written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "peer: %s\n", error.what());
    std::fputs("peer --list | peer CASE... [--workers N] [--n N] [--repeat N] [--json FILE]\n",
               stderr);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer: FAILED: %s\n", error.what());
    return 1;
  }
}
