// SPDX-License-Identifier: BSL-1.0
// Guarded stacks for executors, pooled by size.
// Called by: start-up and shut-down of executors, any thread; blocks on lock `memory`.
// It must never hand out a stack without its guard: an overflow must trap, not corrupt.
// Proof: tests/unit/machine/stack_pool_test.cpp, tests/fault/.
#pragma once

#include <cstddef>
#include <utility>

namespace paceline::core::machine {

/// Owns one stack; gives it back to the pool when destroyed.
class StackLease {
 public:
  StackLease() noexcept = default;
  StackLease(StackLease&& other) noexcept
      : lowest_(std::exchange(other.lowest_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  StackLease& operator=(StackLease&& other) noexcept {
    std::swap(lowest_, other.lowest_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~StackLease();

  /// The usable range; the guard lies below it.
  void* bottom() const noexcept { return lowest_; }
  void* top() const noexcept { return static_cast<char*>(lowest_) + bytes_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  friend StackLease lease_stack(std::size_t bytes);
  StackLease(void* lowest, std::size_t bytes) noexcept : lowest_(lowest), bytes_(bytes) {}

  void* lowest_ = nullptr;
  std::size_t bytes_ = 0;
};

/// So much traps below each stack: frames of up to that size cannot step over it unnoticed.
std::size_t stack_guard_bytes() noexcept;

/// A stack of at least `bytes`. Throws std::bad_alloc if memory or mappings are exhausted.
StackLease lease_stack(std::size_t bytes);

/// See machine::keep_across_fork.
void keep_stacks_across_fork() noexcept;

/// Unmaps every pooled stack. Returns how many.
std::size_t trim_stacks() noexcept;

}  // namespace paceline::core::machine
