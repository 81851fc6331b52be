// SPDX-License-Identifier: BSL-1.0
// Memory of this process as the system sees it. Complements tests/support/alive.hpp.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace coretest {

/// A field of /proc/self/status that is given in kB, in bytes; 0 if there is none.
inline std::size_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

/// The most that was ever resident.
inline std::size_t peak_resident_bytes() { return status_bytes("VmHWM"); }

/// Starts a new reckoning of the peak. False where the system does not let us.
inline bool reset_peak() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5\n";
  clear.flush();
  return clear.good();
}

}  // namespace coretest
