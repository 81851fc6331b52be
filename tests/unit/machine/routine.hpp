// SPDX-License-Identifier: BSL-1.0
// A fiber around a lambda that may leave and be entered again. Entered to its end by its owner or,
// if it was never entered, not at all.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "machine/fiber.hpp"

namespace paceline_test {

class Routine {
 public:
  explicit Routine(std::function<void(Routine&)> body, std::size_t stack_bytes = 128 * 1024)
      : Routine(std::move(body), paceline::core::machine::lease_stack(stack_bytes)) {}
  Routine(const Routine&) = delete;
  Routine& operator=(const Routine&) = delete;
  ~Routine() {
    paceline::core::check(!entered_ || fiber_.finished(), "a test's fiber runs to its end");
  }

  void enter() noexcept {
    entered_ = true;
    fiber_.enter();
  }
  void leave() noexcept { fiber_.leave(); }
  paceline::core::machine::Registers registers() const noexcept { return fiber_.registers(); }
  paceline::core::machine::Trace trace() const noexcept { return fiber_.trace(); }
  bool finished() const noexcept { return fiber_.finished(); }
  const void* bottom() const noexcept { return bottom_; }
  const void* top() const noexcept { return top_; }

 private:
  Routine(std::function<void(Routine&)> body, paceline::core::machine::StackLease stack)
      : body_(std::move(body)),
        bottom_(stack.bottom()),
        top_(stack.top()),
        fiber_(std::move(stack), &Routine::run, this) {}

  static void run(void* self) noexcept {
    auto& routine = *static_cast<Routine*>(self);
    routine.body_(routine);
  }

  std::function<void(Routine&)> body_;
  const void* bottom_;
  const void* top_;
  paceline::core::machine::Fiber fiber_;
  bool entered_ = false;
};

}  // namespace paceline_test
