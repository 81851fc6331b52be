// SPDX-License-Identifier: BSL-1.0
// task_group: tasks that serve one activity and share its turns.
#pragma once

#include <cstdint>
#include <string_view>

namespace paceline {

namespace core {
struct TaskGroup;
}
namespace detail {
struct TaskGroupAccess;
void retain_group(core::TaskGroup* group) noexcept;
void release_group(core::TaskGroup* group) noexcept;
}  // namespace detail

struct task_group_options {
  /// What the group's turns are worth beside those of other groups of the same class on the same
  /// core, 1..10,000; only ratios matter. Tasks without a group are together one of 100. A group
  /// that does not use its turns loses nothing to the others but those.
  std::uint32_t shares = 100;

  /// Turns by use and shares alone. Without it a group whose tasks mostly wait for something goes
  /// before those that compute, and one that waits for its turn in vain moves up, whatever the
  /// shares.
  bool fair = false;
};

/// Tasks that serve one activity: a request, a window, a tenant, a job.
///
/// Between groups of a class each core divides its time by turns, whatever number of tasks they
/// have; more important classes go first as ever. A task gets its group by spawn_options::group and
/// hands it on to what it spawns and awaits. Groups decide nothing while only one has work.
///
/// A handle to something shared: copying is cheap, and the group lives on while a handle or a task
/// of it does. Any thread. It belongs to one runtime at a time, that of its first task, until that
/// ends: a task that moves to another runtime (schedule) leaves its group for good, also if it
/// comes back.
class task_group {
 public:
  /// A group without tasks. `name`, for dumps: 1 to 255 bytes, copied. Throws
  /// std::invalid_argument for such a name or option, and std::bad_alloc.
  explicit task_group(std::string_view name, task_group_options options = {});

  task_group(const task_group& other) noexcept : shared_(other.shared_) {
    detail::retain_group(shared_);
  }
  task_group& operator=(const task_group& other) noexcept {  // NOLINT: takes before it gives
    detail::retain_group(other.shared_);
    detail::release_group(shared_);
    shared_ = other.shared_;
    return *this;
  }
  /// Its tasks go on.
  ~task_group() { detail::release_group(shared_); }

  /// Valid as long as a handle or a task of the group lives.
  std::string_view name() const noexcept;
  task_group_options options() const noexcept;

  /// The same group, not just the same name?
  friend bool operator==(const task_group&, const task_group&) noexcept = default;

 private:
  friend struct detail::TaskGroupAccess;

  core::TaskGroup* shared_;
};

namespace detail {

struct TaskGroupAccess {
  static core::TaskGroup* shared(const task_group& group) noexcept { return group.shared_; }
};

/// A task_group inside an options aggregate, or none. See stop_token_option.hpp for why it
/// remembers its own address. Proof: tests/unit/api/group_test.cpp.
class GroupOption {
 public:
  GroupOption() noexcept : owner_(this), group_(nullptr) {}
  GroupOption(const task_group& group) noexcept  // NOLINT: implicit by design
      : owner_(this), group_(TaskGroupAccess::shared(group)) {
    retain_group(group_);
  }
  GroupOption(const GroupOption& other) noexcept : owner_(this), group_(other.group_) {
    if (group_ != nullptr) retain_group(group_);
  }
  GroupOption& operator=(const GroupOption& other) noexcept {  // NOLINT: takes before it gives
    if (other.group_ != nullptr) retain_group(other.group_);
    if (group_ != nullptr) release_group(group_);
    group_ = other.group_;
    return *this;
  }
  ~GroupOption() {
    if (owner_ == this && group_ != nullptr) release_group(group_);
  }

  /// Null: none.
  core::TaskGroup* get() const noexcept { return group_; }

 private:
  const void* owner_;
  core::TaskGroup* group_;
};

}  // namespace detail
}  // namespace paceline
