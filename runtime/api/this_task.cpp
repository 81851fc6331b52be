// SPDX-License-Identifier: BSL-1.0
// What a task may ask about itself, and its wakers.
#include <paceline/this_task.hpp>

#include <memory>
#include <stdexcept>
#include <string>

#include <paceline/scheduler.hpp>
#include <paceline/version.hpp>
#include <paceline/waker.hpp>

#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "exec/names.hpp"
#include "sched/runtime_core.hpp"

namespace paceline {

namespace this_task {

task_id id() {
  const core::Entry runtime("this_task::id");
  return runtime->current()->id.load(std::memory_order_relaxed);
}

std::string_view name() {
  const core::Entry runtime("this_task::name");
  const core::Slot& slot = *runtime->current();
  const detail::TaskExtras* extras = slot.root->extras;
  if (extras == nullptr || extras->name == nullptr) return {};
  return extras->name->text;
}

paceline::qos qos() {
  const core::Entry runtime("this_task::qos");
  const core::Slot& slot = *runtime->current();
  return static_cast<paceline::qos>(core::Group::of(slot).home().collection->class_index());
}

std::string_view group() {
  const core::Entry runtime("this_task::group");
  const unsigned group = core::task_group_of(*runtime->current());
  if (group == 0) return {};
  return runtime->worker().core().groups().at(group).name;
}

std::size_t worker() {
  const core::Entry runtime("this_task::worker");
  return runtime->worker().index();
}

std::stop_token stop_token() {
  const core::Entry runtime("this_task::stop_token");
  detail::PromiseBase& promise = *runtime->current()->root;
  std::uintptr_t word = promise.stop.load(std::memory_order_acquire);  // M16
  if (word > 1) {
    return reinterpret_cast<detail::StopRecord*>(word & ~std::uintptr_t{1})->source.get_token();
  }
  auto record = std::make_unique<detail::StopRecord>();
  core::RuntimeCore& owner = runtime->worker().core();
  owner.list(*record);
  // Only this task adds a record. Release publishes it to whoever requests stop afterwards; if
  // somebody did before, or the runtime stops, the source is told here.
  word = promise.stop.fetch_or(reinterpret_cast<std::uintptr_t>(record.get()),
                               std::memory_order_acq_rel);  // M16
  detail::StopRecord& listed = *record.release();
  if ((word & 1) != 0 || owner.stopping()) listed.source.request_stop();
  return listed.source.get_token();
}

paceline::waker waker() {
  const core::Entry runtime("this_task::waker");
  core::Slot& slot = core::address_of(*runtime->current());
  paceline::waker made;
  made.task_ = slot.ref();
  made.generation_ = core::StateWord::generation_of(slot.state.peek(std::memory_order_relaxed));
  return made;
}

}  // namespace this_task

void waker::wake() const noexcept {
  if (task_) core::wake(core::Slot::of(task_), generation_);
}

detail::RuntimeCore* scheduler::checked() const {
  if (core_ == nullptr) {
    throw std::logic_error("the scheduler is empty: take one from runtime::get_scheduler");
  }
  return core_;
}

std::string_view to_string(qos q) noexcept {
  switch (q) {
    case qos::urgent: return "urgent";
    case qos::user_interactive: return "user_interactive";
    case qos::user_initiated: return "user_initiated";
    case qos::standard: return "standard";
    case qos::utility: return "utility";
    case qos::background: return "background";
  }
  return "invalid";
}

std::string_view library_version() noexcept { return "0.1.0"; }

}  // namespace paceline
