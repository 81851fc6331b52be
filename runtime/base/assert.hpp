// SPDX-License-Identifier: BSL-1.0
// Checks that name the invariant they guard. On in every build: one predicted branch each.
// They must never have side effects.
#pragma once

#include <source_location>

namespace paceline::core {

/// Prints the invariant and where it broke, then aborts. Async-signal-safe.
[[noreturn, gnu::cold]] void invariant_broken(const char* invariant,
                                              std::source_location where) noexcept;

/// `invariant` says what must hold, in words, e.g. "a vacant slot has no root".
inline void check(bool holds, const char* invariant,
                  std::source_location where = std::source_location::current()) noexcept {
  if (!holds) [[unlikely]]
    invariant_broken(invariant, where);
}

}  // namespace paceline::core
