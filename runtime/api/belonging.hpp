// SPDX-License-Identifier: BSL-1.0
// Where a task belongs on whatever worker it comes to: its class and its task group.
// Flow room: spawn. Any thread. It must never name a class or a group that does not exist.
// Proof: tests/unit/api/spawn_options_test.cpp, tests/unit/api/group_test.cpp.
#pragma once

#include <cstddef>
#include <new>
#include <optional>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include <paceline/qos.hpp>

#include "exec/executor_runtime.hpp"
#include "sched/idle.hpp"
#include "task/lane.hpp"

namespace paceline::core {

/// The class of a task that asks for none: that of the task that spawns it.
inline unsigned class_for(const std::optional<qos>& asked, const ExecutorRuntime* runtime) {
  if (asked) {
    const auto index = static_cast<std::size_t>(*asked);
    if (index >= qos_count) {
      throw std::invalid_argument(
          fmt::format("qos {} is not a class; use one of the {} enumerators", index, qos_count));
    }
    return static_cast<unsigned>(index);
  }
  if (runtime != nullptr && runtime->current() != nullptr) return class_of(*runtime->current());
  return static_cast<unsigned>(qos::standard);
}

struct Belonging {
  unsigned qos_class = 0;
  unsigned group = 0;  // its index
};

inline Belonging belonging_of(const Slot& slot) noexcept {
  const TaskCollection& collection = *Group::of(slot).home().collection;
  return {collection.class_index(), collection.task_group()};
}

/// Throws std::bad_alloc.
inline TaskCollection& collection_for(Seat& seat, Belonging where) {
  if (where.group == 0) [[likely]]
    return seat.collections[where.qos_class];
  Lane* lane = lane_at(seat, where.group);
  if (lane == nullptr) throw std::bad_alloc();
  return lane->collections[where.qos_class];
}

}  // namespace paceline::core
