// SPDX-License-Identifier: BSL-1.0
// Affinity masks as verdicts: what a change of mask means for a task, and which core a mask, a home
// node or an energy estimate chooses. Flow room: policy. Called by whoever owns the task, who then
// does what the verdict says; nothing is changed here.
// It must never leave a task on a forbidden core, nor take a running task from under its worker.
// Proof: tests/unit/policy/affinity_rules_test.cpp (statements 55 and 56).
// Source: policies.md 4.5, with its corrections marked there as ours.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "policy/core_mask.hpp"
#include "policy/domains.hpp"

namespace paceline::core::policy {

enum class AffinityReason : std::uint8_t {
  stored,         ///< the task may stay where it is
  moved,          ///< stored, and the task must go to `target` first
  unchanged,      ///< an equal mask: no effect, no counter
  no_memory,      ///< ENOMEM
  no_task,        ///< ESRCH
  not_permitted,  ///< EPERM
  empty_mask,     ///< EINVAL
  nobody_active,  ///< EINVAL: no active core is in the mask
};

/// The errno of a reason, 0 for success.
int error_of(AffinityReason reason) noexcept;

struct AffinityRequest {
  bool memory;     ///< the new mask could be copied
  bool known;      ///< the task exists
  bool permitted;  ///< the caller may change it
  bool running;    ///< the task is being polled
  CoreMask wanted;
  CoreMask current;    ///< the task's mask
  CoreMask active;     ///< online workers
  std::uint32_t core;  ///< where the task is
};

struct AffinityVerdict {
  AffinityReason reason;
  bool store;            ///< the mask and `count` replace what the task has
  std::uint32_t count;   ///< cores in the mask, with store
  std::uint32_t target;  ///< where it goes; kNoCore unless moved
  bool preempt;          ///< it runs: ask it to give way, move it at its suspension
};

/// Checks in the order memory, task, permission, mask (4.5); a mask without active core is EINVAL
/// and changes nothing.
AffinityVerdict judge_affinity(const AffinityRequest& request) noexcept;

enum class CoreReason : std::uint8_t {
  home,     ///< of the home node
  allowed,  ///< any allowed one: the home node has none
  cheapest,
  nobody,
};

struct CoreVerdict {
  CoreReason reason;
  std::uint32_t core;  ///< kNoCore with nobody
};

/// The first active allowed core of the home node, else the first active allowed one.
CoreVerdict choose_by_node(const Domains& domains, std::uint16_t home, CoreMask allowed,
                           CoreMask active) noexcept;

/// The same for work that should also spread: the least loaded one instead of the first; ties: the
/// first. `load` is indexed by core; any scale.
CoreVerdict choose_by_node_and_load(const Domains& domains, std::uint16_t home, CoreMask allowed,
                                    CoreMask active, std::span<const std::uint64_t> load) noexcept;

/// The active allowed core with the least estimated energy; ties: the first. `energy` is indexed by
/// core, any unit; what is not a number is no candidate.
CoreVerdict choose_by_energy(std::span<const double> energy, CoreMask allowed,
                             CoreMask active) noexcept;

/// Whether a resume of the task on `core` is legal now. Asked at each dispatch, it makes that a
/// task never runs on a core that its mask excludes after its current resume.
constexpr bool may_resume(CoreMask mask, std::uint32_t core) noexcept {
  return has_core(mask, core);
}

/// Whether `mask` is what a worker's idle task must have: that worker only.
constexpr bool is_idle_mask(CoreMask mask, std::uint32_t core) noexcept {
  return count_cores(mask) == 1 && has_core(mask, core);
}

}  // namespace paceline::core::policy
