// SPDX-License-Identifier: BSL-1.0
// Handing control from one coroutine to the next without growing the stack.
//
// Clang turns every symmetric transfer into a tail call. GCC does so only where it optimises
// sibling calls and no sanitizer is on; elsewhere a loop of a million `co_await child()` would
// overflow the stack, so there the executor's loop resumes the next coroutine instead.
// Proof: tests/unit/api/task_test.cpp, "a million awaits in a row do not grow the stack".
#pragma once

#include <coroutine>

#include <paceline/detail/bridge.hpp>

namespace paceline::detail {

#if defined(__clang__) || \
    (defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__))
inline constexpr bool kTransferIsTailCall = true;
#else
inline constexpr bool kTransferIsTailCall = false;
#endif

/// What await_suspend returns to continue with `next`.
template <bool TailCall = kTransferIsTailCall>
std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept {
  if constexpr (!TailCall) {
    if (post_transfer(next)) return std::noop_coroutine();
  }
  return next;
}

}  // namespace paceline::detail
