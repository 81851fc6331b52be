// SPDX-License-Identifier: BSL-1.0
// Names of tasks, readable by a dump while the task runs and ends.
// Flow rooms: spawn (make), end (retire), dump (read). Any thread.
// A name must never be freed while a dump may read it.
// Proof: tests/unit/api/dump_test.cpp, tests/unit/exec/names_test.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/atomic.hpp"

namespace paceline::core {

struct TaskName {
  std::string text;
  TaskName* next_retired = nullptr;
};

/// Throws std::bad_alloc.
TaskName* make_name(std::string_view text);

/// Frees a name, or keeps it until no dump is under way.
///
/// The dump raises `dumps_under_way` and then loads a slot's name; the retiring thread clears the
/// slot's name and then loads `dumps_under_way`. All four are seq_cst, so either the dump finds no
/// name or the retiring thread finds the dump and keeps the name.
void retire_name(TaskName* name) noexcept;

/// Writes "task 12 'name'" for what runs on the calling thread; returns its
/// length. Signal-safe.
std::size_t describe_this_task(char* text, std::size_t size) noexcept;

/// See machine::keep_across_fork.
void keep_names_across_fork() noexcept;

/// While one exists, every name that can still be reached through a slot stays readable.
class DumpGuard {
 public:
  DumpGuard() noexcept;
  ~DumpGuard();
  DumpGuard(const DumpGuard&) = delete;
  DumpGuard& operator=(const DumpGuard&) = delete;
};

}  // namespace paceline::core
