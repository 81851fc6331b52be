// SPDX-License-Identifier: BSL-1.0
// A timeline as a picture: a row for each core, a colour for each class, a bar as high as the core
// is fast at that time. One file that needs no other.
// Proof: tests/sim/timeline_test.cpp.
#pragma once

#include <string>
#include <string_view>

#include "sim/report.hpp"
#include "sim/timeline.hpp"

namespace paceline_sim {

/// An SVG document; the heading says what is seen, the seed and the command that repeats it.
std::string svg_of(const Timeline& timeline, std::string_view what, const Report& report);
/// A page with the same picture and the report's checks and figures.
std::string html_of(const Timeline& timeline, std::string_view what, const Report& report);

/// Text between tags or in an attribute.
std::string escaped(std::string_view text);

}  // namespace paceline_sim
