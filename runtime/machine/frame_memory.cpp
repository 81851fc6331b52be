// SPDX-License-Identifier: BSL-1.0
#include "machine/frame_memory.hpp"

#include <iterator>
#include <new>

#include "base/mutex.hpp"
#include "machine/frame_heap.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core {

namespace {

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

namespace {

// The address sanitizer finds uses of dead frames only in blocks it hands out itself.
constexpr bool is_ours(std::size_t bytes) noexcept {
  return bytes <= FrameHeap::kLargest && !machine::sanitizer::kAddress;
}

// A heap of the calling thread's own answers nearly always; what else there is stays out of its
// way.

[[gnu::noinline]] void* allocate_elsewhere(std::size_t bytes) {
  if (!is_ours(bytes)) return ::operator new(bytes);
  void* block = nullptr;
  if (machine::own_record().heap == nullptr) {
    SharedHeap& shared = shared_heap_of_thread();
    LockGuard lock(shared.lock);
    block = shared.heap.allocate(bytes);
  }
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

[[gnu::noinline]] void free_elsewhere(void* block, std::size_t bytes) noexcept {
  if (!is_ours(bytes)) {
    ::operator delete(block, bytes);
    return;
  }
  SharedHeap& shared = shared_heap_of_thread();
  LockGuard lock(shared.lock);
  shared.heap.free(block);
  shared.heap.flush();  // nobody promises to come back here
}

}  // namespace

void* allocate_frame_memory(std::size_t bytes) {
  FrameHeap* const heap = machine::own_record().heap;
  if (is_ours(bytes) && heap != nullptr) [[likely]] {
    if (void* block = heap->allocate(bytes)) [[likely]]
      return block;
  }
  return allocate_elsewhere(bytes);
}

void free_frame_memory(void* block, std::size_t bytes) noexcept {
  FrameHeap* const heap = machine::own_record().heap;
  if (is_ours(bytes) && heap != nullptr) [[likely]]
    heap->free(block);
  else
    free_elsewhere(block, bytes);
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
  keep_chunks_across_fork();
}

}  // namespace paceline::core
