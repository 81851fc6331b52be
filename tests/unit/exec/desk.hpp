// SPDX-License-Identifier: BSL-1.0
// An ExecutorRuntime without worker, seat or thread of its own: the test thread calls step() and so
// decides when what is polled. Real coroutines run on it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <paceline/task.hpp>
#include <paceline/this_task.hpp>

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "unit/task/home.hpp"

namespace paceline_test {

class Desk {
 public:
  static constexpr std::size_t kStack = 64 * 1024;

  Desk() : runtime_(home_.port, no_worker(), surroundings(), kStack) {
    core::machine::this_thread().runtime = &runtime_;
    core::machine::take_requests_from(&home_.port.request);
  }
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;
  ~Desk() {
    core::machine::take_requests_from(nullptr);
    runtime_.retire();
    core::machine::this_thread().runtime = nullptr;
  }

  core::ExecutorRuntime& runtime() { return runtime_; }
  Home& home() { return home_; }
  std::atomic<bool>& stopping() { return stopping_; }
  std::atomic<std::uint32_t>& sleepers() { return sleepers_; }
  /// How many tasks were said to wait when help was called for.
  std::vector<std::uint64_t> help;
  /// What is made of a note: who is polled instead of the next task.
  std::function<core::Slot*(core::Slot* next)> on_note;
  /// What detached tasks ended with.
  std::vector<std::exception_ptr> unhandled;

  /// Spawns a detached task whose home is `where` (this desk without one) and makes it ready there.
  core::Slot& spawn(paceline::task<> task, unsigned class_index = Home::kClass,
                    Home* where = nullptr, unsigned task_group = 0) {
    namespace detail = paceline::detail;
    Home& home = where == nullptr ? home_ : *where;
    core::TaskCollection& collection = home.collection(class_index, task_group);
    core::Slot* slot = collection.allocate_home();
    core::check(slot != nullptr, "the test has memory for its tasks");
    const auto frame = detail::TaskAccess::release(task);
    auto& promise = frame.promise();
    promise.link.store(detail::join_word::detached);
    promise.root = true;
    promise.self.store(slot->ref().bits);
    slot->resume = frame.address();
    slot->waiting = nullptr;
    slot->root = &promise;
    slot->frame.store(frame.address());
    slot->name.store(nullptr);
    slot->id.store(++last_id_);
    if (where == nullptr) {
      runtime_.admit_home(*slot, collection.allocated_in(), collection);
    } else {
      slot->state.admit();
      core::notify(*slot);
    }
    return *slot;
  }

  /// What the board of a runtime does: a task group has these wishes from now on.
  void found_group(unsigned task_group, std::uint32_t shares, bool fair = false) {
    wishes_[task_group] = core::TaskGroupWishes{++epochs_, shares, fair}.word();
  }

  /// What a monitor does: asks the poll that runs now to give way, after a slice if that is why.
  void ask(core::Ask why) {
    if (why == core::Ask::slice) pass(kSlice);
    home_.port.ask(why, now_);
  }
  /// Lets time pass, as far as turns are concerned.
  void pass(core::Nanos time) { now_ += time; }
  core::Nanos now() const { return now_; }
  static constexpr core::Nanos kSlice = 2 * core::kMillisecond;
  std::uint64_t count(const core::Atomic<std::uint64_t>& counter) const {
    return counter.load(std::memory_order_relaxed);
  }

  /// True if nothing is left to poll.
  bool step(unsigned budget) {
    return runtime_.step(budget) == core::ExecutorRuntime::Step::drained;
  }

  /// Steps until nothing is ready.
  void run_dry() {
    while (!step(64)) {
    }
  }

 private:
  core::Surroundings surroundings() {
    current_ = this;
    core::Surroundings all;
    all.stopping = &stopping_;
    all.sleepers = &sleepers_;
    all.help_wanted = [](core::Port&, std::uint64_t ready) noexcept {
      current_->help.push_back(ready);
    };
    all.unhandled = [](core::ExecutorRuntime&, paceline::detail::PromiseBase& promise) noexcept {
      current_->unhandled.push_back(std::exchange(promise.error, nullptr));
    };
    all.foreign_waits = [](core::Worker&) noexcept { return false; };
    all.instead = [](core::Worker&, core::Slot* next) noexcept {
      core::Port& port = current_->home_.port;
      port.classes.fetch_and(~core::bit(core::Port::kNote));
      return current_->on_note ? current_->on_note(next) : next;
    };
    all.slice = kSlice;
    all.group_wishes = wishes_.data();
    all.now = []() noexcept { return now_; };
    return all;
  }

  /// The runtime only hands its worker out, to code that these tests do not reach: a reference to
  /// storage in which no worker lives is enough.
  static core::Worker& no_worker() {
    alignas(128) static std::byte storage[8192];
    return reinterpret_cast<core::Worker&>(storage);
  }

  Home home_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> sleepers_{0};
  std::uint64_t last_id_ = 0;
  std::uint32_t epochs_ = 0;
  std::array<core::Atomic<std::uint64_t>, core::kTaskGroups> wishes_{};
  core::ExecutorRuntime runtime_;
  static inline Desk* current_ = nullptr;
  static inline core::Nanos now_ = 0;
};

/// Appends `what` to the log, so many times, and yields in between.
inline paceline::task<> say(std::string& log, char what, int times = 1) {
  for (int i = 0; i < times; ++i) {
    if (i != 0) co_await paceline::yield();
    log += what;
  }
}

}  // namespace paceline_test
