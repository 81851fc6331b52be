// SPDX-License-Identifier: BSL-1.0
// What is alive in this process: threads, descriptors, memory. Read from /proc.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace paceline_test {

inline std::size_t entries(const char* directory) {
  std::error_code gone;
  return static_cast<std::size_t>(std::distance(
      std::filesystem::directory_iterator(directory, gone), std::filesystem::directory_iterator()));
}

inline std::size_t thread_count() { return entries("/proc/self/task"); }
inline std::size_t descriptor_count() { return entries("/proc/self/fd"); }

/// Resident memory in bytes.
inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

/// A joined or detached thread may need a moment to vanish from /proc: wait for that, with a limit.
inline bool threads_fall_to(std::size_t count) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (thread_count() > count) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace paceline_test
