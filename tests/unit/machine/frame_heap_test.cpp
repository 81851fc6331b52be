// SPDX-License-Identifier: BSL-1.0
// Proves the frame slab on one thread: all sizes, no block handed out twice, memory that comes
// back. Frees from other threads: frame_remote_test.cpp.
#include "machine/frame_heap.hpp"
#include "machine/frame_memory.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <sys/mman.h>

#include "base/rng.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"
#include "support/catch.hpp"
#include "unit/base/child.hpp"
#include "unit/machine/frames.hpp"

using namespace paceline::core;
using paceline_test::Frame;
using paceline_test::HeapLease;

namespace {

constexpr std::size_t kLargest = FrameHeap::kLargest;

std::size_t resident_pages(const Chunk* chunk) {
  std::vector<unsigned char> pages(Chunk::kBytes / machine::page_size());
  REQUIRE(::mincore(const_cast<Chunk*>(chunk), Chunk::kBytes, pages.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

}  // namespace

TEST_CASE("a block of every size is aligned, whole and in a chunk of its heap") {
  HeapLease heap;
  std::vector<Frame> frames;
  for (std::size_t bytes = 1; bytes <= kLargest; ++bytes) {
    frames.emplace_back(*heap, bytes, bytes);
    void* block = frames.back().block;
    REQUIRE(block != nullptr);
    REQUIRE(reinterpret_cast<std::uintptr_t>(block) % FrameHeap::kGrain == 0);
    const Chunk& chunk = Chunk::of(block);
    REQUIRE(chunk.owner == &*heap);
    REQUIRE(chunk.block_bytes >= bytes);
    REQUIRE(chunk.block_bytes < bytes + FrameHeap::kGrain);
    REQUIRE(static_cast<char*>(block) + bytes <=
            reinterpret_cast<const char*>(&chunk) + Chunk::kBytes);
  }
  for (Frame& frame : frames) REQUIRE(frame.intact());
  for (Frame& frame : frames) heap->free(frame.block);
}

TEST_CASE("sizes at the border of a class share or do not share it") {
  HeapLease heap;
  const auto class_of = [&](std::size_t bytes) {
    void* block = heap->allocate(bytes);
    const auto found = Chunk::of(block).size_class;
    heap->free(block);
    return found;
  };
  REQUIRE(class_of(1) == class_of(64));
  REQUIRE(class_of(64) + 1 == class_of(65));
  REQUIRE(class_of(65) == class_of(128));
  REQUIRE(class_of(1985) == class_of(2048));
  REQUIRE(class_of(1984) + 1 == class_of(2048));
}

TEST_CASE("the last freed block is the next one handed out") {
  HeapLease heap;
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(heap->allocate(200));
  for (void* block : blocks) heap->free(block);
  for (auto at = blocks.rbegin(); at != blocks.rend(); ++at) REQUIRE(heap->allocate(200) == *at);
  for (void* block : blocks) heap->free(block);
}

TEST_CASE("no block is handed out twice over random lives of random sizes") {
  const std::uint64_t first = paceline_test::test_seed();
  for (std::uint64_t seed = first; seed < first + 5 * paceline_test::test_scale(); ++seed) {
    INFO("PACELINE_TEST_SEED=" << seed);
    HeapLease heap;
    Rng rng(seed);
    std::vector<Frame> live;
    std::size_t broken = 0;
    for (int step = 0; step < 30'000; ++step) {
      const bool grow = rng.below(100) < (step / 5'000 % 2 == 0 ? 60u : 40u);
      if (grow || live.empty()) {
        // Few classes often, all classes sometimes.
        const std::size_t bytes =
            rng.below(4) == 0 ? 1 + rng.below(kLargest) : 64 * (1 + rng.below(5));
        live.emplace_back(*heap, bytes, rng.next());
      } else {
        std::swap(live[rng.below(live.size())], live.back());
        if (!live.back().intact()) ++broken;
        heap->free(live.back().block);
        live.pop_back();
      }
      if (rng.below(3'000) == 0) heap->trim(rng.below(3));
    }
    for (Frame& frame : live) {
      if (!frame.intact()) ++broken;
      heap->free(frame.block);
    }
    REQUIRE(broken == 0);
  }
}

TEST_CASE("chunks without blocks in use go back to the system") {
  HeapLease heap;
  std::vector<void*> blocks;
  std::set<const Chunk*> chunks;
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{576}, kLargest}) {
    for (int i = 0; i < 3'000; ++i) {
      blocks.push_back(heap->allocate(bytes));
      static_cast<volatile char*>(blocks.back())[bytes - 1] = 1;
      chunks.insert(&Chunk::of(blocks.back()));
    }
  }
  REQUIRE(chunks.size() > 100);
  REQUIRE(heap->trim(0) == 0);
  // One block of each third chunk stays.
  std::set<const Chunk*> kept;
  std::size_t number = 0;
  for (const Chunk* chunk : chunks) {
    if (number++ % 3 == 0) kept.insert(chunk);
  }
  std::set<const Chunk*> has_survivor;
  std::vector<void*> survivors;
  for (void* block : blocks) {
    const Chunk* chunk = &Chunk::of(block);
    if (kept.count(chunk) != 0 && has_survivor.insert(chunk).second) {
      survivors.push_back(block);
    } else {
      heap->free(block);
    }
  }
  REQUIRE(heap->trim(0) == chunks.size() - kept.size());
  for (const Chunk* chunk : chunks) {
    if (kept.count(chunk) == 0) REQUIRE(resident_pages(chunk) == 0);
  }
  for (void* block : survivors) heap->free(block);
  REQUIRE(heap->trim(0) == kept.size());
}

TEST_CASE("trim keeps as many empty chunks as it is told") {
  HeapLease heap;
  std::vector<void*> blocks;
  std::set<const Chunk*> chunks;
  while (chunks.size() < 10) {
    blocks.push_back(heap->allocate(kLargest));
    chunks.insert(&Chunk::of(blocks.back()));
  }
  for (void* block : blocks) heap->free(block);
  REQUIRE(heap->trim(4) == 6);
  REQUIRE(heap->trim(4) == 0);
  REQUIRE(heap->trim(1) == 3);
  REQUIRE(heap->trim(0) == 1);
}

TEST_CASE("an empty chunk serves another size afterwards") {
  HeapLease heap;
  std::vector<void*> blocks;
  std::set<const Chunk*> first;
  for (int i = 0; i < 2'000; ++i) {
    blocks.push_back(heap->allocate(1'000));
    first.insert(&Chunk::of(blocks.back()));
  }
  for (void* block : blocks) heap->free(block);
  blocks.clear();
  std::size_t reused = 0;
  for (int i = 0; i < 5'000; ++i) {
    blocks.push_back(heap->allocate(100));
    reused += first.count(&Chunk::of(blocks.back()));
  }
  REQUIRE(reused > 0);
  REQUIRE(std::set<void*>(blocks.begin(), blocks.end()).size() == blocks.size());
  for (void* block : blocks) heap->free(block);
}

TEST_CASE("chunks that went back are used again, as good as new") {
  HeapLease heap;
  for (int round = 0; round < 20; ++round) {
    std::vector<Frame> frames;
    for (std::size_t i = 0; i < 2'000; ++i) {
      frames.emplace_back(*heap, 1 + (i * 37 + static_cast<std::size_t>(round) * 61) % kLargest, i);
    }
    for (Frame& frame : frames) {
      REQUIRE(frame.intact());
      heap->free(frame.block);
    }
    REQUIRE(heap->trim(0) > 0);
  }
}

TEST_CASE("frames of threads that are no workers have every size there is") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, kLargest,
                                  kLargest + 1, std::size_t{1} << 20}) {
    std::vector<void*> blocks;
    for (int i = 0; i < 50; ++i) {
      auto* block = static_cast<unsigned char*>(allocate_frame_memory(bytes));
      std::fill_n(block, bytes, static_cast<unsigned char>(i));
      blocks.push_back(block);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto* block = static_cast<unsigned char*>(blocks[i]);
      REQUIRE(block[0] == i);
      REQUIRE(block[bytes - 1] == i);
      REQUIRE(block[bytes / 2] == i);
    }
    for (void* block : blocks) free_frame_memory(block, bytes);
  }
  trim_shared_frames();
}

TEST_CASE("a thread with a heap of its own takes its frames from there") {
  if (machine::sanitizer::kAddress) return;  // frames are the sanitizer's own blocks then
  HeapLease heap;
  machine::this_thread().heap = &*heap;
  void* block = allocate_frame_memory(100);
  void* large = allocate_frame_memory(kLargest + 1);
  REQUIRE(Chunk::of(block).owner == &*heap);
  free_frame_memory(block, 100);
  free_frame_memory(large, kLargest + 1);
  machine::this_thread().heap = nullptr;
  REQUIRE(heap->allocate(100) == block);
  heap->free(block);
}
