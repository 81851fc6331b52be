// SPDX-License-Identifier: BSL-1.0
// Numbers and file names as people, terminals and JSON readers want them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tree_index {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);

/// Bytes as "12.3 MB" (a million bytes).
std::string megabytes(std::uint64_t bytes);

/// A rate as a grouped whole number; "0" while no time has passed.
std::string per_second(std::uint64_t amount, double seconds);

/// "950 ns", "12.3 us", "4.56 ms" or "1.20 s".
std::string brief(std::chrono::nanoseconds time);

/// Fills up with spaces on the left or right.
std::string left(std::string_view text, std::size_t width);
std::string right(std::string_view text, std::size_t width);

/// A file name that cannot harm a terminal: control characters as \n, \t or \x1b.
std::string printable(std::string_view name);

/// A JSON string, quotes included. File names are bytes: one that is no UTF-8 becomes the lone
/// surrogate U+DC80 + byte - 0x80, as in Python's "surrogateescape", so that nothing is lost.
std::string quoted(std::string_view name);

}  // namespace tree_index
