// SPDX-License-Identifier: BSL-1.0
// What lies in a cache line: the name of a part of the runtime, for a reader of figures.
#pragma once

#include <cstdint>
#include <string>

namespace paceline::core {
class RuntimeCore;
}

namespace paceline_cores {

std::string name_of_line(paceline::core::RuntimeCore& core, std::uintptr_t line);

}  // namespace paceline_cores
