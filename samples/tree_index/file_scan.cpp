// SPDX-License-Identifier: BSL-1.0
// FileScan: open, read, judge, tokenise.
#include "file_scan.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tree_index {

namespace {

constexpr std::size_t kChunk = 64 * 1024;
/// A file with a NUL byte in its first 8 KiB is binary.
constexpr std::size_t kJudgedBytes = 8 * 1024;

/// Fills `chunk` as far as the file goes. Returns the number of bytes, or -1 with errno.
ssize_t read_chunk(int descriptor, char* chunk) {
  std::size_t filled = 0;
  while (filled < kChunk) {
    const ssize_t n = ::read(descriptor, chunk + filled, kChunk - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(filled);
}

bool is_binary(std::string_view start) {
  return start.substr(0, kJudgedBytes).find('\0') != std::string_view::npos;
}

}  // namespace

bool FileScan::step() {
  const bool first = descriptor_ < 0;
  if (first && !open()) return false;

  // On the stack, not in the object: it is needed between two suspensions only, so that files that
  // wait for their turn are small, and the core's cache has it already.
  char chunk[kChunk];
  const ssize_t n = read_chunk(descriptor_, chunk);
  if (n < 0) return fail(errno);
  const std::string_view text(chunk, static_cast<std::size_t>(n));

  if (first && is_binary(text)) {
    struct stat status;
    if (::fstat(descriptor_, &status) != 0) return fail(errno);
    index_.binaries = 1;
    count_file(static_cast<std::uint64_t>(status.st_size));
    return false;
  }
  bytes_read_ += text.size();
  tokenizer_.feed(text, index_.table);
  if (text.size() == kChunk) return true;

  tokenizer_.finish(index_.table);
  index_.words = tokenizer_.words();
  count_file(bytes_read_);
  return false;
}

bool FileScan::open() {
  // The file may have been replaced since it was listed: follow no link, wait for no pipe.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) return fail(errno);
  struct stat status;
  if (::fstat(descriptor_, &status) != 0) return fail(errno);
  if (S_ISREG(status.st_mode)) return true;
  index_.specials = 1;
  close();
  return false;
}

void FileScan::count_file(std::uint64_t bytes) {
  index_.files = 1;
  index_.bytes = bytes;
  index_.largest.add({bytes, std::move(path_)});
  close();
}

bool FileScan::fail(int error) {
  index_ = Index{};
  index_.add_problem(std::move(path_), std::generic_category().message(error));
  close();
  return false;
}

void FileScan::close() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace tree_index
