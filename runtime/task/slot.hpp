// SPDX-License-Identifier: BSL-1.0
// One slot: where a spawned task lives from spawn to completion.
// Flow rooms: spawn, run, suspend, end. Plain fields belong to the poller (state.hpp, I1).
// It must never hold anything that outlives the task: late wakers still read its state word.
// Proof: tests/unit/task/collection_test.cpp.
#pragma once

#include <cstdint>

#include <paceline/detail/suspension.hpp>

#include "base/atomic.hpp"
#include "task/state.hpp"

namespace paceline::detail {
struct ForeignStay;
struct PromiseBase;
}  // namespace paceline::detail

namespace paceline::core {

/// What a dump may read of a task that runs. Freed only while no dump is under way (names.hpp).
struct TaskName;

/// One cache line, so that neighbours polled by different workers do not share one.
struct alignas(kCacheLine) Slot {
  StateWord state;
  void* resume = nullptr;                 // address of the innermost suspended coroutine
  detail::Suspension* waiting = nullptr;  // what it waits for; null: ready whenever it is claimed
  detail::ForeignStay* stay = nullptr;    // innermost foreign awaitable it is in
  detail::PromiseBase* root = nullptr;    // the spawned coroutine's promise
  Atomic<void*> frame{nullptr};           // and its frame; relaxed, for sweeps that prefetch it
  Atomic<const TaskName*> name{nullptr};  // null for unnamed tasks
  Atomic<std::uint64_t> id{0};

  detail::TaskRef ref() noexcept { return {reinterpret_cast<std::uintptr_t>(this)}; }
  static Slot& of(detail::TaskRef ref) noexcept { return *reinterpret_cast<Slot*>(ref.bits); }
};

}  // namespace paceline::core
