// SPDX-License-Identifier: BSL-1.0
// Starting tasks and waiting for them: spawn, join_handle.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <paceline/detail/bridge.hpp>
#include <paceline/error.hpp>
#include <paceline/options.hpp>
#include <paceline/task.hpp>

namespace paceline {

/// Identifies a task within the process; never 0, never used again.
using task_id = std::uint64_t;

template <class T>
class join_handle;

namespace detail {

extern const SuspensionOps join_ops;

[[noreturn]] void throw_empty_handle(const char* what);

template <class T>
class JoinAwaiter;

struct SpawnAccess {
  template <class T>
  static join_handle<T> start(RuntimeCore* core, task<T> t, const spawn_options* options) {
    auto frame = TaskAccess::handle(t);
    if (!frame) throw_empty_task("spawn");
    const task_id id = spawn_root(core, frame.promise(), frame, options);
    return join_handle<T>(TaskAccess::release(t), id);
  }

  template <class T>
  static join_handle<T> start_child(task<T> t) {
    auto frame = TaskAccess::handle(t);
    if (!frame) throw_empty_task("spawn");
    const task_id id = spawn_child(frame.promise(), frame);
    return join_handle<T>(TaskAccess::release(t), id);
  }

  template <class F, class... Args>
  static auto start_function(RuntimeCore* core, const spawn_options& options, F&& f,
                             Args&&... args);
};

}  // namespace detail

/// Owns the right to the result of a spawned task. Move-only.
///
/// Destroying the handle detaches the task: it goes on, and an exception it ends with goes to the
/// runtime's on_unhandled hook. A handle may outlive its runtime. One thread at a time.
template <class T = void>
class join_handle {
 public:
  /// An empty handle; everything but assignment and destruction throws std::logic_error.
  join_handle() noexcept = default;
  join_handle(join_handle&& other) noexcept
      : frame_(std::exchange(other.frame_, nullptr)), id_(std::exchange(other.id_, 0)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      detach_if_held();
      frame_ = std::exchange(other.frame_, nullptr);
      id_ = std::exchange(other.id_, 0);
    }
    return *this;
  }
  ~join_handle() { detach_if_held(); }

  explicit operator bool() const noexcept { return frame_ != nullptr; }

  /// Waits for the task and gives its value or rethrows: `co_await std::move(h)`. Task only.
  /// Cancelling the wait throws operation_cancelled and detaches the awaited task, whose result is
  /// then lost; it is not asked to stop.
  auto operator co_await() &&;

  /// Blocks the calling thread until the task is finished, gives its value or rethrows, and empties
  /// the handle. Not on a worker: throws std::logic_error there (use co_await).
  T join() {
    require_held("join");
    detail::join_blocking(frame_.promise(), "join_handle::join");
    join_handle spent = std::move(*this);
    return spent.frame_.promise().take();
  }

  /// Asks the task to stop: its present or next suspension throws operation_cancelled in it. Any
  /// number of times. Blocks nothing; does not wait. True the first time.
  bool request_stop() {
    require_held("request_stop");
    return detail::request_stop(frame_.promise());
  }

  /// Has the task ended? Then join() returns at once.
  bool done() const {
    require_held("done");
    return frame_.promise().link.load(std::memory_order_acquire) == detail::join_word::done;  // M13
  }

  task_id id() const {
    require_held("id");
    return id_;
  }

  /// Gives up the result; the task goes on. The handle is empty afterwards.
  void detach() {
    require_held("detach");
    detach_if_held();
  }

 private:
  friend struct detail::SpawnAccess;
  friend class detail::JoinAwaiter<T>;

  join_handle(std::coroutine_handle<detail::TaskPromise<T>> frame, task_id id) noexcept
      : frame_(frame), id_(id) {}

  void require_held(const char* what) const {
    if (!frame_) detail::throw_empty_handle(what);
  }
  void detach_if_held() noexcept {
    if (frame_) detail::release_handle(frame_.promise(), frame_);
    frame_ = nullptr;
    id_ = 0;
  }

  std::coroutine_handle<detail::TaskPromise<T>> frame_;
  task_id id_ = 0;
};

namespace detail {

/// Bookkeeping of a join that does not depend on the result type.
struct JoinSuspension : Suspension {
  explicit JoinSuspension(PromiseBase& awaited) noexcept : Suspension(join_ops), target(&awaited) {}
  PromiseBase* target;
  bool cancelled = false;
};

template <class T>
class JoinAwaiter : public NativeAwaiter {
 public:
  explicit JoinAwaiter(join_handle<T> handle) noexcept
      : handle_(std::move(handle)), where_(handle_.frame_.promise()) {}
  JoinAwaiter(const JoinAwaiter&) = delete;
  JoinAwaiter& operator=(const JoinAwaiter&) = delete;

  bool await_ready() const { return handle_.done(); }
  bool await_suspend(std::coroutine_handle<> frame) {
    if (!suspend_at(where_, frame)) {
      where_.cancelled = true;
      return false;
    }
    if (join_suspend(*where_.target, where_)) return true;
    not_suspended();  // it has ended meanwhile
    return false;
  }
  T await_resume() {
    if (where_.cancelled) throw operation_cancelled();
    join_handle<T> spent = std::move(handle_);
    return spent.frame_.promise().take();
  }

 private:
  join_handle<T> handle_;
  JoinSuspension where_;
};

/// Runs a callable that the task itself owns, so that a capturing coroutine lambda stays alive for
/// as long as its coroutine does.
template <class R, class F, class... Args>
task<R> invoke_owned(F f, Args... args) {
  using Result = std::invoke_result_t<F, Args...>;
  if constexpr (Awaitable<Result>) {
    co_return co_await std::invoke(std::move(f), std::move(args)...);
  } else {
    co_return std::invoke(std::move(f), std::move(args)...);
  }
}

template <class Result>
struct SpawnedResult {
  using type = Result;
};
template <class Result>
  requires Awaitable<Result>
struct SpawnedResult<Result> {
  using type = AwaitResult<Result>;
};

[[noreturn]] void throw_null_function();

template <class F, class... Args>
auto SpawnAccess::start_function(RuntimeCore* core, const spawn_options& options, F&& f,
                                 Args&&... args) {
  using Function = std::decay_t<F>;
  static_assert(std::is_invocable_v<Function, std::decay_t<Args>...>,
                "spawn(options, f, args...) calls f with its own copies of args as rvalues");
  using Result = std::invoke_result_t<Function, std::decay_t<Args>...>;
  // A function itself is never null, and g++ warns when it is asked.
  if constexpr (!std::is_function_v<std::remove_reference_t<F>> && requires { f == nullptr; }) {
    if (f == nullptr) throw_null_function();
  }
  return start(core,
               invoke_owned<typename SpawnedResult<Result>::type, Function, std::decay_t<Args>...>(
                   std::forward<F>(f), std::forward<Args>(args)...),
               &options);
}

}  // namespace detail

template <class T>
auto join_handle<T>::operator co_await() && {
  require_held("co_await");
  return detail::JoinAwaiter<T>(std::move(*this));
}

/// Starts `t` on the current runtime. From a task only: throws std::logic_error elsewhere.
/// See runtime::spawn for the rest.
template <class T>
join_handle<T> spawn(task<T> t) {
  return detail::SpawnAccess::start_child(std::move(t));
}
template <class T>
join_handle<T> spawn(task<T> t, const spawn_options& options) {
  return detail::SpawnAccess::start(nullptr, std::move(t), &options);
}

/// Starts `f(args...)` on the current runtime; the task owns copies of `f` and `args`.
template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
auto spawn(const spawn_options& options, F&& f, Args&&... args) {
  return detail::SpawnAccess::start_function(nullptr, options, std::forward<F>(f),
                                             std::forward<Args>(args)...);
}

}  // namespace paceline
