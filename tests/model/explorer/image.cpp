// SPDX-License-Identifier: BSL-1.0
#include "explorer/image.hpp"

#include <cstring>

#include "explorer/arena.hpp"
#include "explorer/crew.hpp"

namespace model::image {

namespace {

template <class Visit>
void each_range(Visit&& visit) {
  for (const Range& range : arena().fixed()) visit(range);
  visit(arena().grown());
  for (unsigned i = 0; i < crew().size(); ++i) visit(crew().live_stack(i));
}

std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{x} * y;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Two independent lanes of multiply-and-fold (as in wyhash), each over all words.
struct Hash {
  std::uint64_t a = 0x9e3779b97f4a7c15u;
  std::uint64_t b = 0xd6e8feb86659fd93u;

  void add(std::uint64_t x, std::uint64_t y) noexcept {
    a = fold(x ^ a ^ 0x2d358dccaa6c78a5u, y ^ 0x8bb84b93962eacc9u);
    b = fold(y ^ b ^ 0x4b33a62ed433d4a3u, x ^ 0x4d5a2da51de1aa47u);
  }
  void add(const Hash& other) noexcept { add(other.a, other.b); }
};

Hash hash_of(const Range& range) noexcept {
  // Two streams, so that the multiplications of one fill the waits of the other.
  Hash even;
  Hash odd;
  odd.a ^= range.bytes;
  const char* at = range.begin;
  std::size_t left = range.bytes;
  for (; left >= 32; left -= 32, at += 32) {
    std::uint64_t words[4];
    std::memcpy(words, at, 32);
    even.add(words[0], words[1]);
    odd.add(words[2], words[3]);
  }
  std::uint64_t tail[4] = {};
  std::memcpy(tail, at, left);
  even.add(tail[0], tail[1]);
  odd.add(tail[2], tail[3]);
  even.add(odd);
  return even;
}

// The stacks of threads that did not run since the last key keep their hashes.
Hash stack_hashes[Crew::kMost];

}  // namespace

std::size_t save(std::vector<char>& to) {
  const std::size_t at = to.size();
  std::size_t total = sizeof(std::size_t) + sizeof stack_hashes;
  each_range([&](const Range& range) { total += range.bytes; });
  to.resize(at + total);
  char* out = to.data() + at;
  // How much the execution had allocated: restore must know it before the table is back.
  const std::size_t grown = arena().grown().bytes;
  std::memcpy(out, &grown, sizeof grown);
  out += sizeof grown;
  std::memcpy(out, stack_hashes, sizeof stack_hashes);
  out += sizeof stack_hashes;
  each_range([&](const Range& range) {
    std::memcpy(out, range.begin, range.bytes);
    out += range.bytes;
  });
  return at;
}

namespace {

/// The stacks are clear already.
void put_back(const char* from) noexcept {
  std::size_t grown = 0;
  std::memcpy(&grown, from, sizeof grown);
  from += sizeof grown;
  std::memcpy(stack_hashes, from, sizeof stack_hashes);
  from += sizeof stack_hashes;
  crew().take_touched();
  // What the present state has allocated beyond the saved one must read as zero again.
  const Range present = arena().grown();
  for (const Range& range : arena().fixed()) {
    std::memcpy(range.begin, from, range.bytes);
    from += range.bytes;
  }
  std::memcpy(present.begin, from, grown);
  from += grown;
  if (present.bytes > grown) std::memset(present.begin + grown, 0, present.bytes - grown);
  // The table is back, so each thread's stack pointer is.
  for (unsigned i = 0; i < crew().size(); ++i) {
    const Range stack = crew().live_stack(i);
    std::memcpy(stack.begin, from, stack.bytes);
    from += stack.bytes;
  }
}

}  // namespace

void restore(const char* from) noexcept {
  // Below what is live every stack is clear: see Crew::step.
  for (unsigned i = 0; i < crew().size(); ++i) {
    const Range stack = crew().live_stack(i);
    std::memset(stack.begin, 0, stack.bytes);
  }
  put_back(from);
}

void restore_after_failure(const char* from) noexcept {
  std::memset(Arena::stack(0), 0, Arena::kStacks * Arena::kStackBytes);
  put_back(from);
}

Key key(std::uint64_t salt) noexcept {
  const unsigned touched = crew().take_touched();
  Hash hash;
  hash.add(salt, 1);
  for (const Range& range : arena().fixed()) hash.add(hash_of(range));
  hash.add(hash_of(arena().grown()));
  for (unsigned i = 0; i < crew().size(); ++i) {
    if ((touched >> i & 1) != 0) stack_hashes[i] = hash_of(crew().live_stack(i));
    hash.add(stack_hashes[i]);
  }
  return {fold(hash.a ^ 0xa0761d6478bd642fu, hash.b ^ 0xe7037ed1a0b428dbu) ^ hash.a,
          static_cast<std::uint32_t>(hash.b ^ hash.b >> 32)};
}

std::size_t bytes() noexcept {
  std::size_t total = 0;
  each_range([&](const Range& range) { total += range.bytes; });
  return total;
}

}  // namespace model::image
