// SPDX-License-Identifier: BSL-1.0
// The model-sized knobs: how wide a word and how large a directory is.
// The explorer compiles the shipped sources with a twin of this file (tests/model/seam) in which a
// page has two slots, so that every boundary is reached within a few steps.
#pragma once

#include <cstdint>

namespace paceline::core {

using Word = std::uint64_t;

inline constexpr unsigned kPageSlots = 64;       // slots per page, bits per notified word
inline constexpr unsigned kGroupPages = 64;      // pages per group, first summary level
inline constexpr unsigned kSegmentGroups = 64;   // groups per segment, second summary level
inline constexpr unsigned kSegments = 64;        // segments per collection: 16.7 million tasks
inline constexpr unsigned kTaskGroups = 64;      // of a runtime at a time, those without included
inline constexpr unsigned kGenerationBits = 56;  // of the state word
inline constexpr unsigned kChunkBytes = 64 * 1024;  // of equal coroutine frames

}  // namespace paceline::core
