// SPDX-License-Identifier: BSL-1.0
// Interference with the installed library: there is none.
#include "interference.hpp"

#include <stdexcept>

namespace coretest::interference {

Parks linked() noexcept { return Parks::product; }

void begin(const Settings& settings, const Wire&) {
  if (settings.chaos != Chaos::off || settings.sabotage.mutant != Mutant::none) {
    throw std::logic_error("chaos and sabotage need the probed program");
  }
}

void end() noexcept {}
void freeze() noexcept {}
std::int64_t allowance() noexcept { return 0; }
std::uint64_t disturbances() noexcept { return 0; }
std::uint64_t forced_demotions() noexcept { return 0; }
std::uint64_t chances() noexcept { return 0; }

}  // namespace coretest::interference
