// SPDX-License-Identifier: BSL-1.0
// Chunks of equal blocks for coroutine frames, and the regions they lie in.
// Flow rooms: spawn and await (allocate), end (free).
// It must never unmap a chunk: whoever frees late may still read its head.
// Proof: tests/unit/machine/frame_heap_test.cpp, frame_remote_test.cpp there, the model `frames`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "base/sizes.hpp"

namespace paceline::core {

class FrameHeap;
struct ChunkRegion;

/// A block on a free list.
struct FreeBlock {
  FreeBlock* next;
};

/// A free block that holds the addresses of others, so that whoever gets them back reads one line
/// for many of them and not a chain of lines that another core has written last.
struct Parcel {
  static constexpr std::size_t kMost = 30;
  static constexpr std::size_t capacity(std::size_t block_bytes) noexcept {
    return block_bytes / sizeof(void*) - 2 < kMost ? block_bytes / sizeof(void*) - 2 : kMost;
  }

  Parcel* next;
  std::size_t count;
  FreeBlock* blocks[kMost];  // fewer in a small block: see capacity
};

/// 64 KiB of equal blocks, aligned to its size, so that a block's address gives its chunk.
///
/// Writers: the owner (everything but `returned`), any thread (`returned`, by CAS and exchange).
/// I1: a block is in exactly one of: user's hands, `free`, the untouched tail, a freer's batch,
///     `returned`. I2: `used` counts the first, and the last two until the owner collects them.
struct Chunk {
  static constexpr std::size_t kBytes = kChunkBytes;

  // --- owner ---
  FreeBlock* free = nullptr;
  char* untouched = nullptr;  // first block never handed out
  char* end = nullptr;
  std::uint32_t used = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t size_class = 0;
  bool listed = false;  // in its class's list of chunks with free blocks
  ChunkRegion* region = nullptr;
  FrameHeap* owner = nullptr;
  Chunk* next = nullptr;  // in that list, or in the list of empty chunks
  Chunk* previous = nullptr;
  Chunk* next_returned = nullptr;

  // --- any thread ---
  alignas(kCacheLine) Atomic<Parcel*> returned{nullptr};

  static Chunk& of(void* block) noexcept {
    return *reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(block) & ~(kBytes - 1));
  }
};

/// A chunk that nobody uses; its head is as new, its blocks hold anything. Any thread. Null if
/// there is no memory.
Chunk* take_chunk() noexcept;
/// No block of it is in use, and nobody lists it any more. Its memory goes to the system. Any
/// thread.
void give_chunk_back(Chunk* chunk) noexcept;
/// See machine::keep_across_fork.
void keep_chunks_across_fork() noexcept;

}  // namespace paceline::core
