// SPDX-License-Identifier: BSL-1.0
// The watch: one sleeping worker looks after the busy ones.
//
// A worker that makes a single task ready behind the one it runs does not wake anybody for it: the
// running poll usually ends before a sleeper could be up. If it does not end, somebody must notice.
// So while any worker is awake, one sleeper sets itself an alarm: every millisecond it takes what a
// worker that started no poll since the last look keeps waiting, and fires the timers such a worker
// is late for. After kAlertLooks looks without a finding it dozes: its looks become rarer, and lone
// tasks call a helper again. With everybody asleep nobody watches and nothing ticks.
//
// Who relies on the watch reads `Hub::watcher` without a fence right after its own plain stores, so
// it may believe in a watch that is just ending. The watcher therefore lowers the word first and
// then looks once more, an interval later, when those stores have long been visible. What is at
// stake is time, not a wake: the task's home runs it in any case.
// Proof: coretest steal; tests/unit/sched/worker_test.cpp.
#include <algorithm>

#include "sched/runtime_core.hpp"
#include "sched/worker.hpp"

namespace paceline::core {

namespace {

constexpr Nanos kWatchEvery = kMillisecond;
constexpr Nanos kDozeAtMost = 50 * kMillisecond;
constexpr unsigned kAlertLooks = 8;

}  // namespace

bool Worker::all_others_sleep() const noexcept {
  return hub_.sleepers.load(std::memory_order_seq_cst) + 1 >= core_.worker_count();  // M7
}

bool Worker::all_sleep() const noexcept {
  return hub_.sleepers.load(std::memory_order_seq_cst) >= core_.worker_count();  // M7
}

bool Worker::begin_watch() noexcept {
  const std::uint32_t mine = Hub::watched_by(index());
  std::uint32_t now = hub_.watcher.load(std::memory_order_relaxed);
  if (now == mine) return true;
  // A dozing watcher is relieved; it finds out at its next look. M27
  if (Hub::is_alert(now) || !hub_.watcher.compare_exchange_strong(now, mine)) return false;
  quiet_looks_ = 0;
  note_epochs();
  return true;
}

/// True if this worker watched.
bool Worker::end_watch() noexcept {
  std::uint32_t now = hub_.watcher.load(std::memory_order_relaxed);
  return Hub::watcher_index(now) == index() &&
         hub_.watcher.compare_exchange_strong(now, Hub::kNobody);  // M27
}

/// Watches, if that is this worker's turn; the time of its next look.
Nanos Worker::watch_until(Nanos now) noexcept {
  if (all_others_sleep()) {
    end_watch();
    // Whoever woke up before the word was lowered may count on us.
    if (all_others_sleep()) return kForever;
  }
  if (Hub::watcher_index(hub_.watcher.load(std::memory_order_relaxed)) != index() &&
      !begin_watch()) {
    return kForever;
  }
  // The first look of a doze still comes after the short interval: see above.
  const unsigned dozed = quiet_looks_ > kAlertLooks ? quiet_looks_ - kAlertLooks : 0;
  Nanos next = now + std::min(kWatchEvery << std::min(dozed, 6u), kDozeAtMost);
  for (const unsigned v : plan_.victims) {
    Worker& other = core_.worker(v);
    next = std::min(next, saturating_add(other.timers().next_expiry(), other.seat().timer_grace()));
  }
  return next;
}

/// A look. True if it found something for this worker to run.
bool Worker::look_after_others(Nanos now) noexcept {
  if (Hub::watcher_index(hub_.watcher.load(std::memory_order_relaxed)) != index()) return false;
  for (const unsigned v : plan_.victims) {
    Worker& other = core_.worker(v);
    TimerWheel& timers = other.timers();
    if (now < saturating_add(timers.next_expiry(), other.seat().timer_grace())) continue;
    if (const std::size_t fired = timers.expire(now)) bump(runtime_.counters().timers_fired, fired);
  }
  bool more = false;
  const bool found = raid(Epochs::watched, more);
  // What we may not take keeps others waiting, too, and they rely on us.
  if (!found && core_.clusters().several()) call_for_others(true);
  // What is left for others: the end of the watch calls somebody.
  note_epochs();
  if (!found && ++quiet_looks_ == kAlertLooks) {
    std::uint32_t mine = Hub::watched_by(index());
    hub_.watcher.compare_exchange_strong(mine, mine | Hub::kDozing);
  }
  return found;
}

}  // namespace paceline::core
