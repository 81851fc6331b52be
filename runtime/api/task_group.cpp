// SPDX-License-Identifier: BSL-1.0
// Task groups as users hold them.
#include <paceline/task_group.hpp>

#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "policy/group_turns.hpp"
#include "sched/group_board.hpp"

namespace paceline {

namespace {

constexpr std::size_t kNameMax = 255;

core::TaskGroup* checked(std::string_view name, task_group_options options) {
  if (name.empty()) {
    throw std::invalid_argument("task_group without a name; dumps and messages call it by one");
  }
  if (name.size() > kNameMax) {
    throw std::invalid_argument(
        fmt::format("task_group: its name has {} bytes, the most is {}", name.size(), kNameMax));
  }
  if (options.shares == 0 || options.shares > core::policy::kMostShares) {
    throw std::invalid_argument(
        fmt::format("task_group '{}': shares is {}, but the range is 1 to {}; tasks without a "
                    "group have {}",
                    name, options.shares, core::policy::kMostShares, core::policy::kUsualShares));
  }
  return new core::TaskGroup(name, options.shares, options.fair);
}

}  // namespace

static_assert(task_group_options{}.shares == core::policy::kUsualShares);

task_group::task_group(std::string_view name, task_group_options options)
    : shared_(checked(name, options)) {}

std::string_view task_group::name() const noexcept { return shared_->name; }

task_group_options task_group::options() const noexcept { return {shared_->shares, shared_->fair}; }

namespace detail {

void retain_group(core::TaskGroup* group) noexcept { group->retain(); }
void release_group(core::TaskGroup* group) noexcept { group->release(); }

}  // namespace detail
}  // namespace paceline
