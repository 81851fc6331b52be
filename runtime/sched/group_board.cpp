// SPDX-License-Identifier: BSL-1.0
#include "sched/group_board.hpp"

#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "sched/idle.hpp"
#include "task/lane.hpp"

namespace paceline::core {

namespace {

/// Has the group any task? Asked without its tasks' leave: true is of the past, but false stays
/// true while nobody has a handle, because only tasks could start new ones.
bool tasks_in(std::span<Seat* const> seats, unsigned index) noexcept {
  std::uint64_t ended = 0;
  std::uint64_t begun = 0;
  const auto each = [&](auto&& visit) {
    for (Seat* seat : seats) {
      const Lane* lane = seat->lanes[index].load(std::memory_order_acquire);  // M81
      if (lane != nullptr) visit(*lane);
    }
  };
  // Ends first: see Lane::ended.
  each([&](const Lane& lane) { ended += lane.ended.load(std::memory_order_acquire); });  // M82
  each([&](const Lane& lane) { begun += lane.begun.load(std::memory_order_acquire); });  // M82
  return begun != ended;
}

}  // namespace

unsigned GroupBoard::index_of(TaskGroup& group, std::uint32_t runtime_id,
                              std::span<Seat* const> seats) {
  constexpr std::uint64_t kIndices = (1u << kIndexBits) - 1;
  const auto index_in = [](std::uint64_t word) { return static_cast<unsigned>(word & kIndices); };
  // Acquire. Pairs: the exchange below. Publishes: the group's entry and wishes.
  std::uint64_t place = group.place.load(std::memory_order_acquire);  // M83
  if (place >> kIndexBits == runtime_id) [[likely]]
    return index_in(place);
  LockGuard lock(lock_);
  // In this runtime it gets its place under the lock, in another one at any time.
  place = group.place.load(std::memory_order_acquire);  // M83
  if (place >> kIndexBits == runtime_id) return index_in(place);
  const unsigned index = place == 0 ? free_index(seats) : 1;
  if (index == 0) {
    throw std::length_error(
        fmt::format("task_group '{}': {} groups have tasks or handles in this runtime already, and "
                    "no more fit; "
                    "let some end, or spawn small activities without a group",
                    group.name, kTaskGroups - 1));
  }
  if (place == 0) {
    // All of it first: who finds the place spawns there without the lock.
    wishes_[index].store(TaskGroupWishes{++epochs_, group.shares, group.fair}.word(),
                         std::memory_order_relaxed);
    group.retain();
    groups_[index].store(&group, std::memory_order_release);  // M83
    const std::uint64_t wanted = std::uint64_t{runtime_id} << kIndexBits | index;
    if (group.place.compare_exchange_strong(place, wanted, std::memory_order_acq_rel,  // M83
                                            std::memory_order_relaxed)) {
      return index;
    }
    groups_[index].store(nullptr, std::memory_order_relaxed);
    group.release();
  }
  throw std::logic_error(
      fmt::format("task_group '{}' serves another runtime; make one for each runtime, or end that "
                  "one first",
                  group.name));
}

/// 0: there is none.
unsigned GroupBoard::free_index(std::span<Seat* const> seats) noexcept {
  for (unsigned i = 1; i < kTaskGroups; ++i) {
    if (groups_[i].load(std::memory_order_relaxed) == nullptr) return i;
  }
  for (unsigned i = 1; i < kTaskGroups; ++i) {
    // First the handles: once there is none there never is, and only tasks could start new ones.
    // Acquire: whoever dropped the last one has counted in what it spawned with it.
    const TaskGroup& group = *groups_[i].load(std::memory_order_relaxed);
    if (group.references.load(std::memory_order_acquire) != 1) continue;  // M83
    if (tasks_in(seats, i)) continue;
    evict(i);
    return i;
  }
  return 0;
}

void GroupBoard::evict(unsigned index) noexcept {
  TaskGroup* group = groups_[index].exchange(nullptr, std::memory_order_acq_rel);  // M83
  if (group == nullptr) return;
  group->place.store(0, std::memory_order_release);  // M83
  group->release();
}

std::string GroupBoard::name_of(unsigned index) const {
  LockGuard lock(lock_);
  const TaskGroup* group = groups_[index].load(std::memory_order_relaxed);
  return group == nullptr ? std::string() : group->name;
}

void GroupBoard::clear() noexcept {
  LockGuard lock(lock_);
  for (unsigned i = 1; i < kTaskGroups; ++i) evict(i);
}

}  // namespace paceline::core
