// SPDX-License-Identifier: BSL-1.0
// WordTable: counts words. One thread at a time; a table moves from task to task with its Index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "word.hpp"

namespace tree_index {

/// How often each word was seen.
///
/// The counts stand in dense arrays in the order of first appearance, and places of eight bytes,
/// found by hash, lead to them: counting a word allocates nothing as a rule, and a merge, which
/// reads a table from front to back, is cheap. A table that has become large splits into parts that
/// grow one at a time, because growing a whole table of a million words would keep the core for
/// tens of milliseconds.
class WordTable {
 public:
  struct Entry {
    const Unit* units;  // in a block of the table
    std::uint32_t length;
    std::uint32_t hash;
    std::uint64_t count;

    std::string_view word() const noexcept {
      return {reinterpret_cast<const char*>(units), length};
    }
  };

  WordTable() : parts_(1) {}

  void add(const Word& word);

  std::size_t size() const noexcept { return size_; }

  /// Where a reader is in a table.
  struct Position {
    std::size_t part = 0;
    std::size_t entry = 0;
  };

  /// Adds up to `limit` entries of `other` from `at` on, and moves `at` behind them. True: there
  /// are more. So a long merge can be done in turns.
  bool merge(const WordTable& other, Position& at, std::size_t limit);

  /// Every entry, in no particular order.
  std::vector<Entry> entries() const;

 private:
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t number = 0;  // of the entry, counted from 1; 0: the place is empty
  };
  struct Part {
    std::vector<Place> places;  // a power of two of them, or none; at most half are taken
    std::vector<Entry> entries;
  };
  struct Block {
    std::unique_ptr<Unit[]> units;
    std::size_t used = 0;
    std::size_t size = 0;
  };

  Part& part_of(std::uint32_t hash) noexcept;
  void add(const Unit* units, std::size_t length, std::uint32_t hash, std::uint64_t count);
  static void append(Part& part, Place& place, const Entry& entry);
  static void grow(Part& part);
  void split();
  const Unit* keep(const Unit* units, std::size_t count);

  std::vector<Part> parts_;  // one or kParts
  std::vector<Block> blocks_;
  std::size_t size_ = 0;
};

}  // namespace tree_index
