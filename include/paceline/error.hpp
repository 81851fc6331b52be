// SPDX-License-Identifier: BSL-1.0
// What the library throws. Misuse and start-up failures throw standard exceptions
// (std::invalid_argument, std::logic_error, std::system_error, std::bad_alloc) whose message says
// what to do; the types below are the outcomes a caller may want to tell apart.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace paceline {

/// Thrown by a suspended (or about to be suspended) cancellable await when the task was asked to
/// stop. Let it propagate: it unwinds the task, and an unjoined task that ends with it is not
/// reported as a failure.
class operation_cancelled : public std::exception {
 public:
  const char* what() const noexcept override;
};

/// Thrown by spawn, block_on and schedule once the runtime was asked to stop. Nothing was started.
class runtime_stopped : public std::runtime_error {
 public:
  explicit runtime_stopped(const std::string& what);
};

/// Outcome of a task that the runtime gave up on at shutdown (`shutdown_policy::abandon`): it will
/// never run again. Rethrown by its join.
class task_abandoned : public std::runtime_error {
 public:
  explicit task_abandoned(const std::string& what);
};

}  // namespace paceline
