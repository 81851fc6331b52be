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
/// Until the bounded-wait policy arrives, the classes of one worker share it by weighted
/// rotation: with every class ready, a round gives them 32, 16, 8, 4, 2 and 1 polls.
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
