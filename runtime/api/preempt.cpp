// SPDX-License-Identifier: BSL-1.0
// Safepoints and waiting on the stack, as application code calls them.
// Flow room: preempt. The thread that runs the task.
// It must never switch stacks under a nopreempt guard.
// Proof: tests/unit/api/preempt_test.cpp, tests/unit/api/await_here_test.cpp.
#include <paceline/preempt.hpp>

#include <stdexcept>
#include <system_error>

#include "base/assert.hpp"
#include "exec/entry.hpp"
#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"

namespace paceline::detail {

namespace {

// What a thread under a guard looks at instead of its own word.
constinit Atomic<std::uint32_t> never{0};

}  // namespace

void at_safepoint() noexcept {
  const core::Entry runtime;
  if (runtime && this_safepoint.guards == 0) runtime->at_safepoint();
}

void begin_nopreempt() noexcept {
  Safepoint& here = this_safepoint;
  ++here.guards;
  here.request = &never;
}

void end_nopreempt() noexcept {
  Safepoint& here = this_safepoint;
  core::check(here.guards != 0, "a nopreempt guard ends on the thread on which it began");
  if (--here.guards != 0) return;
  here.request = here.own;
  if (here.own->load(std::memory_order_relaxed) != 0) at_safepoint();
}

BlockingScope::BlockingScope() noexcept {
  const core::Entry runtime;
  if (!runtime || runtime->current() == nullptr || runtime->apart() || this_safepoint.guards != 0 ||
      !runtime->worker().core().hands_off()) {
    return;
  }
  core::Worker& worker = runtime->worker();
  worker_ = &worker;
  lent_ = worker.set_down();
}

BlockingScope::~BlockingScope() {
  if (worker_ != nullptr) static_cast<core::Worker*>(worker_)->pick_up(lent_);
}

void prepare_await_here() {
  core::safepoint_of_stack_wait();
  const core::Entry runtime("await_here");
  if (this_safepoint.guards != 0) {
    throw std::logic_error("await_here under a nopreempt guard: end the guard first");
  }
  if (!runtime->reserve_for_wait()) {
    throw std::system_error(
        std::make_error_code(std::errc::resource_unavailable_try_again),
        "await_here: no stack can be had for the task that waits; let fewer tasks wait this way, "
        "make runtime_options::stack_size smaller or raise vm.max_map_count");
  }
}

void run_here(std::coroutine_handle<> frame) noexcept {
  const core::Entry runtime;
  core::ExecutorRuntime::run_here(runtime->running(), frame);
}

}  // namespace paceline::detail
