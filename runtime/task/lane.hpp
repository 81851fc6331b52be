// SPDX-License-Identifier: BSL-1.0
// Lane: what one task group has on one worker: a collection for each class, and their sweeps.
// Flow rooms: spawn (lane_at), run (the sweeps). Made by the first spawn there, any thread.
// It must never be freed: wakers hold addresses below it. It stays with its port and serves, one
// after the other, all task groups that get its index.
// Proof: tests/unit/task/lane_test.cpp, tests/model/summary_model.cpp.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "task/collection.hpp"
#include "task/sweep.hpp"

namespace paceline::core {

/// How workers are to treat a task group, and since when: its owner's wishes in one word.
///
/// A later tenant of the same index has another `epoch`, by which a worker sees that what it knows
/// is of somebody else. Epoch 0 is nobody's.
struct TaskGroupWishes {
  std::uint32_t epoch = 0;
  std::uint32_t shares = 0;
  bool fair = false;

  static constexpr std::uint64_t kFair = std::uint64_t{1} << 31;

  std::uint64_t word() const noexcept {
    return std::uint64_t{epoch} << 32 | (fair ? kFair : 0) | shares;
  }
  static TaskGroupWishes of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word & (kFair - 1)),
            (word & kFair) != 0};
  }
};

struct Lane {
  Lane(Port& port, unsigned task_group) noexcept;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  TaskCollection collections[qos_count];
  Sweep sweeps[qos_count];  // home worker
  // Tasks that came here and that ended, ever. A task is counted before it is admitted and after
  // its last poll, so a reader that sums up the ends of all lanes first and finds as many begun
  // knows of a moment at which the group had no task.
  alignas(kCacheLine) Atomic<std::uint64_t> begun{0};
  Atomic<std::uint64_t> ended{0};
};

/// The lane of a task group, made if it has none yet; null without memory. Any thread.
Lane* lane_at(Port& port, unsigned task_group) noexcept;

/// The lane of a task group that has one. Any thread.
inline Lane& lane_of(const Port& port, unsigned task_group) noexcept {
  // Acquire. Pairs: lane_at. Publishes: the lane's collections.
  return *port.lanes[task_group].load(std::memory_order_acquire);  // M81
}

/// Calls visit(lane) for every lane there is. Any thread.
template <class Visit>
void each_lane(const Port& port, Visit&& visit) {
  for (unsigned g = 1; g < kTaskGroups; ++g) {
    if (Lane* lane = port.lanes[g].load(std::memory_order_acquire)) visit(*lane);  // M81
  }
}

/// Calls visit(collection) for every collection of a port, its task groups' included. Any thread.
template <class Visit>
void each_collection(Port& port, Visit&& visit) {
  for (TaskCollection& collection : port.collections) visit(collection);
  each_lane(port, [&](Lane& lane) {
    for (TaskCollection& collection : lane.collections) visit(collection);
  });
}

/// The tasks of a class and task group; the group must have its lane. Any thread.
inline TaskCollection& collection_of(Port& port, unsigned class_index,
                                     unsigned task_group) noexcept {
  if (task_group == 0) return port.collections[class_index];
  return lane_of(port, task_group).collections[class_index];
}

/// Is any task of the class ready, of whatever group? See TaskCollection::has_ready.
inline bool has_ready(const Port& port, unsigned class_index) noexcept {
  if (port.collections[class_index].has_ready()) return true;
  // Acquire: whoever raised a group has its lane.
  Word groups = port.task_groups[class_index].load(std::memory_order_acquire);  // M80
  for (; groups != 0; groups = without_lowest(groups)) {
    if (lane_of(port, lowest(groups)).collections[class_index].has_ready()) return true;
  }
  return false;
}

/// The same of tasks that nobody may steal.
inline bool has_pinned_ready(const Port& port, unsigned class_index) noexcept {
  if (port.collections[class_index].has_pinned_ready()) return true;
  Word groups = port.task_groups[class_index].load(std::memory_order_acquire);  // M80
  for (; groups != 0; groups = without_lowest(groups)) {
    if (lane_of(port, lowest(groups)).collections[class_index].has_pinned_ready()) return true;
  }
  return false;
}

/// The tasks of a class that are ready and may be stolen. See TaskCollection::count_stealable.
inline unsigned count_stealable(const Port& port, unsigned class_index, unsigned most) noexcept {
  unsigned found = port.collections[class_index].count_stealable(most);
  Word groups = port.task_groups[class_index].load(std::memory_order_acquire);  // M80
  for (; groups != 0 && found < most; groups = without_lowest(groups)) {
    found += lane_of(port, lowest(groups)).collections[class_index].count_stealable(most - found);
  }
  return found;
}

/// A task comes into a slot of the collection. Before it is admitted; any thread.
inline void count_in(const TaskCollection& collection) noexcept {
  if (collection.task_group() == 0) [[likely]]
    return;
  // Relaxed: its end, which is counted later, publishes it.
  lane_of(collection.port(), collection.task_group()).begun.fetch_add(1, std::memory_order_relaxed);
}

/// A task has left its slot there for good. Before the slot is given back; its poller.
inline void count_out(const TaskCollection& collection) noexcept {
  if (collection.task_group() == 0) [[likely]]
    return;
  // Release. Pairs: tasks_in. See Lane::ended.
  lane_of(collection.port(), collection.task_group())
      .ended.fetch_add(1, std::memory_order_release);  // M82
}

}  // namespace paceline::core
