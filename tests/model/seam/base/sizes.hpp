// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/base/sizes.hpp: sizes small enough that every boundary is reached in a few steps,
// but never one: a page still has neighbours, a group still has pages (reliability.md, finding 6).
#pragma once

#include <cstdint>

namespace paceline::core {

using Word = std::uint64_t;

inline constexpr unsigned kPageSlots = 2;
inline constexpr unsigned kGroupPages = 2;
inline constexpr unsigned kSegmentGroups = 2;
inline constexpr unsigned kSegments = 2;
inline constexpr unsigned kTaskGroups = 2;
inline constexpr unsigned kGenerationBits = 2;  // so that a few tenants use a slot up
inline constexpr unsigned kChunkBytes = 512;    // a head and two or three frames

}  // namespace paceline::core
