// SPDX-License-Identifier: BSL-1.0
// WordTable: open addressing with linear probing.
#include "word_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

namespace tree_index {

namespace {

constexpr std::size_t kFirstPlaces = 256;
constexpr std::size_t kFirstBlock = 4 * 1024;
constexpr std::size_t kLargestBlock = 256 * 1024;

std::uint64_t load(const char* from, std::size_t bytes) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, from, bytes);
  return value;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
  return hash ^ (hash >> 32);
}

}  // namespace

std::uint32_t WordTable::hash_of(std::string_view word) noexcept {
  std::uint64_t hash = word.size();
  const char* at = word.data();
  std::size_t left = word.size();
  for (; left > 8; at += 8, left -= 8) hash = mix(hash, load(at, 8));
  return static_cast<std::uint32_t>(mix(hash, load(at, left)));
}

void WordTable::add_hashed(std::string_view word, std::uint32_t hash, std::uint64_t count) {
  if (entries_.size() * 2 >= places_.size()) grow();
  const std::size_t mask = places_.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    Place& place = places_[i];
    if (place.number == 0) return insert(place, word, hash, count);
    if (place.hash != hash) continue;
    Entry& entry = entries_[place.number - 1];
    if (entry.word() == word) {
      entry.count += count;
      return;
    }
  }
}

void WordTable::insert(Place& place, std::string_view word, std::uint32_t hash,
                       std::uint64_t count) {
  if (entries_.size() == std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("more than 4294967295 different words");
  }
  const char* const text = keep(word);
  entries_.push_back({text, static_cast<std::uint32_t>(word.size()), hash, count});
  place = {hash, static_cast<std::uint32_t>(entries_.size())};
}

std::size_t WordTable::merge(const WordTable& other, std::size_t first, std::size_t limit) {
  const std::size_t end = first + std::min(limit, other.size() - first);
  for (; first != end; ++first) {
    const Entry& entry = other.entries_[first];
    add_hashed(entry.word(), entry.hash, entry.count);
  }
  return end;
}

void WordTable::grow() {
  std::vector<Place> wider(std::max(kFirstPlaces, places_.size() * 2));
  const std::size_t mask = wider.size() - 1;
  for (const Place& place : places_) {
    if (place.number == 0) continue;
    std::size_t i = place.hash & mask;
    while (wider[i].number != 0) i = (i + 1) & mask;
    wider[i] = place;
  }
  places_ = std::move(wider);
}

const char* WordTable::keep(std::string_view word) {
  if (blocks_.empty() || blocks_.back().size - blocks_.back().used < word.size()) {
    const std::size_t size =
        blocks_.empty() ? kFirstBlock : std::min(kLargestBlock, blocks_.back().size * 2);
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), 0, size});
  }
  Block& block = blocks_.back();
  char* const text = block.text.get() + block.used;
  word.copy(text, word.size());
  block.used += word.size();
  return text;
}

}  // namespace tree_index
