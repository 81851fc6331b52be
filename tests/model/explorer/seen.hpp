// SPDX-License-Identifier: BSL-1.0
// Seen: the states a search has come by, and a number for each.
// An open-addressed table of 16-byte entries; it only grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "explorer/image.hpp"

namespace model {

class Seen {
 public:
  static constexpr std::uint32_t kNew = ~0u;

  Seen() : entries_(std::size_t{1} << 12) {}

  std::size_t size() const noexcept { return size_; }

  /// The number kept for `key`, which is added with kNew if it is new. Valid until the next call.
  std::uint32_t& operator[](const Key& key) {
    if (size_ * 3 >= entries_.size() * 2) grow();
    Entry& entry = place(entries_, key);
    if (!entry.used) {
      entry = {key.high, key.low & kLowMask, true, kNew};
      ++size_;
    }
    return entry.number;
  }

 private:
  static constexpr std::uint32_t kLowMask = 0x7fff'ffff;
  struct Entry {
    std::uint64_t high;
    std::uint32_t low : 31;
    std::uint32_t used : 1;
    std::uint32_t number;
  };
  static_assert(sizeof(Entry) == 16);

  static Entry& place(std::vector<Entry>& entries, const Key& key) noexcept {
    const std::size_t mask = entries.size() - 1;
    for (std::size_t at = key.high & mask;; at = (at + 1) & mask) {
      Entry& entry = entries[at];
      if (!entry.used || (entry.high == key.high && entry.low == (key.low & kLowMask))) {
        return entry;
      }
    }
  }
  void grow() {
    std::vector<Entry> larger(entries_.size() * 2);
    for (const Entry& entry : entries_) {
      if (entry.used) place(larger, {entry.high, entry.low}) = entry;
    }
    entries_.swap(larger);
  }

  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

}  // namespace model
