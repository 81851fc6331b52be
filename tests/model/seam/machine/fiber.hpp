// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/machine/fiber.hpp: the switch alone. What a switch keeps besides (exceptions,
// errno, floating-point control) is tested on real threads. It finds a stack that two threads are
// on.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include "explorer/point.hpp"
#include "machine/stack_pool.hpp"
#include "machine/unwind.hpp"

namespace paceline::core::machine {

class Fiber {
 public:
  Fiber(StackLease stack, void (*entry)(void*) noexcept, void* argument) noexcept
      : stack_(std::move(stack)), entry_(entry), argument_(argument) {
    inside_ = boost::context::detail::make_fcontext(stack_.top(), stack_.bytes(), &run);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void enter() noexcept {
    model::require(!entered_, "nobody enters a stack that somebody is on");
    entered_ = true;
    inside_ = model::switch_stack(inside_, this);
  }
  void leave() noexcept {
    entered_ = false;
    outside_ = model::switch_stack(outside_, nullptr);
  }
  bool finished() const noexcept { return finished_; }
  const void* stack_bottom() const noexcept { return stack_.bottom(); }
  Trace trace() const noexcept { return {}; }

 private:
  static void run(boost::context::detail::transfer_t from) {
    model::stack_left(from.fctx);
    auto& self = *static_cast<Fiber*>(from.data);
    self.outside_ = from.fctx;
    self.entry_(self.argument_);
    self.finished_ = true;
    self.leave();
  }

  StackLease stack_;
  void (*entry_)(void*) noexcept;
  void* argument_;
  void* inside_ = nullptr;
  void* outside_ = nullptr;
  bool entered_ = false;
  bool finished_ = false;
};

}  // namespace paceline::core::machine
