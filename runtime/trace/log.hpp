// SPDX-License-Identifier: BSL-1.0
// The runtime's own log. Silent unless PACELINE_LOG names a level; never called on a hot path.
// Proof: tests/unit/trace/log_test.cpp.
#pragma once

#include <string_view>

namespace paceline::core::log {

enum class Level { debug, info, warn, error };

/// Is a message of this level written anywhere? PACELINE_LOG is one of debug, info, warn, error,
/// off; read once per process, and ignored in a set-user-id program.
bool enabled(Level level) noexcept;

/// Writes one line to stderr through spdlog. A failure to write is dropped.
void write(Level level, std::string_view message) noexcept;

/// Writes one line to stderr whatever the level: reports the user must see.
void report(std::string_view message) noexcept;

}  // namespace paceline::core::log
