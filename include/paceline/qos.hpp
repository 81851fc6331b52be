// SPDX-License-Identifier: BSL-1.0
// Quality-of-service classes, the vocabulary of "how soon".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace paceline {

/// How soon a task should run, most important first. A class is a promise about waiting, never
/// about correctness: every class that has ready tasks is served, whatever the others do.
///
/// Each class has a deadline for work that became ready: 0, 37.5, 75, 150 and 250 ms from
/// user_interactive to background. The earliest goes first; more important ones may jump ahead for
/// a few milliseconds each time, and a class that waited too long has its core for a quantum. The
/// urgent class goes before all others, for a second at most while others wait.
/// See docs/policies.md.
enum class qos : std::uint8_t {
  urgent,            ///< fixed priority above the user interface; use sparingly
  user_interactive,  ///< a person is waiting for this frame
  user_initiated,    ///< a person asked for it and waits
  standard,          ///< the default
  utility,           ///< visible progress, nobody waits
  background,        ///< maintenance
};

/// Number of classes; `static_cast<std::size_t>(q)` is below it for every valid `q`.
inline constexpr std::size_t qos_count = 6;

/// Name of a class as written in dumps, e.g. "user_interactive"; "invalid" outside the enum.
std::string_view to_string(qos q) noexcept;

}  // namespace paceline
