// SPDX-License-Identifier: BSL-1.0
// Report: what was run and what came of it, for machines (JSON Lines), for people (a table and the
// final line) and for the shell (the exit code).
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "process.hpp"

namespace coretest {

/// Exit codes; the highest severity wins: 6, 4, 1, 5, 7.
enum Exit : int {
  kPassed = 0,
  kBroken = 1,
  kUsage = 2,
  kUnsuitable = 3,
  kHang = 4,
  kLimit = 5,
  kCrash = 6,
  kGoal = 7,
  kAllSkipped = 77,
};

/// What one invocation is about, for the header record.
struct Heading {
  std::uint64_t seed = 0;
  Chaos chaos = Chaos::off;
  std::vector<std::string> argv;
};

class Report {
 public:
  /// `json_file` empty: no JSON. Throws UsageError if it cannot be written.
  Report(const std::string& json_file, const Heading& heading);

  /// Takes a finished run: prints its line, and all of it if it failed.
  void add(RunResult result);
  /// Is what was seen so far worth stopping for?
  bool failed() const noexcept;

  /// Judges the goals over all runs, prints the table if asked, writes the summary record and
  /// prints the final line. Returns the exit code.
  int finish(bool table);

 private:
  struct Missing {
    std::string scenario;
    std::string goal;
  };

  void write(const std::string& line);
  void print_failure(const RunResult& result) const;
  std::vector<Missing> missing_goals() const;
  void print_table() const;
  double seconds() const;
  int exit_code(const std::vector<Missing>& missing) const;
  std::string final_line(int code, const std::vector<Missing>& missing) const;

  const Heading heading_;
  const std::int64_t start_;
  std::ofstream json_;
  std::vector<RunResult> results_;
};

/// One JSON record of a run; `expected` is written when a list file asked for a verdict.
std::string run_record(const RunResult& result);

}  // namespace coretest
