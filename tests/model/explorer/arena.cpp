// SPDX-License-Identifier: BSL-1.0
#include "explorer/arena.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

#include "explorer/crew.hpp"
#include "explorer/point.hpp"
#include "explorer/sharing.hpp"

namespace model {

namespace {

bool from_arena = false;

/// In front of each block.
struct alignas(16) Block {
  std::size_t bytes;
  std::uint64_t mark;
};
constexpr std::uint64_t kLive = 0x11fe11fe11fe11fe;
constexpr std::uint64_t kDead = 0xdeaddeaddeaddead;

}  // namespace

Arena& arena() noexcept {
  static Arena one;
  return one;
}

Arena::Arena() {
  void* const at =
      ::mmap(reinterpret_cast<void*>(kBase), kHeapOffset + kHeapBytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != reinterpret_cast<void*>(kBase)) {
    std::perror("model: cannot map the arena at its fixed address");
    std::exit(3);
  }
}

void Arena::begin() noexcept {
  ::madvise(reinterpret_cast<void*>(kBase), kHeapOffset + kHeapBytes, MADV_DONTNEED);
  head().used = sizeof(Head);
  left_out_.clear();
  fixed_.clear();
  sealed_at_ = 0;
}

void* Arena::allocate(std::size_t bytes, std::size_t alignment) noexcept {
  alignment = std::max(alignment, alignof(Block));
  std::size_t at = head().used + sizeof(Block);
  at = (at + alignment - 1) / alignment * alignment;
  if (at + bytes > kHeapBytes) fail("the arena is large enough for the model");
  char* const block = heap() + at;
  ::new (block - sizeof(Block)) Block{bytes, kLive};
  head().used = (at + bytes + 15) / 16 * 16;
  return block;
}

void Arena::release(void* block) noexcept {
  auto& head = *reinterpret_cast<Block*>(static_cast<char*>(block) - sizeof(Block));
  require(head.mark != kDead, "no memory is freed twice");
  require(head.mark == kLive, "only memory that was allocated is freed");
  before_free(block, head.bytes);
  require(head.mark != kDead, "no memory is freed twice");
  head.mark = kDead;
  std::memset(block, kFreed, head.bytes);
}

void Arena::leave_out(const void* begin, std::size_t bytes) {
  const FromArena own(false);
  left_out_.push_back({{static_cast<char*>(const_cast<void*>(begin)), bytes}, true, {}});
}

void Arena::ignore(const void* begin, std::size_t bytes) {
  const FromArena own(false);
  left_out_.push_back({{static_cast<char*>(const_cast<void*>(begin)), bytes}, false, {}});
  sharing().ignore(begin, bytes);
}

void Arena::seal() {
  sealed_at_ = head().used;
  std::sort(left_out_.begin(), left_out_.end(),
            [](const LeftOut& a, const LeftOut& b) { return a.range.begin < b.range.begin; });
  char* at = heap();
  for (LeftOut& left : left_out_) {
    const Range& range = left.range;
    if (range.begin > at) fixed_.push_back({at, static_cast<std::size_t>(range.begin - at)});
    at = range.begin + range.bytes;
    if (left.verified) left.copy.assign(range.begin, at);
  }
  char* const end = heap() + sealed_at_;
  if (end > at) fixed_.push_back({at, static_cast<std::size_t>(end - at)});
}

bool Arena::left_out_intact() const noexcept {
  return std::all_of(left_out_.begin(), left_out_.end(), [](const LeftOut& left) {
    return !left.verified || std::memcmp(left.range.begin, left.copy.data(), left.range.bytes) == 0;
  });
}

Range Arena::grown() const noexcept { return {heap() + sealed_at_, head().used - sealed_at_}; }

FromArena::FromArena(bool on) noexcept : before_(std::exchange(from_arena, on)) {}
FromArena::~FromArena() { from_arena = before_; }

namespace {

void* take(std::size_t bytes, std::size_t alignment) noexcept {
  if (from_arena || crew().inside()) return arena().allocate(bytes, alignment);
  if (alignment <= 16) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void give(void* block) noexcept {
  if (block == nullptr) return;
  if (arena().in_heap(block)) {
    arena().release(block);
  } else {
    std::free(block);
  }
}
void* take_or_throw(std::size_t bytes, std::size_t alignment) {
  void* const block = take(bytes == 0 ? 1 : bytes, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

}  // namespace model

// The code under the model allocates with new; what it allocates is part of the state.
void* operator new(std::size_t bytes) { return model::take_or_throw(bytes, 16); }
void* operator new[](std::size_t bytes) { return model::take_or_throw(bytes, 16); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return model::take(bytes, 16);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return model::take(bytes, 16);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return model::take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return model::take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return model::take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { model::give(block); }
void operator delete[](void* block) noexcept { model::give(block); }
void operator delete(void* block, std::size_t) noexcept { model::give(block); }
void operator delete[](void* block, std::size_t) noexcept { model::give(block); }
void operator delete(void* block, std::align_val_t) noexcept { model::give(block); }
void operator delete[](void* block, std::align_val_t) noexcept { model::give(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { model::give(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { model::give(block); }
