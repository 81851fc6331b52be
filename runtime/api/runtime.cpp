// SPDX-License-Identifier: BSL-1.0
// The runtime as users hold it.
#include <paceline/runtime.hpp>

#include <ostream>
#include <stdexcept>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "exec/entry.hpp"
#include "exec/names.hpp"
#include "sched/holders.hpp"
#include "sched/runtime_core.hpp"

namespace paceline {

runtime::runtime(runtime_options options) : core_(core::RuntimeCore::start(std::move(options))) {}

runtime::~runtime() { core_->shut_down(); }

void runtime::request_stop() noexcept { core_->request_stop(); }

void runtime::wait_idle() {
  require_outside("wait_idle");
  core_->require_same_process("wait_idle");
  core_->wait_idle(core::kForever);
}

std::size_t runtime::workers() const noexcept { return core_->worker_count(); }

runtime_stats runtime::stats() const { return core_->stats(); }

scheduler runtime::get_scheduler() const noexcept { return scheduler(core_); }

void runtime::trim() noexcept { core_->trim(); }

void runtime::require_outside(const char* caller) const {
  if (!core::on_worker()) return;
  throw std::logic_error(std::string("runtime::") + caller +
                         " on a worker would block it: co_await the work instead, or spawn it");
}

void runtime::dump_tasks(std::ostream& out) const {
  using core::Phase;
  using core::StateWord;
  const core::DumpGuard names;
  const core::Holders holders = core::find_holders(*core_);
  core::machine::Symbols symbols;
  std::size_t live = 0;
  core_->each_live_slot([&](core::Slot& slot, const core::TaskCollection& of, unsigned home) {
    if (slot.frame.load(std::memory_order_relaxed) == nullptr) return;  // an executor's
    // Taking a suspended task for a moment makes its fields ours to read, and keeps a stack that
    // waits with it where it is; a wake that comes in between is kept by the state word like any
    // wake during a poll.
    const char* state = "running";
    const char* waits_for = "";
    const char* on_stack = "";
    core::machine::Trace stack;
    const std::uint64_t id = slot.id.load(std::memory_order_relaxed);
    if (slot.state.try_start() == core::Start::started) {
      if (slot.frame.load(std::memory_order_relaxed) == nullptr) {
        if (slot.state.pause()) core::notify(slot);  // it has become an executor's meanwhile
        return;
      }
      state = slot.waiting == nullptr ? "ready" : "waiting";
      if (slot.waiting != nullptr) waits_for = slot.waiting->ops->what;
      if (const core::Executor* executor = core::Executor::of(slot.resume)) {
        on_stack = ", on its stack";
        stack = executor->trace();
      }
      if (slot.state.pause()) core::notify(slot);
    } else if (StateWord::phase_of(slot.state.peek()) == Phase::vacant) {
      return;  // it ended while we looked
    } else if (const auto parked = holders.preempted.find(id); parked != holders.preempted.end()) {
      state = "preempted";
      stack = parked->second;
    } else if (holders.detached.count(id) != 0) {
      state = "detached";
    }
    const core::TaskName* name = slot.name.load(std::memory_order_seq_cst);  // M23
    const unsigned group = of.task_group();
    out << fmt::format("task {:>6}  {:<9}  {:<16}  worker {:>3}  {:<20}{}{}{}{}{}\n", id, state,
                       to_string(static_cast<qos>(of.class_index())), home,
                       name == nullptr ? "" : name->text, *waits_for == 0 ? "" : " in ", waits_for,
                       on_stack, group == 0 ? "" : ", group ",
                       group == 0 ? std::string() : core_->groups().name_of(group))
        << symbols.lines(stack, "        ");
    ++live;
  });
  out << fmt::format("{} live tasks\n", live);
}

}  // namespace paceline
