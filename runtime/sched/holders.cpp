// SPDX-License-Identifier: BSL-1.0
#include "sched/holders.hpp"

#include <string>

#include <spdlog/fmt/fmt.h>

#include <paceline/detail/promise.hpp>
#include <paceline/error.hpp>

#include "exec/completion.hpp"
#include "exec/executor.hpp"
#include "exec/names.hpp"
#include "sched/runtime_core.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

/// The slot of an executor. While we have claimed it, an executor that was preempted stays where it
/// is: only a claim of its own slot resumes it.
void look_at_executor(Slot& slot, Holders& found) {
  if (slot.id.load(std::memory_order_relaxed) == 0) return;  // it runs, waits or is spare
  if (slot.state.try_start() != Start::started) return;
  machine::Trace trace;
  std::uint64_t task = 0;
  if (slot.frame.load(std::memory_order_relaxed) == nullptr) {
    // Acquire. Pairs: ExecutorRuntime::show_parked. Publishes: where it stands. From here on until
    // we let the slot go it stands there.
    task = slot.id.load(std::memory_order_acquire);  // M61
    const Executor* executor = Executor::of(slot.resume);
    if (task != 0 && executor != nullptr) trace = executor->trace();
  }
  if (slot.state.pause()) notify(slot);
  if (task != 0) found.preempted[task] = trace;
}

/// A task that still lives at shutdown, for the report.
struct LastSight {
  std::string label;
  const char* doing = "running";
  machine::Trace stack;
  bool suspended = false;  // and claimed by us
};

/// Claims the task if it is suspended. False: it is none, or has ended.
bool look_at_holder(Slot& slot, const Holders& holders, LastSight& seen) {
  if (slot.frame.load(std::memory_order_relaxed) == nullptr) return false;  // an executor's
  const std::uint64_t id = slot.id.load(std::memory_order_relaxed);
  const TaskName* name = slot.name.load(std::memory_order_seq_cst);  // M23
  seen.label = fmt::format("task {} '{}'", id, name == nullptr ? "" : name->text);
  seen.suspended = slot.state.try_start() == Start::started;
  if (seen.suspended) {
    if (slot.frame.load(std::memory_order_relaxed) == nullptr) {
      if (slot.state.pause()) notify(slot);  // it has become an executor's meanwhile
      return false;
    }
    seen.doing = "suspended";
    if (const Executor* executor = Executor::of(slot.resume)) {
      seen.doing = "suspended, on its stack";
      seen.stack = executor->trace();
    }
  } else if (const auto parked = holders.preempted.find(id); parked != holders.preempted.end()) {
    seen.doing = "preempted";
    seen.stack = parked->second;
  } else if (holders.detached.count(id) != 0) {
    seen.doing = "detached, its thread has lost its worker";
  }
  return true;
}

std::string stack_below(machine::Symbols& symbols, const machine::Trace& stack) {
  std::string text = symbols.lines(stack, "    ");
  if (text.empty()) return text;
  text.pop_back();
  return "\n" + text;
}

}  // namespace

Holders find_holders(const RuntimeCore& core) {
  Holders found;
  const auto look = [&](Slot& slot, TaskCollection&, unsigned) {
    if (slot.frame.load(std::memory_order_relaxed) == nullptr) look_at_executor(slot, found);
  };
  core.each_live_slot(look);
  core.crew().each([&](const Refuge& refuge) {
    RuntimeCore::each_live_slot_of(refuge.seat, look);
    const Slot* task = refuge.runtime.away();
    if (task == nullptr) task = refuge.runtime.look_at_current();
    if (task != nullptr) {
      found.detached[task->id.load(std::memory_order_relaxed)] =
          refuge.suspect_worker.load(std::memory_order_relaxed);
    }
  });
  for (unsigned i = 0; i < core.worker_count(); ++i) {
    const Slot* task = core.worker(i).runtime().look_at_current();
    if (task != nullptr) found.running[task->id.load(std::memory_order_relaxed)] = i;
  }
  return found;
}

/// shutdown_policy::abandon, deadline passed: names each task that still lives, and gives those
/// that are suspended their end, so that nobody waits for them for ever. Their frames stay: what
/// they wait for may still write to them.
void RuntimeCore::give_up_on_tasks() noexcept {
  const DumpGuard names;
  const Holders holders = find_holders(*this);
  machine::Symbols symbols;
  std::size_t given_up = 0;
  each_live_slot([&](Slot& slot, TaskCollection&, unsigned) {
    LastSight seen;
    if (!look_at_holder(slot, holders, seen)) return;
    log::report(fmt::format("{} still lives at shutdown and is abandoned ({}){}", seen.label,
                            seen.doing, stack_below(symbols, seen.stack)));
    ++given_up;
    if (!seen.suspended) return;
    // We are its poller now, and never let go: nobody will resume it.
    detail::PromiseBase& promise = *slot.root;
    promise.abandoned = true;
    promise.error = std::make_exception_ptr(
        task_abandoned(seen.label + " was abandoned by the shutdown of its runtime"));
    publish_end(promise);
  });
  log::report(fmt::format("runtime '{}' abandoned {} tasks after its shutdown deadline",
                          options_.name, given_up));
}

/// shutdown_policy::terminate, deadline passed: names each task that still lives.
void RuntimeCore::report_holders() noexcept {
  const DumpGuard names;
  const Holders holders = find_holders(*this);
  machine::Symbols symbols;
  std::size_t live = 0;
  each_live_slot([&](Slot& slot, TaskCollection&, unsigned) {
    LastSight seen;
    if (!look_at_holder(slot, holders, seen)) return;
    if (seen.suspended && slot.state.pause()) notify(slot);
    log::report(fmt::format("{} still lives at shutdown ({}){}", seen.label, seen.doing,
                            stack_below(symbols, seen.stack)));
    ++live;
  });
  log::report(
      fmt::format("runtime '{}' ends the process: {} tasks live after its shutdown deadline",
                  options_.name, live));
}

}  // namespace paceline::core
