// SPDX-License-Identifier: BSL-1.0
#include "machine/frame_chunk.hpp"

#include <new>

#include "base/mutex.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

namespace {

// Two megabytes of chunks, for huge pages; never unmapped, only discarded. The records live
// outside: a link written into a discarded chunk would bring its page back, on huge pages the whole
// region.

constexpr std::size_t kRegionBytes = 2 * 1024 * 1024;
constexpr unsigned kRegionChunks = kRegionBytes / Chunk::kBytes;

}  // namespace

struct ChunkRegion {
  char* base = nullptr;
  Word spare = 0;               // chunks nobody uses
  ChunkRegion* next = nullptr;  // in the list of regions with spare chunks
  bool listed = false;
};

namespace {

constinit Mutex region_lock{LockRank::memory};
constinit ChunkRegion* regions_with_spares = nullptr;

}  // namespace

Chunk* take_chunk() noexcept {
  LockGuard lock(region_lock);
  ChunkRegion* region = regions_with_spares;
  if (region == nullptr) {
    region = new (std::nothrow) ChunkRegion;
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
  ChunkRegion& region = *chunk->region;
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

void keep_chunks_across_fork() noexcept { machine::keep_across_fork(region_lock); }

}  // namespace paceline::core
