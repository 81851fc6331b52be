// SPDX-License-Identifier: BSL-1.0
// Memory for coroutine frames, for any thread: its own heap's if it has one, else a shared one's.
// Flow rooms: spawn and await (allocate), end (free).
// It must never ask who else is there while the thread has a heap of its own.
// Proof: tests/unit/machine/frame_heap_test.cpp, frame_remote_test.cpp there.
#pragma once

#include <cstddef>

namespace paceline::core {

/// Any thread. Throws std::bad_alloc.
void* allocate_frame_memory(std::size_t bytes);
/// Any thread, any time.
void free_frame_memory(void* block, std::size_t bytes) noexcept;
/// See machine::keep_across_fork.
void keep_frames_across_fork() noexcept;
/// Trims the heaps that outside threads share.
void trim_shared_frames() noexcept;

}  // namespace paceline::core
