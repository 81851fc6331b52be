// SPDX-License-Identifier: BSL-1.0
// Options of a runtime and of a spawn: aggregates for designated initialisers, each field with
// its unit, range and default. Checked where they are used; a bad value throws
// std::invalid_argument with the reason and changes nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <paceline/detail/stop_token_option.hpp>
#include <paceline/qos.hpp>
#include <paceline/stall.hpp>
#include <paceline/task_group.hpp>
#include <paceline/topology.hpp>

namespace paceline {

/// What ~runtime does about tasks that still live after it has asked them to stop.
enum class shutdown_policy {
  wait,       ///< wait until the last one ended, however long that takes
  abandon,    ///< after `shutdown_deadline` report each by name on stderr and leave it behind
  terminate,  ///< after `shutdown_deadline` report each by name on stderr, then std::terminate
};

/// How tasks that run long are made to give way.
enum class preemption_mode {
  off,        ///< never: a task keeps its core until it suspends
  safepoint,  ///< at preempt_point()
  automatic,  ///< the same, and a task that answers no request loses its core to another thread
};

/// Called with the exception of a task that nobody can join any more and with the task's name
/// (empty if it had none). Runs on the thread that noticed, often a worker: be brief, do not
/// block. An exception thrown by the hook itself is reported on stderr and dropped.
using unhandled_hook = std::function<void(std::exception_ptr, std::string_view task_name)>;

/// What the fast and the slow cores of a machine are used for. Whatever it says, background work
/// keeps off the fast ones while slow ones are there, and work that prefers fast cores flows over
/// to slow ones when there is more of it than fast cores.
enum class profile : std::uint8_t {
  performance,  ///< fast cores for all but `utility` and `background`; `utility` may use them when
                ///< the slow ones have no room
  balanced,     ///< `standard`, too, begins on slow cores while these have room
  efficiency,   ///< so does `user_initiated`; `utility` never leaves the slow cores; fast cores
                ///< whose little work fits elsewhere take none
};

struct runtime_options {
  /// Worker threads, 0..1024; 0 means one per usable core (affinity mask and cgroup quota count).
  std::size_t workers = 0;

  /// Bind each worker to one core. Applied when there are no more workers than usable cores; where
  /// the system refuses, the runtime says so once in its log and runs unpinned.
  bool pin = true;

  /// The machine to run on, one worker for each of its cores unless `workers` says otherwise. Of
  /// another machine than this one the workers are virtual: as many threads as that machine has
  /// cores, near and far as there, bound to nothing. Default: this machine, topology::detect();
  /// where that fails, the runtime says so once in its log and takes all usable cores as alike.
  std::optional<paceline::topology> topology = std::nullopt;

  /// What fast and slow cores are used for, on a machine that has both (paceline-topology shows
  /// what was understood). See docs/policies.md.
  paceline::profile profile = paceline::profile::performance;

  /// Multiplies the times of the classes (deadlines, warps, quanta), 0.001..100: 1 suits desktops,
  /// 0.1 servers whose tasks take microseconds. Other constants of time are not touched.
  double time_scale = 1.0;

  /// Prefix of the worker threads' names ("<name>/<index>"), up to 255 bytes; the system shows
  /// the first 15 bytes or so.
  std::string name = "paceline";

  /// Stack of an executor in bytes, 16 KiB..1 GiB, rounded up to pages; 64 KiB of
  /// address space that traps come on top. Coroutines live in their frames: this is room for the
  /// calls a task makes between suspensions.
  std::size_t stack_size = 256 * 1024;

  /// Report a task that overflows its stack by name on stderr before the process ends. For that a
  /// handler of SIGSEGV is installed while a runtime lives, which hands every fault on to whoever
  /// handled it before; one that the application installs later stays. Not under ASan and TSan.
  bool report_stack_overflow = true;

  /// How tasks that run long are made to give way. See docs/preemption.md.
  preemption_mode preemption = preemption_mode::automatic;

  /// How long a task may run while another of its class waits, > 0 and at most an hour. Shorter
  /// than 100 us counts as 100 us: giving way more often would cost more than it helps. A task of a
  /// more important class does not wait for the end of a slice.
  std::chrono::nanoseconds slice = std::chrono::milliseconds(2);

  /// Only for preemption_mode::automatic: how long a task may go on after it was asked to give way
  /// and did not, > 0 and at most an hour. Then another thread takes its core over, and the task
  /// finishes its run beside it. Not if the system itself does not let it run; and a task that goes
  /// on spawning gets ten times as long, or a hundred times while others take what it spawns.
  std::chrono::nanoseconds handoff_after = std::chrono::milliseconds(10);

  /// Only for preemption_mode::automatic: the signal that preempts tasks in an async_region. 0: the
  /// usual one (SIGURG), claimed when the first region opens; if the application has a handler for
  /// it by then, regions do nothing, and the log says so once. -1: none. Else its number: refused
  /// (std::invalid_argument) if the application has a handler for it or it cannot be caught.
  int async_signal = 0;

  /// How many tasks may be parked in the middle of their run on one worker, 1..65536; at the limit
  /// they are not preempted any more. Each holds a stack. Tasks that wait in await_here() do not
  /// count.
  std::size_t max_weak = 32;

  /// Called on a task's stack when it is parked in the middle of its run, at a safepoint or in
  /// await_here, before others run on its thread: takes thread-local state of the application out
  /// of their way and returns what on_switch_in is to get. Must not wait or call the runtime. Null:
  /// no call. A task that loses its core keeps its thread: nothing is switched then. In an
  /// async_region the call may come from the handler of its signal, and has 8 KiB of stack.
  void* (*on_switch_out)() noexcept = nullptr;

  /// Called when such a task goes on, on the same stack and thread, with what on_switch_out gave
  /// (null if there is none). Puts the state back. The same rules.
  void (*on_switch_in)(void* saved) noexcept = nullptr;

  /// Told of a task that has answered no request to give way for `stall_after`, with its stack: see
  /// stall. While it is set, a task that computes may be sent the signal SIGRTMAX - 3 for that,
  /// unless the application handles that signal; without it that one is never sent. Default: a line
  /// in the log, at level warn. Not with preemption_mode::off: nobody asks there.
  stall_hook on_stall = {};

  /// See on_stall; > 0 and at most an hour.
  std::chrono::nanoseconds stall_after = std::chrono::milliseconds(100);

  /// See unhandled_hook. Default: one line on stderr, and the `unhandled` counter of the stats.
  unhandled_hook on_unhandled = {};

  /// What ~runtime does about tasks that ignore the request to stop.
  shutdown_policy on_shutdown = shutdown_policy::wait;

  /// Only for shutdown_policy::abandon and terminate: how long to wait first, > 0.
  std::optional<std::chrono::nanoseconds> shutdown_deadline = std::nullopt;
};

struct spawn_options {
  /// Class of the task. Default: that of the spawning task, else qos::standard.
  std::optional<paceline::qos> qos = std::nullopt;

  /// Name for dumps, logs and reports, up to 255 bytes; copied when the task is spawned.
  std::string_view name = {};

  /// The activity the task serves. Default: that of the spawning task, if it has one and spawns on
  /// its own runtime, else none. A group that has tasks of another runtime: std::logic_error; more
  /// than 63 groups with tasks or handles in one runtime: std::length_error.
  detail::GroupOption group = {};

  /// The cores whose workers may run this task, by worker index. The least loaded of them is chosen
  /// when the task is spawned and runs every poll of it, as if it were `core`. Cores without a
  /// worker do not count; if none is left, or `core` is not among them, std::invalid_argument.
  /// Default: any worker.
  std::optional<paceline::affinity> affinity = std::nullopt;

  /// Index of the worker that runs every poll of this task (0..workers-1, as reported by
  /// this_task::worker()). Such a task is never stolen. Default: any worker.
  std::optional<std::size_t> core = std::nullopt;

  /// Asks the task to stop when this token is asked to. Takes any std::stop_token.
  detail::StopTokenOption stop_token = {};

  /// Share of its core that the task gets while it competes with others of its class that run long:
  /// -20 (most) to 19 (least), one step about a quarter, as for processes. Tasks that suspend
  /// before their slice is over do not notice. Default: that of the spawning task, else 0.
  std::optional<int> nice = std::nullopt;
};

}  // namespace paceline
