// SPDX-License-Identifier: BSL-1.0
// Handing control from an awaiting coroutine to the awaited one and back, without growing the
// stack.
//
// Clang turns every symmetric transfer into a tail call. GCC does so only at some optimisation
// levels, cannot be asked which one it is at, and never under a sanitizer; elsewhere a loop of a
// million `co_await child()` would overflow the stack. So with GCC the awaiter resumes the child
// itself and goes on if the child has ended meanwhile; that nests one call per level of awaiting,
// and every kNestedLevels levels the executor's loop takes over from a short stack.
// Proof: tests/unit/api/task_test.cpp: a million awaits in a row and a million levels deep, at every
// optimisation level. Cost: docs/benchmarks.md, "An await".
#pragma once

#include <coroutine>
#include <cstdint>
#include <type_traits>

#include <paceline/detail/bridge.hpp>

namespace paceline::detail {

#if defined(__clang__)
inline constexpr bool kTransferIsTailCall = true;
#else
inline constexpr bool kTransferIsTailCall = false;
#endif

// Each costs some 150 to 500 bytes of stack, by optimisation level; the smallest stack has 16 KiB.
inline constexpr std::uint8_t kNestedLevels = 16;

/// The link of a nested task: who awaits it, and how it goes back there.
namespace parent_link {
inline constexpr std::uintptr_t nested = 1;   // its resume() was called by the parent's awaiter
inline constexpr std::uintptr_t foreign = 2;  // the parent is no paceline task: resume it directly
inline constexpr std::uintptr_t tag_mask = 3;
}  // namespace parent_link

/// The awaiting half. True: the parent stays suspended. False: the child has ended already.
template <class Parent>
bool enter_child(PromiseBase& child, std::coroutine_handle<> child_frame,
                 std::coroutine_handle<Parent> parent) {
  auto link = reinterpret_cast<std::uintptr_t>(parent.address());
  if constexpr (std::is_base_of_v<PromiseBase, Parent>) {
    child.level = static_cast<std::uint8_t>(parent.promise().level + 1);
    if (child.level % kNestedLevels == 0) {
      child.link.store(link, std::memory_order_relaxed);
      if (post_transfer(child_frame)) return true;
    }
  } else {
    link |= parent_link::foreign;
  }
  child.link.store(link | parent_link::nested, std::memory_order_relaxed);
  child_frame.resume();
  if (child_frame.done()) return false;
  // Suspended somewhere below. Nobody has resumed it yet: the task is still being polled by us.
  child.link.store(link, std::memory_order_relaxed);
  return true;
}

/// The ending half, called in the child's final suspension.
inline void leave_child(PromiseBase& child) noexcept {
  const std::uintptr_t link = child.link.load(std::memory_order_relaxed);
  if ((link & parent_link::nested) != 0) return;  // enter_child sees that it has ended
  const auto parent =
      std::coroutine_handle<>::from_address(reinterpret_cast<void*>(link & ~parent_link::tag_mask));
  if ((link & parent_link::foreign) == 0 && post_transfer(parent)) return;
  parent.resume();
}

}  // namespace paceline::detail
