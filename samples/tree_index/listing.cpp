// SPDX-License-Identifier: BSL-1.0
// Listing directories with std::filesystem, without following a symbolic link.
#include "listing.hpp"

#include <system_error>
#include <utility>

namespace tree_index {

namespace {

namespace fs = std::filesystem;

void sort_in(std::string path, fs::file_type type, Listing& listing) {
  switch (type) {
    case fs::file_type::regular: listing.files.push_back(std::move(path)); break;
    case fs::file_type::directory: listing.directories.push_back(std::move(path)); break;
    case fs::file_type::symlink: ++listing.counts.links; break;
    default: ++listing.counts.specials; break;
  }
}

}  // namespace

Listing list_directory(const std::string& path) {
  Listing listing;
  std::error_code error;
  fs::directory_iterator entry(path, error);
  if (!error) listing.counts.directories = 1;
  while (!error && entry != fs::directory_iterator()) {
    // Known from the directory itself on most file systems; else an lstat.
    std::error_code vanished;
    const fs::file_type type = entry->symlink_status(vanished).type();
    if (vanished) {
      listing.counts.add_problem(entry->path().string(), vanished.message());
    } else {
      sort_in(entry->path().string(), type, listing);
    }
    entry.increment(error);
  }
  if (error) listing.counts.add_problem(path, error.message());
  return listing;
}

Listing list_arguments(const std::vector<std::string>& paths) {
  Listing listing;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_type type = fs::symlink_status(path, error).type();
    if (type == fs::file_type::not_found || error) {
      listing.counts.add_problem(path, error.message());
    } else if (type == fs::file_type::symlink) {
      listing.counts.add_problem(path, "is a symbolic link, which is not followed");
    } else {
      sort_in(path, type, listing);
    }
  }
  return listing;
}

}  // namespace tree_index
