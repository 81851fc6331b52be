// SPDX-License-Identifier: BSL-1.0
// FileScan: reads one regular file chunk by chunk and indexes it.
#pragma once

#include <cstdint>
#include <string>

#include "index.hpp"
#include "tokenizer.hpp"

namespace tree_index {

/// One file on its way into an Index. Nothing is opened before the first step. A file that cannot
/// be read, or no longer, becomes a Problem and leaves nothing else behind.
class FileScan {
 public:
  explicit FileScan(std::string path) : path_(std::move(path)) {}
  FileScan(const FileScan&) = delete;
  FileScan& operator=(const FileScan&) = delete;
  ~FileScan() { close(); }

  /// Reads and indexes up to 64 KiB. True: there may be more, call again.
  bool step();

  /// The result, once step() has said false.
  Index take() { return std::move(index_); }

 private:
  bool open();
  void count_file(std::uint64_t bytes);
  bool fail(int error);  // false, for step() to return
  void close() noexcept;

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t bytes_read_ = 0;
  Tokenizer tokenizer_;
  Index index_;
};

}  // namespace tree_index
