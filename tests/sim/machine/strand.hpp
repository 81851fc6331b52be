// SPDX-License-Identifier: BSL-1.0
// A simulated thread's stack, and all that the language and the library keep per thread: what C++
// knows of its exceptions, errno, and what its safepoints look at.
#pragma once

#include <cstddef>

#include <paceline/detail/safepoint.hpp>

namespace paceline::core::simulation {

class Strand {
 public:
  /// The one that runs already, on a stack of the system's.
  Strand() noexcept;
  /// Not while it stands on its own stack.
  ~Strand();
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  /// Gives it a stack, on which `body(argument)` begins at the first switch to it; the body ends
  /// with a switch for good. Throws std::system_error.
  void prepare(void (*body)(void*) noexcept, void* argument);
  /// Goes on there. Returns when somebody switches back, unless this is for good.
  void switch_to(Strand& next, bool for_good) noexcept;

 private:
  struct Entry;
  void arrive(void* from, void* context) noexcept;

  void* stands_at_ = nullptr;
  void* stack_ = nullptr;
  void (*body_)(void*) noexcept = nullptr;
  void* argument_ = nullptr;

  detail::Safepoint safepoint_;
  void* caught_ = nullptr;
  unsigned uncaught_ = 0;
  int errno_ = 0;

  // Sanitizer state; a strand may rest on the stack of a task.
  [[maybe_unused]] void* fake_ = nullptr;
  [[maybe_unused]] const void* bottom_ = nullptr;
  [[maybe_unused]] std::size_t bytes_ = 0;
  [[maybe_unused]] void* tsan_ = nullptr;
};

}  // namespace paceline::core::simulation
