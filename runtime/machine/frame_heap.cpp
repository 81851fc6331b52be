// SPDX-License-Identifier: BSL-1.0
#include "machine/frame_heap.hpp"

#include <new>

#include "base/bits.hpp"
#include "base/sizes.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core {

namespace {

// --- regions --------------------------------------------------------------------------------
// Two megabytes of chunks, for huge pages; never unmapped, only discarded. The records live
// outside: a link written into a discarded chunk would bring its page back, on huge pages the whole
// region.

constexpr std::size_t kRegionBytes = 2 * 1024 * 1024;
constexpr unsigned kRegionChunks = kRegionBytes / Chunk::kBytes;

}  // namespace

struct Region {
  char* base = nullptr;
  Word spare = 0;          // chunks nobody uses
  Region* next = nullptr;  // in the list of regions with spare chunks
  bool listed = false;
};

namespace {

constinit Mutex region_lock{LockRank::memory};
constinit Region* regions_with_spares = nullptr;

Chunk* take_chunk() noexcept {
  LockGuard lock(region_lock);
  Region* region = regions_with_spares;
  if (region == nullptr) {
    region = new (std::nothrow) Region;
    if (region == nullptr) return nullptr;
    region->base = static_cast<char*>(machine::map(kRegionBytes, kRegionBytes));
    if (region->base == nullptr) {
      delete region;
      return nullptr;
    }
    machine::prefer_huge_pages(region->base, kRegionBytes);
    region->spare = all_bits(kRegionChunks);
    region->listed = true;
    regions_with_spares = region;
  }
  const unsigned index = lowest(region->spare);
  region->spare = without_lowest(region->spare);
  if (region->spare == 0) {
    regions_with_spares = region->next;
    region->listed = false;
  }
  Chunk* chunk = ::new (region->base + index * Chunk::kBytes) Chunk;
  chunk->region = region;
  return chunk;
}

void give_chunk_back(Chunk* chunk) noexcept {
  Region& region = *chunk->region;
  LockGuard lock(region_lock);
  const auto index =
      static_cast<unsigned>((reinterpret_cast<char*>(chunk) - region.base) / Chunk::kBytes);
  region.spare |= bit(index);
  // A region that is wholly free goes in one piece, which leaves its huge page whole.
  if (region.spare == all_bits(kRegionChunks)) {
    machine::discard(region.base, kRegionBytes);
  } else {
    machine::discard(chunk, Chunk::kBytes);
  }
  if (!region.listed) {
    region.listed = true;
    region.next = regions_with_spares;
    regions_with_spares = &region;
  }
}

// --- heaps ------------------------------------------------------------------------------------

constinit Mutex heap_lock{LockRank::memory};
constinit FrameHeap* recycled_heaps = nullptr;

/// Threads that are no workers share a few heaps, each under a lock.
struct SharedHeap {
  Mutex lock{LockRank::frames};
  FrameHeap heap;
};
constinit SharedHeap shared_heaps[4];

SharedHeap& shared_heap_of_thread() noexcept {
  const auto self = reinterpret_cast<std::uintptr_t>(&machine::this_thread());
  return shared_heaps[(self >> 12) % std::size(shared_heaps)];
}

}  // namespace

FrameHeap* FrameHeap::acquire() {
  {
    LockGuard lock(heap_lock);
    if (FrameHeap* heap = recycled_heaps) {
      recycled_heaps = heap->next_recycled_;
      return heap;
    }
  }
  return new FrameHeap;
}

void FrameHeap::recycle(FrameHeap* heap) noexcept {
  LockGuard lock(heap_lock);
  heap->next_recycled_ = recycled_heaps;
  recycled_heaps = heap;
}

void* FrameHeap::allocate(std::size_t bytes) noexcept {
  const auto size_class = static_cast<unsigned>((bytes - 1) / kGrain);
  Chunk* chunk = current_[size_class];
  if (chunk != nullptr) [[likely]] {
    if (FreeBlock* block = chunk->free) {
      chunk->free = block->next;
      prefetch(block->next);  // of the next frame; a null is harmless
      prefetch(reinterpret_cast<char*>(block->next) + kCacheLine);
      ++chunk->used;
      return block;
    }
    if (chunk->untouched != chunk->end) {
      void* block = chunk->untouched;
      chunk->untouched += chunk->block_bytes;
      prefetch(chunk->untouched + chunk->block_bytes);
      prefetch(chunk->untouched + chunk->block_bytes + kCacheLine);
      ++chunk->used;
      return block;
    }
  }
  return allocate_slow(size_class);
}

void FrameHeap::list(Chunk& chunk) noexcept {
  Chunk*& head = partial_[chunk.size_class];
  chunk.listed = true;
  chunk.previous = nullptr;
  chunk.next = head;
  if (head != nullptr) head->previous = &chunk;
  head = &chunk;
}

void FrameHeap::unlist(Chunk& chunk) noexcept {
  if (chunk.previous != nullptr) {
    chunk.previous->next = chunk.next;
  } else {
    partial_[chunk.size_class] = chunk.next;
  }
  if (chunk.next != nullptr) chunk.next->previous = chunk.previous;
  chunk.listed = false;
}

void* FrameHeap::allocate_slow(unsigned size_class) noexcept {
  collect();
  Chunk* chunk = current_[size_class];
  if (chunk != nullptr && chunk->free != nullptr) return allocate((size_class + 1) * kGrain);
  chunk = partial_[size_class];
  if (chunk != nullptr) {
    unlist(*chunk);
  } else {
    chunk = empty_;
    if (chunk != nullptr) {
      empty_ = chunk->next;
      --empty_count_;
    } else {
      chunk = take_chunk();
      if (chunk == nullptr) return nullptr;
    }
    // An empty chunk may have served another class before.
    chunk->owner = this;
    chunk->size_class = size_class;
    chunk->block_bytes = static_cast<std::uint32_t>((size_class + 1) * kGrain);
    chunk->free = nullptr;
    chunk->listed = false;
    constexpr std::size_t kHead = (sizeof(Chunk) + kGrain - 1) / kGrain * kGrain;
    chunk->untouched = reinterpret_cast<char*>(chunk) + kHead;
    chunk->end =
        chunk->untouched + (Chunk::kBytes - kHead) / chunk->block_bytes * chunk->block_bytes;
  }
  // The chunk that was current has no free block left; it comes back to a list with its first free.
  current_[size_class] = chunk;
  return allocate((size_class + 1) * kGrain);
}

void FrameHeap::free_local(Chunk& chunk, void* block) noexcept {
  auto* free_block = static_cast<FreeBlock*>(block);
  free_block->next = chunk.free;
  chunk.free = free_block;
  --chunk.used;
  if (&chunk == current_[chunk.size_class]) return;
  if (chunk.used == 0) {
    if (chunk.listed) unlist(chunk);
    chunk.next = empty_;
    empty_ = &chunk;
    ++empty_count_;
  } else if (!chunk.listed) {
    list(chunk);
  }
}

void FrameHeap::free(void* block) noexcept {
  Chunk& chunk = Chunk::of(block);
  if (chunk.owner == this) {
    free_local(chunk, block);
    return;
  }
  if (batch_chunk_ != &chunk || batch_size_ == kBatch) flush();
  auto* free_block = static_cast<FreeBlock*>(block);
  free_block->next = batch_first_;
  if (batch_first_ == nullptr) batch_last_ = free_block;
  batch_first_ = free_block;
  batch_chunk_ = &chunk;
  ++batch_size_;
}

void FrameHeap::flush() noexcept {
  if (batch_chunk_ == nullptr) return;
  give_back(*batch_chunk_, batch_first_, batch_last_);
  batch_chunk_ = nullptr;
  batch_first_ = batch_last_ = nullptr;
  batch_size_ = 0;
}

void FrameHeap::give_back(Chunk& chunk, FreeBlock* first, FreeBlock* last) noexcept {
  FreeBlock* head = chunk.returned.load(std::memory_order_relaxed);
  do {
    last->next = head;
    // Release. Pairs: collect. Publishes: the list's links and the end of the frames' lives.
  } while (!chunk.returned.compare_exchange_weak(head, first, std::memory_order_acq_rel,  // M25
                                                 std::memory_order_relaxed));
  if (head != nullptr) return;  // the chunk is listed already, or about to be
  FrameHeap& owner = *chunk.owner;
  Chunk* top = owner.returned_.load(std::memory_order_relaxed);
  do {
    chunk.next_returned = top;
    // Release. Pairs: collect. Publishes: next_returned.
  } while (!owner.returned_.compare_exchange_weak(top, &chunk, std::memory_order_acq_rel,  // M25
                                                  std::memory_order_relaxed));
}

void FrameHeap::collect() noexcept {
  if (returned_.load(std::memory_order_relaxed) == nullptr) return;
  // Acquire. Pairs: give_back, here and below.
  Chunk* chunk = returned_.exchange(nullptr, std::memory_order_acq_rel);  // M25
  while (chunk != nullptr) {
    // Read the link first: once `returned` is empty another free may list the chunk again.
    Chunk* next = chunk->next_returned;
    FreeBlock* block = chunk->returned.exchange(nullptr, std::memory_order_acq_rel);  // M25
    while (block != nullptr) {
      FreeBlock* following = block->next;
      free_local(*chunk, block);
      block = following;
    }
    chunk = next;
  }
}

std::size_t FrameHeap::trim(std::size_t keep) noexcept {
  flush();
  collect();
  // The current chunks may be empty too.
  for (Chunk*& current : current_) {
    if (current == nullptr || current->used != 0) continue;
    current->next = empty_;
    empty_ = current;
    ++empty_count_;
    current = nullptr;
  }
  std::size_t given_back = 0;
  while (empty_count_ > keep) {
    Chunk* chunk = empty_;
    empty_ = chunk->next;
    --empty_count_;
    give_chunk_back(chunk);
    ++given_back;
  }
  return given_back;
}

void* allocate_frame_memory(std::size_t bytes) {
  void* block = nullptr;
  if (bytes > FrameHeap::kLargest || machine::sanitizer::kAddress) {
    // The address sanitizer finds uses of dead frames only in blocks it hands out itself.
    return ::operator new(bytes);
  }
  if (FrameHeap* heap = machine::own_record().heap) {
    block = heap->allocate(bytes);
  } else {
    SharedHeap& shared = shared_heap_of_thread();
    LockGuard lock(shared.lock);
    block = shared.heap.allocate(bytes);
  }
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void free_frame_memory(void* block, std::size_t bytes) noexcept {
  if (bytes > FrameHeap::kLargest || machine::sanitizer::kAddress) {
    ::operator delete(block, bytes);
    return;
  }
  if (FrameHeap* heap = machine::own_record().heap) {
    heap->free(block);
    return;
  }
  SharedHeap& shared = shared_heap_of_thread();
  LockGuard lock(shared.lock);
  shared.heap.free(block);
  shared.heap.flush();  // nobody promises to come back here
}

void trim_shared_frames() noexcept {
  for (SharedHeap& shared : shared_heaps) {
    LockGuard lock(shared.lock);
    shared.heap.trim(0);
  }
}

void keep_frames_across_fork() noexcept {
  for (SharedHeap& shared : shared_heaps) machine::keep_across_fork(shared.lock);
  machine::keep_across_fork(heap_lock);
  machine::keep_across_fork(region_lock);
}

}  // namespace paceline::core
