// SPDX-License-Identifier: BSL-1.0
// Categories: what a piece of work is for, in the words of machines with big and little cores.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <paceline/detail/awaitable.hpp>
#include <paceline/qos.hpp>
#include <paceline/task.hpp>
#include <paceline/this_task.hpp>

namespace paceline {

/// What a piece of work is for. A category stands for a class and for the kind of core that the
/// work prefers; where all cores are alike, and as long as the runtime does not tell them apart,
/// only the class counts.
enum class task_category : std::uint8_t {
  performance_critical,  ///< a compiler at run time: user_initiated; big cores
  latency_sensitive,     ///< somebody waits for this step: user_interactive; big cores
  batch_processing,      ///< a collector's sweep: utility; little cores
  background_cleanup,    ///< writing logs, tidying up: background; little cores
};

/// Which class a category stands for; the defaults are those named above.
struct category_policy {
  qos performance_critical = qos::user_initiated;
  qos latency_sensitive = qos::user_interactive;
  qos batch_processing = qos::utility;
  qos background_cleanup = qos::background;

  /// Throws std::invalid_argument for a value outside the enum.
  constexpr qos class_of(task_category category) const {
    switch (category) {
      case task_category::performance_critical: return performance_critical;
      case task_category::latency_sensitive: return latency_sensitive;
      case task_category::batch_processing: return batch_processing;
      case task_category::background_cleanup: return background_cleanup;
    }
    throw std::invalid_argument("the category is not one of task_category's enumerators");
  }
};

namespace detail {

/// The current task goes on in class `wanted`. Its class before.
inline qos enter_class(qos wanted) {
  const qos before = this_task::qos();
  this_task::set_qos(wanted);
  return before;
}

/// The way back. Without memory for it the task stays in the class that it is in.
inline void leave_class(qos before) noexcept {
  try {
    this_task::set_qos(before);
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

class CategoryAwaiter : public YieldAwaiter {
 public:
  explicit CategoryAwaiter(qos wanted) noexcept : wanted_(wanted) {}
  bool await_ready() const {
    this_task::set_qos(wanted_);
    return false;
  }

 private:
  qos wanted_;
};

template <class T>
class CategoryTaskAwaiter : public TaskAwaiter<T> {
 public:
  CategoryTaskAwaiter(qos wanted, std::coroutine_handle<TaskPromise<T>> child) noexcept
      : TaskAwaiter<T>(child), wanted_(wanted) {}
  bool await_ready() {
    before_ = enter_class(wanted_);
    return false;
  }
  T await_resume() {
    leave_class(before_);
    return TaskAwaiter<T>::await_resume();
  }

 private:
  qos wanted_;
  qos before_{};
};

template <class T>
class CategoryTask {
 public:
  CategoryTask(qos wanted, task<T>&& child) noexcept : child_(std::move(child)), wanted_(wanted) {}
  auto operator co_await() && {
    if (!child_) throw_empty_task("with_category");
    return CategoryTaskAwaiter<T>(wanted_, TaskAccess::release(child_));
  }

 private:
  task<T> child_;
  qos wanted_;
};

/// Puts the current task back when a call returns or throws.
class ClassGuard {
 public:
  explicit ClassGuard(qos wanted) : before_(enter_class(wanted)) {}
  ClassGuard(const ClassGuard&) = delete;
  ClassGuard& operator=(const ClassGuard&) = delete;
  ~ClassGuard() { leave_class(before_); }

 private:
  qos before_;
};

template <class T>
inline constexpr bool kIsTask = false;
template <class T>
inline constexpr bool kIsTask<task<T>> = true;

}  // namespace detail

/// `co_await with_category(c)`: the current task is of category `c` from now on, and goes on when
/// that class has its turn. Wakers taken before no longer reach it (this_task::set_qos). Throws
/// std::logic_error outside a task, std::invalid_argument for a value outside the enum, and
/// std::bad_alloc; then nothing changed. Cancelling throws operation_cancelled, in the new class.
inline detail::CategoryAwaiter with_category(task_category category) {
  return detail::CategoryAwaiter(category_policy{}.class_of(category));
}

/// `co_await with_category(c, child())` runs the child at once as part of this task, under category
/// `c`, and gives its value or rethrows; before that the task is back in the class it had. Nests.
/// Errors as above, and std::invalid_argument for an empty task. Should there be no memory for the
/// way back, the task stays in the class of the category.
template <class T>
detail::CategoryTask<T> with_category(task_category category, task<T> child) {
  return {category_policy{}.class_of(category), std::move(child)};
}

/// Runs functions of the current task under categories, with a table of the user's own. A value:
/// copyable, any thread.
class big_little_scheduler {
 public:
  constexpr big_little_scheduler() noexcept = default;
  constexpr explicit big_little_scheduler(const category_policy& policy) noexcept
      : policy_(policy) {}

  constexpr const category_policy& policy() const noexcept { return policy_; }

  /// Calls `f` on the current task under the category and gives what it gives; the class before is
  /// back when `f` returns or throws. Nests. If `f` gives a task, the result is to be awaited, and
  /// the task runs under the category: see with_category. Throws std::logic_error outside a task,
  /// std::invalid_argument for a value outside the enums, and std::bad_alloc; then `f` was not
  /// called. Blocks as `f` does.
  template <std::invocable F>
  auto schedule_task(task_category category, F&& f) const -> decltype(auto) {
    using Result = std::invoke_result_t<F>;
    const qos wanted = policy_.class_of(category);
    if constexpr (detail::kIsTask<Result>) {
      return detail::CategoryTask(wanted, std::invoke(std::forward<F>(f)));
    } else {
      const detail::ClassGuard guard(wanted);
      return std::invoke(std::forward<F>(f));
    }
  }

 private:
  category_policy policy_;
};

}  // namespace paceline
