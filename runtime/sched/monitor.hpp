// SPDX-License-Identifier: BSL-1.0
// The monitor: one thread of a runtime that notices what busy workers cannot.
// Flow room: preempt. It reads what workers publish, sets request words, fires late timers.
// It must never be needed for anything but time: without it every task still runs, later.
// Proof: tests/unit/api/preempt_test.cpp, blocking_test.cpp, coretest hog.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/atomic.hpp"
#include "base/time.hpp"
#include "machine/machine.hpp"
#include "sched/idle.hpp"
#include "sched/stalls.hpp"

namespace paceline::core {

struct Refuge;
class RuntimeCore;
class Worker;

/// A poll that lasts for a slice while something of its class or a more important one waits is
/// asked to give way; one that lasts while nothing waits is marked overdue, so that the next wake
/// asks by itself. Timers that a busy worker is late for are fired here.
///
/// A worker that is lent while something waits for it gets a spare thread (crew.hpp).
///
/// It looks about twice a slice while somebody waits behind a long poll, more rarely the longer it
/// finds nothing, and sleeps without a deadline while every worker sleeps: then the first worker
/// that wakes up wakes it (the same handshake as parking: it publishes that it sleeps, then looks
/// at the workers once more; a worker publishes that it is awake, then looks at the monitor's
/// word).
///
/// Its word is Hub::monitor, which lives as long as late wakers do. Writers: itself (awake -> naps,
/// dozes or sleeps -> awake), anybody (any -> awake). Everything else belongs to its thread.
/// Workers read no clock for it.
class Monitor {
 public:
  /// `slice`, `handoff_after`: see runtime_options. kForever: a task that answers no request keeps
  /// its worker. `stall_after`: then the application is told.
  Monitor(RuntimeCore& core, Nanos slice, Nanos handoff_after, Nanos stall_after);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor() { stop(); }

  /// Throws std::system_error.
  void start();
  /// Ends its thread. Not on it; twice does nothing.
  void stop() noexcept;

  /// A worker is awake from here on. That worker, after it has published that.
  void worker_woke() noexcept {
    if (word_.load(std::memory_order_seq_cst) == kSleeps) rouse(word_);  // M30
  }
  /// Work waits for a worker that is lent: look soon. Any thread, signal-safe.
  static void hurry(Hub& hub) noexcept {
    // Raised before the look, as the monitor looks at it after it has said how it sleeps.
    hub.hurried.exchange(1, std::memory_order_seq_cst);                             // M30
    if (hub.monitor.load(std::memory_order_seq_cst) >= kDozes) rouse(hub.monitor);  // M30
  }

  /// How often it looked. Any thread.
  std::uint64_t looks() const noexcept { return looks_.load(std::memory_order_relaxed); }
  /// How often a task was left its core because the system did not let it run. Any thread.
  std::uint64_t starved() const noexcept { return starved_.load(std::memory_order_relaxed); }
  /// How many stalls were told. Any thread.
  std::uint64_t stalls() const noexcept { return stalls_.count(); }

  // Shorter slices cost more than they help: twenty times a request and the switches it leads to,
  // the monitor's own wake-up included (docs/benchmarks.md).
  static constexpr Nanos kSliceMin = 100 * kMicrosecond;

 private:
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kNaps = 1;    // looks again soon
  static constexpr std::uint32_t kDozes = 2;   // in a while
  static constexpr std::uint32_t kSleeps = 3;  // when it is woken

  struct Seen {
    std::uint64_t poll = 0;
    std::uint64_t answers = 0;
    std::uint32_t run_class = 0;  // of that poll, whatever is said of it later
    std::uint32_t hold = 0;
    Nanos lent_since = 0;
    Nanos since = 0;            // it runs at least so long
    Nanos asked_at = 0;         // first asked to give way then; 0: not
    Nanos asked_first = 0;      // the same, though it may have got more time since
    std::uint64_t spawned = 0;  // by the worker until asked_at,
    std::uint32_t taken = 0;    // and taken from it
    Nanos weighed_at = 0;       // last looked at what its thread does then,
    Nanos cpu_time = 0;         // and how long it had run by then
    bool asked = false;         // just now
    Nanos press_at = 0;         // in a region: signal it then,
    Nanos press_gap = 0;        // and so much later again
    Suspect suspect;            // of not answering at all
  };

  static void thread_body(void* self) noexcept;
  void run() noexcept;
  static void rouse(Atomic<std::uint32_t>& word) noexcept;
  void weigh(Worker& worker, Seen& seen) noexcept;
  void look_at_lent(Worker& worker, Seen& seen, Nanos now, Nanos& next) noexcept;
  bool look(Nanos now, Nanos& next) noexcept;
  bool look_at_refuge(Refuge& refuge, Nanos now, Nanos& next) noexcept;
  bool look_at_stuck(Refuge& refuge, Nanos now, Nanos& next) noexcept;
  void look_at(unsigned index, Nanos now, Nanos& next) noexcept;
  void look_at_turn(Seat& seat, Nanos now, Nanos& next) const noexcept;
  bool has_moved(const Seat& seat, Seen& seen, Nanos now) noexcept;
  void consider_handoff(Worker& worker, Seen& seen, Nanos now, Nanos& next) noexcept;
  void press(Seat& seat, Seen& seen, Nanos now, Nanos& next) noexcept;
  bool anybody_awake() const noexcept;

  RuntimeCore& core_;
  const Nanos slice_;
  const Nanos handoff_after_;
  const std::string name_;  // of its thread
  Stalls stalls_;
  std::vector<Seen> seen_;
  Nanos quiet_ = 0;      // the present interval between looks that find nothing
  bool moving_ = false;  // some worker began a poll since the last look
  machine::ThreadHandle thread_ = 0;
  Atomic<std::uint32_t>& word_;
  Atomic<bool> let_go_{false};
  Atomic<std::uint64_t> looks_{0};
  Atomic<std::uint64_t> starved_{0};
};

}  // namespace paceline::core
