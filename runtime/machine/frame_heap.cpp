// SPDX-License-Identifier: BSL-1.0
#include "machine/frame_heap.hpp"

#include "base/probe.hpp"

namespace paceline::core {

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

// Blocks that are handed out in order are fetched so many before: see Sweep::kFramesAhead.
constexpr std::size_t kBlocksAhead = 3;

/// A block that was not handed out since the chunk was empty, if it has one.
void* FrameHeap::allocate_untouched(Chunk& chunk) noexcept {
  if (chunk.untouched == chunk.end) return nullptr;
  void* block = chunk.untouched;
  chunk.untouched += chunk.block_bytes;
  char* const soon = chunk.untouched + kBlocksAhead * chunk.block_bytes;  // maybe of the next chunk
  prefetch(soon);
  prefetch(soon, kCacheLine);
  ++chunk.used;
  return block;
}

void* FrameHeap::allocate_slow(unsigned size_class) noexcept {
  Chunk* chunk = current_[size_class];
  if (chunk != nullptr) {
    if (void* block = allocate_untouched(*chunk)) return block;
  }
  while (partial_[size_class] == nullptr && empty_ == nullptr && collect()) {
    if (chunk == nullptr) continue;
    if (chunk->free != nullptr) return allocate((size_class + 1) * kGrain);
    if (void* block = allocate_untouched(*chunk)) return block;
  }
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
    furnish(*chunk, size_class);
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
  if (chunk.used == 0) {
    make_empty(chunk);
  } else if (&chunk != current_[chunk.size_class] && !chunk.listed) {
    list(chunk);
  }
}

/// The last block of a chunk came back. The current one begins anew, in order.
void FrameHeap::make_empty(Chunk& chunk) noexcept {
  if (&chunk == current_[chunk.size_class]) {
    furnish(chunk, chunk.size_class);
    return;
  }
  if (chunk.listed) unlist(chunk);
  chunk.next = empty_;
  empty_ = &chunk;
  ++empty_count_;
}

/// An empty chunk serves a size class, maybe another one than before.
void FrameHeap::furnish(Chunk& chunk, unsigned size_class) noexcept {
  chunk.owner = this;
  chunk.size_class = size_class;
  chunk.block_bytes = static_cast<std::uint32_t>((size_class + 1) * kGrain);
  chunk.free = nullptr;
  chunk.listed = false;
  constexpr std::size_t kHead = (sizeof(Chunk) + kGrain - 1) / kGrain * kGrain;
  chunk.untouched = reinterpret_cast<char*>(&chunk) + kHead;
  chunk.end = chunk.untouched + (Chunk::kBytes - kHead) / chunk.block_bytes * chunk.block_bytes;
}

void FrameHeap::free_slow(Chunk& chunk, void* block) noexcept {
  if (chunk.owner == this) {
    free_local(chunk, block);
    return;
  }
  if (batch_chunk_ != &chunk || batch_size_ == kBatch) flush();
  batch_chunk_ = &chunk;
  ++batch_size_;
  if (batch_first_ != nullptr && batch_first_->count < Parcel::capacity(chunk.block_bytes)) {
    batch_first_->blocks[batch_first_->count++] = static_cast<FreeBlock*>(block);
    return;
  }
  auto* parcel = static_cast<Parcel*>(block);
  parcel->next = batch_first_;
  parcel->count = 0;
  if (batch_first_ == nullptr) batch_last_ = parcel;
  batch_first_ = parcel;
}

void FrameHeap::flush() noexcept {
  if (batch_chunk_ == nullptr) return;
  give_back(*batch_chunk_, batch_first_, batch_last_);
  batch_chunk_ = nullptr;
  batch_first_ = batch_last_ = nullptr;
  batch_size_ = 0;
}

void FrameHeap::give_back(Chunk& chunk, Parcel* first, Parcel* last) noexcept {
  Parcel* head = chunk.returned.load(std::memory_order_relaxed);
  const bool seemed_listed = head != nullptr;
  do {
    last->next = head;
    // Release. Pairs: collect. Publishes: the parcels and the end of the frames' lives.
  } while (!chunk.returned.compare_exchange_weak(head, first, std::memory_order_acq_rel,  // M25
                                                 std::memory_order_relaxed));
  if (head != nullptr) return;  // the chunk is listed already, or about to be
  if (seemed_listed && planted(Mutant::list_by_hearsay)) return;
  FrameHeap& owner = *chunk.owner;
  Chunk* top = owner.returned_.load(std::memory_order_relaxed);
  do {
    chunk.next_returned = top;
    // Release. Pairs: collect. Publishes: next_returned.
  } while (!owner.returned_.compare_exchange_weak(top, &chunk, std::memory_order_acq_rel,  // M25
                                                  std::memory_order_relaxed));
}

namespace {

/// What others have pushed; the list is empty from then on.
template <class T>
T* take_all(Atomic<T*>& list, Mutant by_store) noexcept {
  if (planted(by_store)) {
    T* const all = list.load(std::memory_order_acquire);  // M25, broken on purpose
    list.store(nullptr, std::memory_order_relaxed);
    return all;
  }
  // Acquire. Pairs: give_back. The ends of the frames, the parcels and the links are the owner's
  // from here on; without it memory that is still written would be handed out.
  return list.exchange(nullptr, std::memory_order_acq_rel);  // M25
}

}  // namespace

/// Takes the blocks back that others have returned to one chunk. False if there is none. One chunk
/// after the other, so that its blocks are in the cache when they are handed out.
bool FrameHeap::collect() noexcept {
  if (collecting_ == nullptr) {
    if (returned_.load(std::memory_order_relaxed) == nullptr) return false;
    collecting_ = take_all(returned_, Mutant::take_list_by_store);
  }
  Chunk* const chunk = collecting_;
  // Read the link first: once `returned` is empty another free may list the chunk again.
  collecting_ = chunk->next_returned;
  Parcel* parcel = take_all(chunk->returned, Mutant::take_parcels_by_store);
  probe(Site::collect_after_take);
  if (planted(Mutant::link_after_take)) collecting_ = chunk->next_returned;
  std::size_t blocks = 0;
  for (const Parcel* each = parcel; each != nullptr; each = each->next) blocks += 1 + each->count;
  if (blocks == chunk->used) {
    // All of them: nobody need look at each.
    chunk->used = 0;
    make_empty(*chunk);
    return true;
  }
  while (parcel != nullptr) {
    Parcel* following = parcel->next;
    for (std::size_t i = 0; i < parcel->count; ++i) {
      prefetch(parcel->blocks[i], kCacheLine);
      free_local(*chunk, parcel->blocks[i]);
    }
    free_local(*chunk, parcel);
    parcel = following;
  }
  return true;
}

std::size_t FrameHeap::trim(std::size_t keep) noexcept {
  flush();
  while (collect()) {
  }
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

}  // namespace paceline::core
