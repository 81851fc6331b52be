// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/exec/live_loans.hpp: everybody looks for loans. The number is no part of a
// state, and it would only hide orders.
#pragma once

namespace paceline::core {

constexpr bool any_loans() noexcept { return true; }
inline void loan_made() noexcept {}
inline void loan_ended() noexcept {}

}  // namespace paceline::core
