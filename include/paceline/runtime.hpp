// SPDX-License-Identifier: BSL-1.0
// The runtime: workers, their life, and the ways in from outside.
#pragma once

#include <iosfwd>
#include <utility>

#include <paceline/detail/bridge.hpp>
#include <paceline/options.hpp>
#include <paceline/scheduler.hpp>
#include <paceline/spawn.hpp>
#include <paceline/stats.hpp>
#include <paceline/task.hpp>

namespace paceline {

/// Owns worker threads and the tasks they run. Several runtimes may live in one process.
///
/// Thread-safe: any thread may spawn, block_on (not a worker), read stats or dump, as long as the
/// object lives. After fork() the child cannot use it: calls throw std::logic_error there, and its
/// destructor does nothing; the parent is unaffected.
class runtime {
 public:
  /// Starts the workers. Throws std::invalid_argument for bad options and std::system_error or
  /// std::bad_alloc if a thread or its stack cannot be had; then nothing is left behind.
  explicit runtime(runtime_options options = {});

  /// Requests stop of every task, then waits for the live ones as options.on_shutdown says. On one
  /// of its own workers it cannot wait: it requests stop and the last worker to end cleans up.
  ~runtime();

  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// Starts `t`. Any thread. Throws std::invalid_argument for an empty task or bad options,
  /// runtime_stopped after request_stop, std::bad_alloc; in each case nothing was started.
  template <class T>
  join_handle<T> spawn(task<T> t) {
    return detail::SpawnAccess::start(core_, std::move(t), nullptr);
  }
  template <class T>
  join_handle<T> spawn(task<T> t, const spawn_options& options) {
    return detail::SpawnAccess::start(core_, std::move(t), &options);
  }

  /// Starts `f(args...)`: the task owns decayed copies of `f` and `args`, so a capturing coroutine
  /// lambda is safe this way (and only this way). `f` may return an awaitable or a plain value.
  template <class F, class... Args>
    requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
  auto spawn(const spawn_options& options, F&& f, Args&&... args) {
    return detail::SpawnAccess::start_function(core_, options, std::forward<F>(f),
                                               std::forward<Args>(args)...);
  }

  /// Runs an awaitable as a task and blocks the calling thread until it ends; gives its value or
  /// rethrows. Outside threads only: throws std::logic_error on a worker of any runtime.
  template <detail::Awaitable A>
  detail::AwaitResult<A> block_on(A&& awaitable) {
    require_outside("block_on");
    return detail::SpawnAccess::start(core_, as_task(std::forward<A>(awaitable)), nullptr).join();
  }

  /// Asks every task to stop and refuses new ones from now on. Idempotent; does not wait.
  void request_stop() noexcept;

  /// Blocks until no task lives and every worker has seen it. Outside threads only: throws
  /// std::logic_error on a worker.
  void wait_idle();

  /// Number of workers, >= 1.
  std::size_t workers() const noexcept;

  runtime_stats stats() const;

  /// Writes one line per live task: id, name, state, class, home worker, and what it waits for;
  /// below the line of a task that was preempted or waits in await_here() its call stack, with
  /// names where the program has symbols. Any thread; does not stop the workers, so each line is
  /// true for its own moment. Reads symbol tables from the program's files: takes milliseconds.
  void dump_tasks(std::ostream& out) const;

  /// A handle that moves coroutines to this runtime; it may outlive the runtime.
  scheduler get_scheduler() const noexcept;

  /// Hands memory that no task uses back to the system. Happens by itself about a second after the
  /// workers fell idle. Any thread; blocks for the system calls.
  void trim() noexcept;

 private:
  void require_outside(const char* caller) const;

  template <class T>
  static task<T> as_task(task<T>&& t) {
    if (!t) detail::throw_empty_task("block_on");
    return std::move(t);
  }
  template <class A>
  static task<detail::AwaitResult<A>> as_task(A&& awaitable) {
    return as_task_frame<A>(std::forward<A>(awaitable));
  }
  // The caller blocks until the frame is gone, so a reference to an lvalue is safe here.
  template <class A>
  static task<detail::AwaitResult<A>> as_task_frame(A awaitable) {
    co_return co_await static_cast<A&&>(awaitable);
  }

  detail::RuntimeCore* core_;
};

}  // namespace paceline
