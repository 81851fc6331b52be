// SPDX-License-Identifier: BSL-1.0
// What every atomic of the runtime calls before it is read or written on the simulated machine.
// Nothing happens unless lines are priced (prices.hpp).
#pragma once

#include <cstdint>

namespace paceline::core::simulation {

enum class Access : std::uint8_t { load, store, rmw };

inline constinit bool lines_are_priced = false;
void pay_for(const void* address, Access access) noexcept;

inline void touch(const void* address, Access access) noexcept {
  if (lines_are_priced) [[unlikely]]
    pay_for(address, access);
}

}  // namespace paceline::core::simulation
