// SPDX-License-Identifier: BSL-1.0
// GroupBook: what a core knows of its task groups: whose turn it is, and, of each group, how its
// executors share that turn.
// Flow room: run. Belongs to one ExecutorRuntime; made when that meets its first task group.
// It must never be asked where no task group is about: the common case does without it.
// Proof: tests/unit/exec/group_turn_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "policy/group_turns.hpp"
#include "policy/turns.hpp"
#include "task/lane.hpp"

namespace paceline::core {

struct GroupBook {
  GroupBook(const policy::ClassTable& classes, Nanos slice) noexcept
      : turns(classes), executors(make(slice, std::make_index_sequence<kTaskGroups>())) {}

  policy::GroupTurns turns;
  std::array<policy::Turns, kTaskGroups> executors;
  std::array<std::uint64_t, kTaskGroups> seen{};  // TaskGroupWishes words, as last seen

  /// Takes over what the owner wishes, if that is not what we know.
  void look_at(unsigned group, const Atomic<std::uint64_t>* wishes, Nanos now) noexcept {
    if (wishes == nullptr) return;
    // Relaxed: published with the first task of the group, on whatever worker.
    const std::uint64_t word = wishes[group].load(std::memory_order_relaxed);
    if (word == seen[group]) [[likely]]
      return;
    seen[group] = word;
    const TaskGroupWishes wished = TaskGroupWishes::of(word);
    turns.renew(group, {wished.shares, wished.fair}, now);
  }

 private:
  template <std::size_t... I>
  static std::array<policy::Turns, kTaskGroups> make(Nanos slice,
                                                     std::index_sequence<I...>) noexcept {
    return {((void)I, policy::Turns(slice))...};
  }
  static_assert(kTaskGroups <= policy::kTurnGroups);
};

}  // namespace paceline::core
