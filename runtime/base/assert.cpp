// SPDX-License-Identifier: BSL-1.0
#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace paceline::core {

namespace {

void put(const char* text) noexcept {
  // A short write to stderr while dying is not worth a loop.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

}  // namespace

void invariant_broken(const char* invariant, std::source_location where) noexcept {
  char line[16];
  std::snprintf(line, sizeof line, "%u", static_cast<unsigned>(where.line()));
  put("paceline: invariant broken: ");
  put(invariant);
  put("\n  at ");
  put(where.file_name());
  put(":");
  put(line);
  put(" in ");
  put(where.function_name());
  put("\n  This is a bug in paceline; please report it with this text.\n");
  std::abort();
}

}  // namespace paceline::core
