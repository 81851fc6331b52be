// SPDX-License-Identifier: BSL-1.0
// The command line of tree_index.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace tree_index {

struct Options {
  std::vector<std::string> paths;
  std::optional<std::size_t> workers;  // default: one per usable core
  std::size_t top = 20;
  bool serial = false;
  bool json = false;
  bool compare = false;
  bool help = false;
};

extern const char* const kHelp;

/// Throws std::invalid_argument whose message says what is wrong.
Options parse_options(const std::vector<std::string>& arguments);

/// The system's include and documentation trees, as far as it has them.
std::vector<std::string> default_paths();

}  // namespace tree_index
