// SPDX-License-Identifier: BSL-1.0
// Trace: names for words of the arena, and a line per access while a schedule is replayed.
#pragma once

namespace model::trace {

/// A new model: no word has a name.
void forget_names();
void enable(bool on) noexcept;
/// Prints where the present thread has just come to.
void line(unsigned thread);

}  // namespace model::trace
