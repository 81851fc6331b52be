// SPDX-License-Identifier: BSL-1.0
// Proves that frames freed by other threads come back to the heap they belong to: in batches, in
// any order, while their owner goes on, and all of them in the end.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "machine/frame_memory.hpp"
#include "support/catch.hpp"
#include "unit/base/child.hpp"
#include "unit/machine/frames.hpp"

using namespace paceline::core;
using paceline_test::Frame;
using paceline_test::HeapLease;

TEST_CASE("blocks freed through another heap come home with its next flush") {
  HeapLease owner;
  HeapLease other;
  std::vector<void*> blocks;
  std::set<const Chunk*> chunks;
  for (int i = 0; i < 500; ++i) {
    blocks.push_back(owner->allocate(640));
    chunks.insert(&Chunk::of(blocks.back()));
  }
  for (void* block : blocks) other->free(block);
  other->flush();
  REQUIRE(owner->trim(0) == chunks.size());
  REQUIRE(other->trim(0) == 0);
}

TEST_CASE("a batch travels at the latest when it is full") {
  HeapLease owner;
  HeapLease other;
  std::vector<void*> blocks;
  for (unsigned i = 0; i < FrameHeap::kBatch + 1; ++i) blocks.push_back(owner->allocate(64));
  REQUIRE(&Chunk::of(blocks.front()) == &Chunk::of(blocks.back()));
  Chunk& chunk = Chunk::of(blocks.front());
  for (unsigned i = 0; i < FrameHeap::kBatch; ++i) other->free(blocks[i]);
  REQUIRE(chunk.returned.load() == nullptr);
  other->free(blocks.back());
  REQUIRE(chunk.returned.load() != nullptr);
  other->flush();
  REQUIRE(owner->trim(0) == 1);
}

TEST_CASE("a batch is sent home when the next block belongs to another chunk") {
  HeapLease owner;
  HeapLease other;
  void* small = owner->allocate(64);
  void* large = owner->allocate(2'000);
  other->free(small);
  other->free(large);
  REQUIRE(Chunk::of(small).returned.load() == small);
  REQUIRE(Chunk::of(large).returned.load() == nullptr);
  other->flush();
  REQUIRE(owner->trim(0) == 2);
}

TEST_CASE("returned blocks are used again before new chunks are") {
  HeapLease owner;
  HeapLease other;
  std::set<const Chunk*> chunks;
  std::vector<void*> blocks;
  const auto fill = [&] {
    blocks.clear();
    for (int i = 0; i < 1'000; ++i) {
      blocks.push_back(owner->allocate(1'024));
      chunks.insert(&Chunk::of(blocks.back()));
    }
  };
  fill();
  const std::size_t needed = chunks.size();
  for (int round = 0; round < 10; ++round) {
    for (void* block : blocks) other->free(block);
    other->flush();
    fill();
    REQUIRE(std::set<void*>(blocks.begin(), blocks.end()).size() == blocks.size());
  }
  REQUIRE(chunks.size() <= needed + 1);
  for (void* block : blocks) owner->free(block);
}

TEST_CASE("frames pass between threads in random order and none is lost or shared") {
  constexpr std::size_t kThreads = 4;
  const std::size_t steps = 25'000 * paceline_test::test_scale();
  // A table of frames anybody may put in or take out; a frame is checked by whoever frees it.
  constexpr std::size_t kPlaces = 256;
  std::vector<std::atomic<Frame*>> places(kPlaces);
  std::vector<std::unique_ptr<HeapLease>> heaps;
  for (std::size_t t = 0; t < kThreads; ++t) heaps.push_back(std::make_unique<HeapLease>());
  std::atomic<std::size_t> broken{0};
  std::vector<std::set<const Chunk*>> chunks(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      FrameHeap& heap = **heaps[t];
      Rng rng(t);
      for (std::size_t step = 0; step < steps; ++step) {
        const std::size_t bytes = 64 * (1 + rng.below(4));
        auto* made = new Frame(heap, bytes, rng.next());
        chunks[t].insert(&Chunk::of(made->block));
        Frame* taken = places[rng.below(kPlaces)].exchange(made);
        if (taken == nullptr) continue;
        if (!taken->intact()) broken.fetch_add(1);
        heap.free(taken->block);
        delete taken;
        if (rng.below(1'000) == 0) heap.flush();
      }
      heap.flush();
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& place : places) {
    Frame* left = place.load();
    if (left == nullptr) continue;
    if (!left->intact()) broken.fetch_add(1);
    (*heaps[0])->free(left->block);
    delete left;
  }
  (*heaps[0])->flush();
  REQUIRE(broken == 0);
  // Everything came home: each heap can give every chunk back that it ever took.
  std::size_t given_back = 0;
  std::set<const Chunk*> all;
  for (std::size_t t = 0; t < kThreads; ++t) {
    given_back += (*heaps[t])->trim(0);
    all.insert(chunks[t].begin(), chunks[t].end());
  }
  REQUIRE(given_back >= all.size());
}

TEST_CASE("outside threads allocate and free each other's frames") {
  constexpr std::size_t kThreads = 6;
  std::vector<std::vector<Frame>> frames(kThreads);
  std::atomic<std::size_t> broken{0};
  const auto in_parallel = [&](auto&& body) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { body(t); });
    for (auto& thread : threads) thread.join();
  };
  for (int round = 0; round < 5; ++round) {
    in_parallel([&](std::size_t t) {
      Rng rng(t);
      for (int i = 0; i < 500; ++i) {
        const std::size_t bytes = 1 + rng.below(FrameHeap::kLargest + 200);
        frames[t].emplace_back(allocate_frame_memory(bytes), bytes, rng.next());
      }
    });
    in_parallel([&](std::size_t t) {
      for (Frame& frame : frames[(t + 1) % kThreads]) {
        if (!frame.intact()) broken.fetch_add(1);
        free_frame_memory(frame.block, frame.bytes);
      }
    });
    for (auto& mine : frames) mine.clear();
  }
  REQUIRE(broken == 0);
  trim_shared_frames();
}
