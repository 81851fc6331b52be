// SPDX-License-Identifier: BSL-1.0
// What the models share: ports whose groups lie in the arena, and the conditions of their threads.
#pragma once

#include "exec/loot.hpp"
#include "explorer/model.hpp"
#include "machine/machine.hpp"
#include "sched/idle.hpp"
#include "task/collection.hpp"
#include "task/lane.hpp"

namespace model {

namespace core = paceline::core;
namespace detail = paceline::detail;
using paceline::detail::Atomic;

/// The class whose tasks the models run.
inline constexpr unsigned kClass = 0;

/// The machine of one execution: what machine.hpp promises, for virtual threads.
struct VirtualMachine {
  core::machine::ThisThread threads[Crew::kMost + 1];  // the last one: set-up
  // What the thread's safepoints look at.
  const Atomic<std::uint32_t>* requests[Crew::kMost + 1] = {};
  core::Nanos now = 0;
  unsigned unparks = 0;  // successful or not
};
VirtualMachine& begin_machine();
VirtualMachine& machine();

/// "2t1w2k-steal": two tasks, one waker, two workers.
std::string member_name(unsigned tasks, unsigned wakers, unsigned workers, const char* what = "");

/// Attaches the first class, or more, to a port and leaves out of the state what is not used.
void prepare_port(core::Port& port, unsigned index,
                  void (*work_added)(core::Port&, unsigned, bool) noexcept, unsigned classes = 1);
/// A port alone, whose wakes wake nobody.
core::Port& make_port();
/// Gives it a task group.
void add_lane(core::Port& port);

/// Of the ring only a few entries are ever used here.
void leave_out_unused(core::Loot& loot);

/// Names the words of the groups there are.
void name_groups(core::Port& port, const std::string& prefix);

inline core::TaskCollection& tasks_of(core::Port& port) { return port.collections[kClass]; }
/// Of the one task group that there is.
inline core::TaskCollection& grouped_tasks_of(core::Port& port) {
  return core::lane_of(port, 1).collections[kClass];
}
inline core::Group& group_of(core::Slot& slot) { return core::Group::of(slot); }

/// Is a bit set anywhere below the port? Reads only.
bool any_leaf(core::Port& port);
/// Is a summary bit set at any level? Reads only.
bool any_summary(core::Port& port);
/// Is every set leaf reachable from the port by set summary bits? Reads only.
bool leaves_reachable(core::Port& port);

}  // namespace model
