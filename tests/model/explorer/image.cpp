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

/// Two independent lanes of multiply-and-fold (as in wyhash), each over all words.
struct Hash {
  std::uint64_t a;
  std::uint64_t b;

  static std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{x} * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  void add(std::uint64_t x, std::uint64_t y) noexcept {
    a = fold(x ^ a ^ 0x2d358dccaa6c78a5u, y ^ 0x8bb84b93962eacc9u);
    b = fold(y ^ b ^ 0x4b33a62ed433d4a3u, x ^ 0x4d5a2da51de1aa47u);
  }
};

}  // namespace

std::size_t save(std::vector<char>& to) {
  const std::size_t at = to.size();
  std::size_t total = sizeof(std::size_t);
  each_range([&](const Range& range) { total += range.bytes; });
  to.resize(at + total);
  char* out = to.data() + at;
  // How much the execution had allocated: restore must know it before the table is back.
  const std::size_t grown = arena().grown().bytes;
  std::memcpy(out, &grown, sizeof grown);
  out += sizeof grown;
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
  Hash hash{0x9e3779b97f4a7c15u ^ salt, 0xd6e8feb86659fd93u + salt};
  each_range([&](const Range& range) {
    hash.add(range.bytes, 1);
    const char* at = range.begin;
    std::size_t left = range.bytes;
    for (; left >= 16; left -= 16, at += 16) {
      std::uint64_t words[2];
      std::memcpy(words, at, 16);
      hash.add(words[0], words[1]);
    }
    std::uint64_t tail[2] = {};
    std::memcpy(tail, at, left);
    hash.add(tail[0], tail[1]);
  });
  return {Hash::fold(hash.a ^ 0xa0761d6478bd642fu, hash.b ^ 0xe7037ed1a0b428dbu) ^ hash.a,
          static_cast<std::uint32_t>(hash.b ^ hash.b >> 32)};
}

std::size_t bytes() noexcept {
  std::size_t total = 0;
  each_range([&](const Range& range) { total += range.bytes; });
  return total;
}

}  // namespace model::image
