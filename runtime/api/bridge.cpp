// SPDX-License-Identifier: BSL-1.0
// What awaiters call: frames, suspension, joining, sleeping.
#include <paceline/detail/bridge.hpp>

#include <stdexcept>
#include <string>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>
#include <paceline/mutex.hpp>
#include <paceline/spawn.hpp>
#include <paceline/task.hpp>
#include <paceline/time.hpp>

#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "exec/names.hpp"
#include "machine/frame_memory.hpp"
#include "machine/machine.hpp"
#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"

namespace paceline::detail {

using core::ExecutorRuntime;
using core::Outcome;
using core::Slot;

// --- frames ---

void* allocate_frame(std::size_t size) { return core::allocate_frame_memory(size); }
void free_frame(void* frame, std::size_t size) noexcept { core::free_frame_memory(frame, size); }

void release_promise(PromiseBase& promise) noexcept {
  // The external token first: its destructor waits for a callback that is under way, and that may
  // be inside the record's source, or ask for the task's address.
  TaskExtras* const extras = std::exchange(promise.extras, nullptr);
  if (extras != nullptr) extras->external_stop.reset();
  if (const std::uintptr_t lent = promise.lent.load(std::memory_order_relaxed); lent != 0) {
    if ((lent & core::kHasHeld) != 0) leave_mutexes(promise);
    core::end_loans(promise);
  }
  if (extras != nullptr) {
    if (extras->name != nullptr) core::retire_name(extras->name);
    delete extras;
  }
  // M16
  const std::uintptr_t stop = promise.stop.load(std::memory_order_acquire) & ~std::uintptr_t{1};
  if (auto* record = reinterpret_cast<StopRecord*>(stop)) {
    if (core::RuntimeCore* runtime = core::RuntimeCore::find(record->runtime_id)) {
      runtime->unlist(*record);
      runtime->release();
    }
    delete record;
  }
}

// --- suspension ---

namespace {

void suspend_current(ExecutorRuntime& runtime, Suspension& where,
                     std::coroutine_handle<> frame) noexcept {
  Slot& slot = *runtime.current();
  slot.resume = frame.address();
  slot.waiting = &where;
  where.task = (core::any_loans() ? core::address_of(slot) : slot).ref();
  where.root = slot.root;
  runtime.set_outcome(Outcome::suspended);
}

}  // namespace

bool suspend_at(Suspension& where, std::coroutine_handle<> frame) {
  core::Entry runtime(where.ops->what);
  if (runtime->stop_requested(*runtime->current()->root)) return false;
  suspend_current(*runtime, where, frame);
  runtime.stay();
  return true;
}

void suspend_regardless(Suspension& where, std::coroutine_handle<> frame) {
  suspend_current(core::Entry::to_suspend(where.ops->what), where, frame);
}

StopView suspend_yielding(std::coroutine_handle<> frame) {
  ExecutorRuntime& runtime = core::Entry::to_suspend("yield");
  Slot& slot = *runtime.current();
  slot.resume = frame.address();
  slot.waiting = nullptr;
  runtime.set_outcome(Outcome::yielded);
  return {&slot.root->stop, runtime.stopping()};
}

StopView stop_view() noexcept {
  // Without an Entry: nothing is read that a takeover changes.
  const core::machine::ThisThread& self = core::machine::own_record();
  if (self.task == nullptr) return {};
  return {&self.task->root->stop, self.runtime->stopping()};
}

void require_task(const char* what) { const core::Entry runtime(what); }

bool post_transfer(std::coroutine_handle<> next) noexcept {
  const core::Entry runtime;
  return runtime && runtime->post_transfer(next);
}

void not_suspended() noexcept {
  const core::Entry runtime;
  runtime->set_outcome(Outcome::none);
  runtime->go_out();  // suspending it had stayed inside
}

// --- foreign awaitables ---

void begin_stay(ForeignStay& stay, std::coroutine_handle<> frame) {
  const core::Entry runtime(stay.ops->what);
  suspend_current(*runtime, stay, frame);
  Slot& slot = *runtime->current();
  stay.frame = frame;
  stay.outer = slot.stay;
  slot.stay = &stay;
}

void end_stay(ForeignStay& stay) noexcept {
  const core::Entry runtime;
  runtime->current()->stay = stay.outer;
  runtime->set_outcome(Outcome::none);
}

// --- joining ---

const SuspensionOps join_ops{"join", nullptr,
                             [](Suspension& where) noexcept {
                               auto& join = static_cast<JoinSuspension&>(where);
                               return join.cancelled = join_withdraw(*join.target, join);
                             },
                             [](Suspension& where, TaskRef waiting) noexcept {
                               core::lend_to(Slot::of(waiting),
                                             *static_cast<JoinSuspension&>(where).target);
                             }};

void join_blocking(PromiseBase& promise, const char* caller) {
  if (core::on_worker()) {
    throw std::logic_error(std::string(caller) +
                           " on a worker would block it: co_await the handle instead");
  }
  if (promise.link.load(std::memory_order_acquire) == join_word::done) return;  // M13
  if (core::RuntimeCore* runtime =
          core::RuntimeCore::find(promise.runtime_id.load(std::memory_order_relaxed))) {
    const std::unique_ptr<core::RuntimeCore, void (*)(core::RuntimeCore*)> hold(
        runtime, [](core::RuntimeCore* held) { held->release(); });
    runtime->require_same_process(caller);
  }
  core::BlockingWaiter waiter;
  std::uintptr_t none = join_word::none;
  // Release publishes the waiter; acquire, if the task has ended, its result.
  if (!promise.link.compare_exchange_strong(
          none, reinterpret_cast<std::uintptr_t>(&waiter) | join_word::tag_thread,
          std::memory_order_acq_rel, std::memory_order_acquire)) {  // M13
    return;
  }
  // Acquire. Pairs: publish_end. Publishes: the result.
  while (waiter.done.load(std::memory_order_acquire) == 0) {  // M14
    core::machine::park(waiter.done, 0, core::kForever);
  }
}

namespace {

/// The task has ended, and nobody will ask how.
[[gnu::noinline]] void drop_result(PromiseBase& promise, std::coroutine_handle<> frame) noexcept {
  if (promise.abandoned) return;
  if (promise.error && !promise.error_seen) {
    core::RuntimeCore* runtime =
        core::RuntimeCore::find(promise.runtime_id.load(std::memory_order_relaxed));
    const TaskExtras* extras = promise.extras;
    core::report_unhandled(
        runtime, promise.error,
        extras != nullptr && extras->name != nullptr ? std::string_view(extras->name->text) : "");
    if (runtime != nullptr) runtime->release();
  }
  destroy_frame(frame);
}

}  // namespace

void release_handle(PromiseBase& promise, std::coroutine_handle<> frame) noexcept {
  std::uintptr_t word = promise.link.load(std::memory_order_acquire);  // M13
  if (word != join_word::done) {
    // Acq_rel. Pairs: publish_end. Whoever comes second frees the frame.
    word = promise.link.exchange(join_word::detached, std::memory_order_acq_rel);  // M13
  }
  if (word == join_word::done) drop_result(promise, frame);
}

// --- time ---

namespace {

const SuspensionOps sleep_ops{"sleep", nullptr, [](Suspension& where) noexcept {
                                auto& node = static_cast<TimerNode&>(where);
                                // Never armed: nobody else knows of it.
                                node.cancelled =
                                    node.wheel == nullptr ||
                                    static_cast<core::TimerWheel*>(node.wheel)->cancel(node);
                                return node.cancelled;
                              }};

}  // namespace

TimerNode::TimerNode(std::int64_t deadline) noexcept
    : Suspension(sleep_ops), deadline_ns(deadline) {}

std::int64_t deadline_after(std::int64_t delay_ns) noexcept {
  if (delay_ns <= 0) return -kNever;
  return core::saturating_add(core::machine::now(), delay_ns);
}

bool sleep_suspend(TimerNode& node, std::coroutine_handle<> frame) {
  core::Entry runtime(node.ops->what);
  if (!suspend_at(node, frame)) return false;
  runtime.stay();
  if (node.deadline_ns == kNever) return true;  // only a stop request ends it
  if (node.deadline_ns == -kNever || node.deadline_ns <= core::machine::now()) {
    suspend_yielding(frame);
    return true;
  }
  core::Worker& worker = runtime->worker();
  worker.timers().arm(node);
  if (runtime->apart()) {
    // It may sleep, past this deadline. An RMW, because the look at the park word must not pass the
    // wheel's next expiry, as the worker looks at that after it has published that it sleeps. M7
    worker.seat().taken.fetch_add(0, std::memory_order_seq_cst);  // M7
    core::wake_seat(worker.seat(), core::Seat::kWoken);
  } else {
    runtime->timer_armed();
  }
  return true;
}

// --- misuse ---

void throw_empty_task(const char* what) {
  throw std::invalid_argument(std::string(what) +
                              ": the task is empty; it was moved from, awaited or spawned before");
}
void throw_empty_handle(const char* what) {
  throw std::logic_error(std::string("join_handle::") + what +
                         ": the handle is empty; it was joined, detached or moved from");
}
void throw_null_function() {
  throw std::invalid_argument("spawn: the function is null; pass something that can be called");
}
void throw_bad_duration() {
  throw std::invalid_argument("the duration is not a number; pass a finite one");
}

}  // namespace paceline::detail

namespace paceline {

const char* operation_cancelled::what() const noexcept {
  return "the task was asked to stop while it was suspended";
}
runtime_stopped::runtime_stopped(const std::string& what) : std::runtime_error(what) {}
task_abandoned::task_abandoned(const std::string& what) : std::runtime_error(what) {}

}  // namespace paceline
