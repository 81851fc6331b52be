// SPDX-License-Identifier: BSL-1.0
// WordTable: open addressing with linear probing, in one part or many.
#include "word_table.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace tree_index {

namespace {

constexpr unsigned kPartBits = 6;
constexpr std::size_t kParts = std::size_t{1} << kPartBits;
constexpr std::size_t kSplitAt = 8192;  // words in a table of one part
constexpr std::size_t kFirstPlaces = 256;
constexpr std::size_t kFirstBlock = 512;  // units
constexpr std::size_t kLargestBlock = 32 * 1024;

/// Most words are one or two units long: a call of memcmp would cost more than the comparison.
bool same(const Unit* a, const Unit* b, std::size_t units) noexcept {
  for (std::size_t i = 0; i < units; ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace

void WordTable::add(const Word& word) { add(word.units(), word.length(), word.hash(), 1); }

// The high bits of a hash choose the part, the low ones the place in it.
WordTable::Part& WordTable::part_of(std::uint32_t hash) noexcept {
  return parts_[parts_.size() == 1 ? 0 : hash >> (32 - kPartBits)];
}

void WordTable::add(const Unit* units, std::size_t length, std::uint32_t hash,
                    std::uint64_t count) {
  Part& part = part_of(hash);
  if (part.entries.size() * 2 >= part.places.size()) grow(part);
  const std::size_t mask = part.places.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    Place& place = part.places[i];
    if (place.number == 0) {
      const Unit* const kept = keep(units, units_for(length));
      append(part, place, {kept, static_cast<std::uint32_t>(length), hash, count});
      ++size_;
      if (size_ == kSplitAt) split();
      return;
    }
    if (place.hash != hash) continue;
    Entry& entry = part.entries[place.number - 1];
    if (entry.length == length && same(units, entry.units, units_for(length))) {
      entry.count += count;
      return;
    }
  }
}

void WordTable::append(Part& part, Place& place, const Entry& entry) {
  if (part.entries.size() == std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("too many different words");
  }
  part.entries.push_back(entry);
  place = {entry.hash, static_cast<std::uint32_t>(part.entries.size())};
}

void WordTable::grow(Part& part) {
  std::vector<Place> wider(std::max(kFirstPlaces, part.places.size() * 2));
  const std::size_t mask = wider.size() - 1;
  for (const Place& place : part.places) {
    if (place.number == 0) continue;
    std::size_t i = place.hash & mask;
    while (wider[i].number != 0) i = (i + 1) & mask;
    wider[i] = place;
  }
  part.places = std::move(wider);
}

void WordTable::split() {
  const Part whole = std::exchange(parts_, std::vector<Part>(kParts)).front();
  for (const Entry& entry : whole.entries) {
    Part& part = part_of(entry.hash);
    if (part.entries.size() * 2 >= part.places.size()) grow(part);
    const std::size_t mask = part.places.size() - 1;
    std::size_t i = entry.hash & mask;
    while (part.places[i].number != 0) i = (i + 1) & mask;
    append(part, part.places[i], entry);
  }
}

bool WordTable::merge(const WordTable& other, Position& at, std::size_t limit) {
  for (; at.part != other.parts_.size(); ++at.part, at.entry = 0) {
    const std::vector<Entry>& entries = other.parts_[at.part].entries;
    for (; at.entry != entries.size(); ++at.entry, --limit) {
      if (limit == 0) return true;
      const Entry& entry = entries[at.entry];
      add(entry.units, entry.length, entry.hash, entry.count);
    }
  }
  return false;
}

std::vector<WordTable::Entry> WordTable::entries() const {
  std::vector<Entry> all;
  all.reserve(size_);
  for (const Part& part : parts_) all.insert(all.end(), part.entries.begin(), part.entries.end());
  return all;
}

const Unit* WordTable::keep(const Unit* units, std::size_t count) {
  if (blocks_.empty() || blocks_.back().size - blocks_.back().used < count) {
    const std::size_t size =
        blocks_.empty() ? kFirstBlock : std::min(kLargestBlock, blocks_.back().size * 2);
    blocks_.push_back({std::make_unique_for_overwrite<Unit[]>(size), 0, size});
  }
  Block& block = blocks_.back();
  Unit* const copy = block.units.get() + block.used;
  std::copy_n(units, count, copy);
  block.used += count;
  return copy;
}

}  // namespace tree_index
