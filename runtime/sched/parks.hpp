// SPDX-License-Identifier: BSL-1.0
// Whether parks have time-outs that make up for a lost wake.
// A function, not a constant: the stress program's twins with and without (tests/coretest) differ
// in the one object that defines it.
#pragma once

namespace paceline::core {

/// No park has a time-out but for timers, so that a lost wake hangs: test builds.
bool parks_are_infinite() noexcept;

}  // namespace paceline::core
