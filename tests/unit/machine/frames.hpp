// SPDX-License-Identifier: BSL-1.0
// Blocks of a frame heap that carry a pattern, and a heap for the length of a test.
#pragma once

#include <cstdint>
#include <cstring>

#include "machine/frame_heap.hpp"

namespace paceline_test {

/// A block that is filled from end to end with its own number, so that a second owner shows.
struct Frame {
  Frame(void* memory, std::size_t size, std::uint64_t number)
      : block(memory), bytes(size), tag(number) {
    each_byte([](unsigned char& byte, unsigned char expected) {
      byte = expected;
      return true;
    });
  }
  Frame(paceline::core::FrameHeap& heap, std::size_t size, std::uint64_t number)
      : Frame(heap.allocate(size), size, number) {}

  bool intact() {
    return each_byte(
        [](const unsigned char& byte, unsigned char expected) { return byte == expected; });
  }

  void* block;
  std::size_t bytes;
  std::uint64_t tag;

 private:
  template <class Visit>
  bool each_byte(Visit&& visit) {
    auto* byte = static_cast<unsigned char*>(block);
    for (std::size_t i = 0; i < bytes; ++i) {
      if (!visit(byte[i], static_cast<unsigned char>(tag * 31 + i * 7))) return false;
    }
    return true;
  }
};

/// A heap without chunks at the start; what the test leaves goes back at its end.
class HeapLease {
 public:
  HeapLease() : heap_(paceline::core::FrameHeap::acquire()) { heap_->trim(0); }
  HeapLease(const HeapLease&) = delete;
  HeapLease& operator=(const HeapLease&) = delete;
  ~HeapLease() {
    heap_->trim(0);
    paceline::core::FrameHeap::recycle(heap_);
  }
  paceline::core::FrameHeap& operator*() { return *heap_; }
  paceline::core::FrameHeap* operator->() { return heap_; }

 private:
  paceline::core::FrameHeap* heap_;
};

}  // namespace paceline_test
