// SPDX-License-Identifier: BSL-1.0
// The command line, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "settings.hpp"

namespace coretest {

struct Options {
  enum class Mode : std::uint8_t {
    classic,  // coretest [N]
    run,      // --scenario, --all, --quick, --list-file, --replay
    prove,
    list,
    help,
    version,
    show_topology,
    child,  // hidden: one run, started by ourselves
  };

  Mode mode = Mode::classic;
  std::uint64_t sleepers = 32;
  bool virtual_time = false;
  bool all = false;
  bool quick = false;
  std::vector<std::string> scenarios;
  std::string list_file;
  std::string replay;

  std::optional<std::uint64_t> seed;
  std::uint64_t seeds = 1;
  unsigned workers = 0;
  std::string topology;  // a file or a text; empty: this machine
  std::optional<double> duration_s;
  std::uint64_t iterations = 0;
  std::uint64_t tasks = 0;
  Chaos chaos = Chaos::off;
  std::optional<double> timeout_s;
  bool keep_going = false;

  std::string json_file;
  bool table = false;

  int wire = -1;
  int control = -1;
  std::vector<std::string> argv;
};

/// Throws UsageError.
Options parse_options(int argc, const char* const* argv);

/// What --help prints.
std::string_view help_text() noexcept;

}  // namespace coretest
