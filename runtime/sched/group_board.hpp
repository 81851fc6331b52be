// SPDX-License-Identifier: BSL-1.0
// GroupBoard: which task groups have tasks in a runtime, and under which index.
// Flow room: spawn (index_of). Any thread.
// An index must never go to another group while a task or a handle of the last one lives.
// Proof: tests/unit/api/group_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "base/sizes.hpp"

namespace paceline::core {

struct Seat;

/// What all handles of a paceline::task_group share. References: one for each handle, one of the
/// board on which it has a place.
struct TaskGroup {
  /// Throws std::bad_alloc.
  TaskGroup(std::string_view its_name, std::uint32_t its_shares, bool is_fair)
      : name(its_name), shares(its_shares), fair(is_fair) {}

  void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;  // M83
  }

  const std::string name;
  const std::uint32_t shares;
  const bool fair;
  Atomic<std::uint32_t> references{1};
  // Where it has its place: a runtime's id and an index there; 0: nowhere.
  Atomic<std::uint64_t> place{0};
};

class GroupBoard {
 public:
  GroupBoard() = default;
  GroupBoard(const GroupBoard&) = delete;
  GroupBoard& operator=(const GroupBoard&) = delete;
  ~GroupBoard() { clear(); }

  /// The index of a group that the caller has a handle of, given to it if it has none yet. `seats`:
  /// those of runtime `runtime_id`. Throws std::logic_error if it serves another runtime and
  /// std::length_error if no index is free; then nothing changed.
  unsigned index_of(TaskGroup& group, std::uint32_t runtime_id, std::span<Seat* const> seats);

  /// The group of an index; the caller is a task of it, or holds a handle.
  const TaskGroup& at(unsigned index) const noexcept {
    return *groups_[index].load(std::memory_order_acquire);  // M83
  }
  /// For each index a TaskGroupWishes word; of a group's as soon as it has its index.
  const Atomic<std::uint64_t>* wishes() const noexcept { return wishes_.data(); }
  /// Its name now, for reports; empty if the index is nobody's.
  std::string name_of(unsigned index) const;

  /// Nobody has a place any more. No task lives.
  void clear() noexcept;

 private:
  static constexpr unsigned kIndexBits = 8;
  static_assert(kTaskGroups <= 1u << kIndexBits);

  unsigned free_index(std::span<Seat* const> seats) noexcept;
  void evict(unsigned index) noexcept;

  mutable Mutex lock_{LockRank::runtime};
  std::array<Atomic<TaskGroup*>, kTaskGroups> groups_{};
  std::array<Atomic<std::uint64_t>, kTaskGroups> wishes_{};
  std::uint32_t epochs_ = 0;
};

}  // namespace paceline::core
