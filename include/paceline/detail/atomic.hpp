// SPDX-License-Identifier: BSL-1.0
// The atomics seam (decision D12): the one place where an atomic type is named.
// Flow room: none, every room stands on it. Called by: public coroutine headers and, through
// runtime/base/atomic.hpp, the whole runtime. It must never grow behaviour of its own.
// Proof: tests/model/seam/paceline/detail/atomic.hpp replaces this file when the explorer
// compiles the shipped sources, and tests/tidy greps that nobody passes by.
#pragma once

#include <atomic>

namespace paceline::detail {

template <class T>
using Atomic = std::atomic<T>;

}  // namespace paceline::detail
