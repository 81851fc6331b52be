// SPDX-License-Identifier: BSL-1.0
#include "exec/executor_runtime.hpp"

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <paceline/detail/awaitable.hpp>

#include "base/assert.hpp"
#include "base/probe.hpp"
#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "exec/poll.hpp"

namespace paceline::core {

namespace {

template <std::size_t... I>
std::array<Sweep, qos_count> make_sweeps(Port& port, std::index_sequence<I...>) {
  return {Sweep(port.collections[I])...};
}

}  // namespace

ExecutorRuntime::ExecutorRuntime(Port& port, Worker& worker, const Surroundings& surroundings,
                                 std::size_t stack_bytes)
    : port_(port),
      worker_(&worker),
      surroundings_(surroundings),
      stack_bytes_(stack_bytes),
      turns_(surroundings.slice),
      weak_sweep_(port.weak()),
      class_turns_(surroundings.classes),
      fixed_watch_(surroundings.classes),
      sweeps_(make_sweeps(port, std::make_index_sequence<qos_count>())) {
  strong_ = new Executor(*this, stack_bytes);
}

ExecutorRuntime::Step ExecutorRuntime::step(unsigned budget) noexcept {
  budget_ = budget;
  drained_ = weak_next_ = false;
  if (group_book_ != nullptr) [[unlikely]]
    open_group_bill();
  if ((port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) != 0) [[unlikely]]
    take_turns();
  if (group_book_ != nullptr) [[unlikely]]
    forget_groups_gone();
  for (;;) {
    Executor& entered = *strong_;
    running_ = &entered;
    entered.enter();
    if (&entered.runtime() != this) [[unlikely]] {
      // The thread lost this runtime while the executor ran.
      entered.runtime().receive(entered);
      return Step::lost;
    }
    if (entered.standing == Standing::at_rest) [[likely]]
      break;
    replace_strong();
  }
  running_ = nullptr;
  if (spare_count_ > kSparesMax) trim_spares(kSparesMax);
  flush_freed();
  owe_no_polls();
  const bool weak_left = (port_.classes.load(std::memory_order_relaxed) & bit(Port::kWeak)) != 0;
  const bool all_rest = drained_ && !weak_left;
  if (group_book_ != nullptr) [[unlikely]]
    close_group_bill(all_rest);
  return all_rest ? Step::drained : Step::more;
}

bool ExecutorRuntime::post_transfer(std::coroutine_handle<> next) noexcept {
  if (!posted_) {
    posted_ = next;
    return true;
  }
  try {
    posted_more_.push_back(next);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void ExecutorRuntime::wake_home(Slot& slot) noexcept {
  bump(counters_.wakes);
  if (notify_home(slot)) {
    became_ready(class_of(slot));
  } else {
    bump(counters_.coalesced);
  }
}

void ExecutorRuntime::ask_running(std::uint32_t runs) noexcept {
  port_.ask(runs == Port::kOverdue ? Ask::slice : Ask::urgent, surroundings_.now());
  // No safepoint may follow soon, and a thread does not signal itself.
  const Region* region = machine::own_record().region;
  if (region != nullptr && region->depth != 0) ask_again();
}

/// Slots of one page that are given back one after the other go with one RMW.
void ExecutorRuntime::give_back(Slot& slot) noexcept {
  Group& group = Group::of(slot);
  const unsigned page = group.page_index(slot);
  if (&group != freed_group_ || page != freed_page_) {
    flush_freed();
    freed_group_ = &group;
    freed_page_ = page;
  }
  freed_ |= bit(Group::bit_index(slot));
}

void ExecutorRuntime::flush_freed() noexcept {
  if (freed_ == 0) return;
  TaskCollection::give_back(*freed_group_, freed_page_, std::exchange(freed_, 0));
  freed_group_ = nullptr;
}

void Entry::throw_no_task(const char* what) {
  throw std::logic_error(std::string(what) +
                         " outside a task: spawn the coroutine on a runtime, or run it with "
                         "runtime::block_on");
}

}  // namespace paceline::core
