// SPDX-License-Identifier: BSL-1.0
// What a safepoint looks at: the one word of the library that application code reads inline.
// Flow room: preempt. Written by others (the word), by its own thread (the rest).
// It must never be more than two loads and a branch while nobody asks for anything.
// Proof: tests/unit/api/preempt_test.cpp; cost: pacebench preempt/untaken.
#pragma once

#include <cstdint>

#include <paceline/detail/atomic.hpp>

namespace paceline::detail {

/// A thread's view of its request word. On threads that are no workers it stays at rest for ever.
///
/// The address of a thread-local may be stale after a suspension that changes the thread. Whoever
/// then reads another worker's word makes one needless call, which looks again, or misses a request
/// until the next safepoint; the words are never unmapped.
struct Safepoint {
  /// Looked at by every safepoint. Points to a word that is always 0 while a nopreempt guard lives.
  const Atomic<std::uint32_t>* request;
  /// This thread's word, if it is a worker's.
  const Atomic<std::uint32_t>* own;
  /// Living nopreempt guards.
  std::uint32_t guards;
};
extern constinit thread_local Safepoint this_safepoint [[gnu::tls_model("initial-exec")]];

/// Somebody asked: gives way if that is still worth it. Any thread.
void at_safepoint() noexcept;
/// Around a call that may take long: its worker may change its thread meanwhile.
class BlockingScope {
 public:
  BlockingScope() noexcept;
  ~BlockingScope();
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;

 private:
  void* worker_ = nullptr;
  std::uint32_t lent_ = 0;
};

void begin_nopreempt() noexcept;
void end_nopreempt() noexcept;

}  // namespace paceline::detail
