// SPDX-License-Identifier: BSL-1.0
#include "sched/stalls.hpp"

#include <algorithm>
#include <exception>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "exec/executor_runtime.hpp"
#include "exec/names.hpp"
#include "sched/idle.hpp"
#include "sched/runtime_core.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

// Who has had less than this part of a processor was kept from computing by the system.
constexpr Nanos kShareOfHog = 16;
// A thread that computes answers within microseconds, once it has a processor.
constexpr Nanos kPatience = 50 * kMillisecond;

}  // namespace

Slot* Whereabouts::task() const noexcept {
  if (seat == nullptr) return runtime->away();
  Slot* slot = runtime->look_at_current();
  return seat->polls.load(std::memory_order_relaxed) == poll ? slot : nullptr;
}

Stalls::Stalls(RuntimeCore& core, Nanos after)
    : core_(core), after_(after), on_(core.options().on_stall || log::enabled(log::Level::warn)) {
  if (core.options().on_stall) sampling_.emplace();
}

void Stalls::look_at(Suspect& suspect, const Whereabouts& where, Nanos now, Nanos& next) noexcept {
  if (!on_ || suspect.told || suspect.asked_at == 0) return;
  // Judged by what it did in the second half of the time: on a machine with much to do even a hog
  // does not run all the time.
  const bool second_look = suspect.weighed_at != 0;
  const Nanos until = saturating_add(suspect.asked_at, second_look ? after_ : after_ / 2);
  if (now < until) {
    next = std::min(next, until);
    return;
  }
  const auto state = machine::look_at_thread(where.thread);
  if (!state) return;
  if (!second_look) {
    suspect.weighed_at = now;
    suspect.cpu_time = state->cpu_time;
    next = std::min(next, now + after_ - after_ / 2);
    return;
  }
  stall_kind kind = stall_kind::blocked;
  if (state->runnable) {
    const Nanos ran = state->cpu_time - suspect.cpu_time;
    const bool computes = ran >= (now - suspect.weighed_at) / kShareOfHog;
    kind = computes ? stall_kind::hog : stall_kind::starved;
  }
  suspect.told = true;
  tell(where, kind, now - suspect.asked_at);
}

void Stalls::tell(const Whereabouts& where, stall_kind kind, Nanos lasted) noexcept {
  try {
    const DumpGuard names;
    const Slot* slot = where.task();
    if (slot == nullptr) return;
    const Segment* home = Group::of(*slot).segment.load(std::memory_order_acquire);  // M22
    if (home == nullptr) return;
    const TaskName* name = slot->name.load(std::memory_order_seq_cst);  // M23
    stall found;
    found.runtime = core_.options().name;
    if (name != nullptr) found.task = name->text;
    found.id = slot->id.load(std::memory_order_relaxed);
    found.qos = static_cast<qos>(home->collection->class_index());
    found.worker = where.worker;
    found.handed_off = where.seat == nullptr;
    found.lasted = std::chrono::nanoseconds(lasted);
    found.kind = kind;
    // What we have read may be of the next task in that slot, unless the first is there still.
    if (where.task() != slot) return;
    std::string stack;
    if (sampling_) {
      std::optional<machine::Trace> trace;
      if (kind == stall_kind::blocked) trace = machine::trace_of_blocked(where.thread);
      if (kind == stall_kind::hog) trace = machine::trace_of_running(where.thread, kPatience);
      if (trace && where.task() == slot) stack = machine::Symbols().lines(*trace, "  ");
    }
    found.stack = stack;
    count_.fetch_add(1, std::memory_order_relaxed);
    if (core_.options().on_stall) {
      core_.options().on_stall(found);
      return;
    }
    log::write(log::Level::warn,
               fmt::format("runtime '{}': task {} '{}' on worker {} has not given way for {} ms "
                           "({}); set runtime_options.on_stall to see its stack",
                           found.runtime, found.id, found.task, found.worker, lasted / kMillisecond,
                           to_string(kind)));
  } catch (const std::exception& error) {
    log::report(std::string("the on_stall hook, or preparing its report, threw: ") + error.what());
  } catch (...) {
    log::report("the on_stall hook threw what is no std::exception");
  }
}

}  // namespace paceline::core
