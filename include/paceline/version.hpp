// SPDX-License-Identifier: BSL-1.0
// The version of these headers, for compile-time checks. Semantic versioning; before 1.0 a minor
// number may break. `library_version()` tells what was linked.
#pragma once

#include <string_view>

namespace paceline {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

/// Version of the linked library, e.g. "0.1.0". Any thread; blocks nothing.
std::string_view library_version() noexcept;

}  // namespace paceline
