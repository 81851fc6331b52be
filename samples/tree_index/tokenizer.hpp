// SPDX-License-Identifier: BSL-1.0
// Tokenizer: cuts text that arrives in chunks into words and counts them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "word_table.hpp"

namespace tree_index {

/// A word is a run of ASCII letters, digits and underscores that starts with a letter and has 3 to
/// 255 characters; it is counted in lower case. (A longer run is data, not language.) A run is as
/// long as it gets: neither "0x1f" nor "_exit" starts with a letter, so neither holds a word.
class Tokenizer {
 public:
  /// Counts the words of the next chunk into `table`. A run that touches the end of the chunk is
  /// kept for the next call.
  void feed(std::string_view chunk, WordTable& table);

  /// Counts what feed() has kept: the text is over.
  void finish(WordTable& table);

  /// Words counted so far, repetitions included.
  std::uint64_t words() const noexcept { return words_; }

 private:
  void keep(std::string_view run);
  void count(std::string_view run, WordTable& table);

  std::string kept_;  // start of a run that may go on, cut after Word::kLongest + 1 characters
  std::uint64_t words_ = 0;
};

}  // namespace tree_index
