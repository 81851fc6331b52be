// SPDX-License-Identifier: BSL-1.0
// Fiber: a function on a stack of its own, entered and left. The only stack switch of the runtime.
// Flow room: run. One thread at a time; a fiber never changes its thread (decision D7).
// It must never be destroyed while its function is between two frames of user code.
// Proof: tests/unit/machine/fiber_test.cpp, tests/sanitizer/.
#pragma once

#include "machine/stack_pool.hpp"
#include "machine/unwind.hpp"

namespace paceline::core::machine {

/// Each switch keeps what belongs to the side that is left: the C++ exceptions it is handling,
/// errno, and (Boost.Context on x86) the floating-point control words; and it tells ASan and TSan.
class Fiber {
 public:
  /// `entry(argument)` runs on `stack` when the fiber is first entered; it must never return while
  /// the fiber may be entered again.
  Fiber(StackLease stack, void (*entry)(void*) noexcept, void* argument) noexcept;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Runs the fiber until it leaves. Not from a fiber itself.
  void enter() noexcept;
  /// Goes back to whoever entered. Only on this fiber.
  void leave() noexcept;
  /// True once `entry` has returned.
  bool finished() const noexcept { return finished_; }
  /// The lowest address of its stack.
  const void* stack_bottom() const noexcept { return stack_.bottom(); }

  // --- while it has been left and nobody can enter it; any thread ---

  Registers registers() const noexcept { return registers_of(inside_); }
  /// Where it stands.
  Trace trace() const noexcept;
  const StackLease& stack() const noexcept { return stack_; }

 private:
  static void trampoline(void* from, void* self) noexcept;
  void announce_leaving(bool for_good) noexcept;

  friend struct FiberEntry;

  StackLease stack_;
  void (*entry_)(void*) noexcept;
  void* argument_;
  void* inside_ = nullptr;   // where the fiber stands
  void* outside_ = nullptr;  // where its enterer stands
  bool finished_ = false;

  // Sanitizer state.
  [[maybe_unused]] void* fake_inside_ = nullptr;
  [[maybe_unused]] void* fake_outside_ = nullptr;
  [[maybe_unused]] const void* outside_bottom_ = nullptr;
  [[maybe_unused]] std::size_t outside_bytes_ = 0;
  [[maybe_unused]] void* tsan_inside_ = nullptr;
  [[maybe_unused]] void* tsan_outside_ = nullptr;
};

}  // namespace paceline::core::machine
