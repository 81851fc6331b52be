// SPDX-License-Identifier: BSL-1.0
// What a reader of a report must know about where it comes from: build, system and limits.
#pragma once

#include "json.hpp"

namespace coretest {

/// Appends the facts to a header record. Facts that the system does not tell are null.
void describe_environment(JsonObject& header);

}  // namespace coretest
