// SPDX-License-Identifier: BSL-1.0
// What a runtime tells about a task that keeps its thread and answers no request to give way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include <paceline/qos.hpp>

namespace paceline {

/// Why a task answers no request to give way.
enum class stall_kind {
  hog,      ///< it computes without a safepoint
  blocked,  ///< it sleeps in the system: a lock, a file, a call that waits
  starved,  ///< it could run, but the system gives its thread no processor
};

/// "hog", "blocked" or "starved".
constexpr std::string_view to_string(stall_kind kind) noexcept {
  switch (kind) {
    case stall_kind::hog: return "hog";
    case stall_kind::blocked: return "blocked";
    case stall_kind::starved: return "starved";
  }
  return "unknown";
}

/// One stall. The texts live until the hook returns.
struct stall {
  std::string_view runtime;            ///< runtime_options::name
  std::string_view task;               ///< the task's name; empty: it has none
  std::uint64_t id = 0;                ///< as this_task::id() and dumps have it
  paceline::qos qos = qos::standard;   ///< the task's class
  std::size_t worker = 0;              ///< on which it began this run
  bool handed_off = false;             ///< that worker goes on on another thread
  std::chrono::nanoseconds lasted{0};  ///< since it was first asked to give way
  stall_kind kind = stall_kind::hog;   ///< judged by what its thread did in the latter half of that
  /// Where its thread is, one line for each frame, innermost first, with names where the program
  /// has symbols; a line that ends in "?" is a guess, because code without unwind tables was met.
  /// Empty: not to be had, as for a starved task.
  std::string_view stack;
};

/// Called once for each stall, on a thread of the runtime that looks after time: while it runs, no
/// slice ends. Do not wait for tasks. An exception it throws is reported on stderr and dropped.
using stall_hook = std::function<void(const stall&)>;

}  // namespace paceline
