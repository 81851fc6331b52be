// SPDX-License-Identifier: BSL-1.0
// WordTable: counts words. One thread at a time; a table moves from task to task with its Index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace tree_index {

/// How often each word was seen.
///
/// The words lie side by side in blocks of characters, the counts in one dense array in the order
/// of first appearance, and a hash index of eight bytes per place leads to them. So counting a word
/// allocates nothing as a rule, and reading a table from front to back, as a merge does, is cheap.
class WordTable {
 public:
  struct Entry {
    const char* text;  // in a block of this table
    std::uint32_t length;
    std::uint32_t hash;
    std::uint64_t count;

    std::string_view word() const noexcept { return {text, length}; }
  };

  /// Words are up to 4095 bytes long.
  void add(std::string_view word, std::uint64_t count = 1) { add_hashed(word, hash_of(word), count); }

  /// Adds up to `limit` entries of `other`, from number `first` on. Returns the number of the first
  /// entry left out, so that a long merge can be done in turns; other.size() when all are in.
  std::size_t merge(const WordTable& other, std::size_t first, std::size_t limit);

  std::size_t size() const noexcept { return entries_.size(); }
  const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t number = 0;  // of the entry, counted from 1; 0: the place is empty
  };
  struct Block {
    std::unique_ptr<char[]> text;
    std::size_t used = 0;
    std::size_t size = 0;
  };

  static std::uint32_t hash_of(std::string_view word) noexcept;
  void add_hashed(std::string_view word, std::uint32_t hash, std::uint64_t count);
  void insert(Place& place, std::string_view word, std::uint32_t hash, std::uint64_t count);
  void grow();
  const char* keep(std::string_view word);

  std::vector<Place> places_;  // a power of two of them, or none; at most half are taken
  std::vector<Entry> entries_;
  std::vector<Block> blocks_;
};

}  // namespace tree_index
