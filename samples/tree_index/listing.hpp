// SPDX-License-Identifier: BSL-1.0
// Listing: what a directory contains, and what a path given as argument is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "index.hpp"

namespace tree_index {

struct Listing {
  std::vector<std::string> files;  // regular files and directories, by path
  std::vector<std::string> directories;
  Index counts;  // the rest: symbolic links, special files, what could not be read
};

/// Reads a directory. A failure ends the listing early and is one of its problems.
Listing list_directory(const std::string& path);

/// Sorts the paths given as arguments into files and directories. One that does not exist, or is a
/// symbolic link, is a problem: it was asked for by name.
Listing list_arguments(const std::vector<std::string>& paths);

}  // namespace tree_index
