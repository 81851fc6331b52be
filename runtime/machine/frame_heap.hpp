// SPDX-License-Identifier: BSL-1.0
// Memory for coroutine frames: a slab per worker, remote frees in batches.
// Flow rooms: spawn and await (allocate), end (free). Any thread through frame_memory.hpp.
// It must never take a lock on a worker's own allocate and free.
// Proof: tests/unit/machine/frame_heap_test.cpp, frame_remote_test.cpp there, the model `frames`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "machine/frame_chunk.hpp"

namespace paceline::core {

/// The frames of one worker, or of all outside threads (then under a lock).
///
/// Writers: the owner; other threads reach only `returned_` and the chunks' `returned`.
/// Progress: owner's allocate and free are wait-free but for mapping a chunk; a remote free is
/// lock-free, one CAS per batch. Lifetime: never destroyed; recycled between runtimes.
class FrameHeap {
 public:
  static constexpr std::size_t kGrain = 64;
  static constexpr std::size_t kLargest = 2048;  // beyond it: operator new
  static constexpr unsigned kBatch = 32;         // remote frees that travel together

  /// Owner. Null if there is no memory.
  void* allocate(std::size_t bytes) noexcept {
    const auto size_class = static_cast<unsigned>((bytes - 1) / kGrain);
    Chunk* chunk = current_[size_class];
    if (chunk == nullptr || chunk->free == nullptr) [[unlikely]]
      return allocate_slow(size_class);
    FreeBlock* block = chunk->free;
    FreeBlock* const next = block->next;
    chunk->free = next;
    if (next != nullptr) {   // fetched the last time
      prefetch(next->next);  // the one after it; a null is harmless
      prefetch(next->next, kCacheLine);
    }
    ++chunk->used;
    return block;
  }
  /// Owner of the heap the caller frees *from*, not necessarily of the block.
  void free(void* block) noexcept {
    Chunk& chunk = Chunk::of(block);
    if (chunk.owner != this || &chunk != current_[chunk.size_class]) [[unlikely]] {
      free_slow(chunk, block);
      return;
    }
    auto* free_block = static_cast<FreeBlock*>(block);
    free_block->next = chunk.free;
    chunk.free = free_block;
    --chunk.used;
  }
  /// Sends a half-full batch of remote frees home. Before the owner sleeps.
  void flush() noexcept;
  /// Gives empty chunks back to the system, all but `keep`. Owner. Returns how many.
  std::size_t trim(std::size_t keep) noexcept;

  /// A recycled or new heap (frame_memory.cpp). Throws std::bad_alloc.
  static FrameHeap* acquire();
  static void recycle(FrameHeap* heap) noexcept;

 private:
  static constexpr unsigned kClasses = kLargest / kGrain;

  [[gnu::noinline]] void* allocate_slow(unsigned size_class) noexcept;
  [[gnu::noinline]] void free_slow(Chunk& chunk, void* block) noexcept;
  static void* allocate_untouched(Chunk& chunk) noexcept;
  void free_local(Chunk& chunk, void* block) noexcept;
  void make_empty(Chunk& chunk) noexcept;
  void furnish(Chunk& chunk, unsigned size_class) noexcept;
  void list(Chunk& chunk) noexcept;
  void unlist(Chunk& chunk) noexcept;
  bool collect() noexcept;
  static void give_back(Chunk& chunk, Parcel* first, Parcel* last) noexcept;

  Chunk* current_[kClasses] = {};  // allocate from here
  Chunk* partial_[kClasses] = {};  // have free blocks
  Chunk* empty_ = nullptr;         // no block in use; any class
  std::size_t empty_count_ = 0;

  Chunk* collecting_ = nullptr;  // taken from `returned_` and not seen to yet

  // One batch of blocks that belong to another heap's chunk.
  Chunk* batch_chunk_ = nullptr;
  Parcel* batch_first_ = nullptr;
  Parcel* batch_last_ = nullptr;
  unsigned batch_size_ = 0;  // blocks

  FrameHeap* next_recycled_ = nullptr;

  // Chunks to which others returned blocks. Pushed by any thread, taken by the owner.
  alignas(kCacheLine) Atomic<Chunk*> returned_{nullptr};
};

}  // namespace paceline::core
