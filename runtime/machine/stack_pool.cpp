// SPDX-License-Identifier: BSL-1.0
#include "machine/stack_pool.hpp"

#include <algorithm>
#include <limits>
#include <new>

#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core::machine {

namespace {

// A pooled stack carries its own link, so giving one back cannot fail.
struct FreeStack {
  FreeStack* next;
  std::size_t bytes;
};

constinit Mutex pool_lock{LockRank::memory};
constinit FreeStack* pool = nullptr;
constinit std::size_t pooled = 0;

// More than a busy process starts and stops at a time; the rest is unmapped.
constexpr std::size_t kPooledMax = 64;

FreeStack* link_of(void* lowest, std::size_t bytes) noexcept {
  return reinterpret_cast<FreeStack*>(static_cast<char*>(lowest) + bytes - sizeof(FreeStack));
}

void unmap_stack(void* lowest, std::size_t bytes) noexcept {
  unmap(static_cast<char*>(lowest) - stack_guard_bytes(), bytes + stack_guard_bytes());
}

}  // namespace

std::size_t stack_guard_bytes() noexcept {
  constexpr std::size_t kGuard = 64 * 1024;
  return std::max(kGuard, page_size());
}

StackLease lease_stack(std::size_t bytes) {
  const std::size_t page = page_size();
  const std::size_t below = stack_guard_bytes();
  if (bytes > std::numeric_limits<std::size_t>::max() - page - below) throw std::bad_alloc();
  bytes = std::max(page, (bytes + page - 1) & ~(page - 1));
  {
    LockGuard lock(pool_lock);
    for (FreeStack** at = &pool; *at != nullptr; at = &(*at)->next) {
      if ((*at)->bytes != bytes) continue;
      FreeStack* found = *at;
      *at = found->next;
      --pooled;
      return {reinterpret_cast<char*>(found) + sizeof(FreeStack) - bytes, bytes};
    }
  }
  void* memory = map(bytes + below, page);
  if (memory == nullptr) throw std::bad_alloc();
  if (!guard(memory, below)) {
    unmap(memory, bytes + below);
    throw std::bad_alloc();
  }
  return {static_cast<char*>(memory) + below, bytes};
}

StackLease::~StackLease() {
  if (lowest_ == nullptr) return;
  sanitizer::unpoison_stack(lowest_, bytes_);
  FreeStack* link = link_of(lowest_, bytes_);
  {
    LockGuard lock(pool_lock);
    if (pooled < kPooledMax) {
      *link = {pool, bytes_};
      pool = link;
      ++pooled;
      return;
    }
  }
  unmap_stack(lowest_, bytes_);
}

std::size_t trim_stacks() noexcept {
  LockGuard lock(pool_lock);
  std::size_t freed = 0;
  while (pool != nullptr) {
    FreeStack* gone = pool;
    pool = gone->next;
    const std::size_t bytes = gone->bytes;
    unmap_stack(reinterpret_cast<char*>(gone) + sizeof(FreeStack) - bytes, bytes);
    ++freed;
  }
  pooled = 0;
  return freed;
}

void keep_stacks_across_fork() noexcept { keep_across_fork(pool_lock); }

}  // namespace paceline::core::machine
