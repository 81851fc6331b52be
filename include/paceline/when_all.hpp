// SPDX-License-Identifier: BSL-1.0
// when_all: run tasks side by side and wait for all of them.
#pragma once

#include <array>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <paceline/detail/awaitable.hpp>
#include <paceline/error.hpp>
#include <paceline/task.hpp>

namespace paceline {

namespace detail {

template <class T>
using Element = std::conditional_t<std::is_reference_v<T>,
                                   std::reference_wrapper<std::remove_reference_t<T>>, NonVoid<T>>;

/// Owns a started child and destroys its frame.
template <class T>
class Child {
 public:
  explicit Child(task<T>&& t) : frame_(TaskAccess::release(t)) {
    if (!frame_) throw_empty_task("when_all");
  }
  Child(Child&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (frame_) destroy_frame(frame_);
  }
  std::coroutine_handle<> frame() const noexcept { return frame_; }
  PromiseBase& promise() const noexcept { return frame_.promise(); }
  Element<T> take() {
    if constexpr (std::is_void_v<T>) {
      frame_.promise().take();
      return {};
    } else {
      return frame_.promise().take();
    }
  }

 private:
  std::coroutine_handle<TaskPromise<T>> frame_;
};

/// The part of both forms that does not depend on the results.
class WhenAllBase : public NativeAwaiter {
 public:
  WhenAllBase() noexcept : group_(join_group_ops) {}
  WhenAllBase(const WhenAllBase&) = delete;
  WhenAllBase& operator=(const WhenAllBase&) = delete;

 protected:
  bool start(PromiseBase** children, const std::coroutine_handle<>* frames, std::size_t count,
             std::coroutine_handle<> parent) {
    group_.children = children;
    group_.count = count;
    cancelled_ = !spawn_group(group_, frames, parent);
    return !cancelled_;
  }
  /// Rethrows the first failure. The others' exceptions are dropped: they were asked to stop.
  void rethrow_first() {
    if (cancelled_) throw operation_cancelled();
    const std::size_t failed = group_.first_failed.load(std::memory_order_acquire);  // M15
    if (failed != JoinGroup::kNoFailure) std::rethrow_exception(group_.children[failed]->error);
  }

 private:
  JoinGroup group_;
  bool cancelled_ = false;
};

template <class... Ts>
class WhenAllTuple : public WhenAllBase {
 public:
  explicit WhenAllTuple(std::tuple<Child<Ts>...>&& children) : children_(std::move(children)) {}

  bool await_ready() const noexcept { return sizeof...(Ts) == 0; }
  bool await_suspend(std::coroutine_handle<> parent) {
    const auto frames = std::apply(
        [](auto&... child) {
          return std::array<std::coroutine_handle<>, sizeof...(Ts)>{child.frame()...};
        },
        children_);
    promises_ = std::apply(
        [](auto&... child) { return std::array<PromiseBase*, sizeof...(Ts)>{&child.promise()...}; },
        children_);
    return start(promises_.data(), frames.data(), sizeof...(Ts), parent);
  }
  std::tuple<NonVoid<Ts>...> await_resume() {
    rethrow_first();
    return std::apply([](auto&... child) { return std::tuple<NonVoid<Ts>...>{child.take()...}; },
                      children_);
  }

 private:
  std::tuple<Child<Ts>...> children_;
  std::array<PromiseBase*, sizeof...(Ts)> promises_{};
};

template <class T>
class WhenAllRange : public WhenAllBase {
 public:
  explicit WhenAllRange(std::vector<Child<T>> children) : children_(std::move(children)) {}

  bool await_ready() const noexcept { return children_.empty(); }
  bool await_suspend(std::coroutine_handle<> parent) {
    std::vector<std::coroutine_handle<>> frames;
    frames.reserve(children_.size());
    promises_.reserve(children_.size());
    for (auto& child : children_) {
      frames.push_back(child.frame());
      promises_.push_back(&child.promise());
    }
    return start(promises_.data(), frames.data(), frames.size(), parent);
  }
  std::vector<Element<T>> await_resume() {
    rethrow_first();
    std::vector<Element<T>> results;
    results.reserve(children_.size());
    for (auto& child : children_) results.push_back(child.take());
    return results;
  }

 private:
  std::vector<Child<T>> children_;
  std::vector<PromiseBase*> promises_;
};

template <class... Ts>
struct AllOf {
  std::tuple<Child<Ts>...> children;
  explicit AllOf(task<Ts>&&... tasks) : children(Child<Ts>(std::move(tasks))...) {}
  auto operator co_await() && { return WhenAllTuple<Ts...>(std::move(children)); }
};

template <class T>
struct AllOfRange {
  std::vector<Child<T>> children;
  auto operator co_await() && { return WhenAllRange<T>(std::move(children)); }
};

template <class>
struct TaskValue;
template <class T>
struct TaskValue<task<T>> {
  using type = T;
};

}  // namespace detail

/// Runs all tasks concurrently and gives a tuple of their results (std::monostate for void).
///
/// Waits for every one of them, also after a failure: the first to fail makes the rest be asked to
/// stop, and its exception is rethrown when all have ended. Cancelling asks all of them to stop and
/// waits likewise. Children inherit the parent's class. Task only. Throws std::invalid_argument for
/// an empty task, and std::bad_alloc or runtime_stopped if they cannot be started; then none was.
template <class... Ts>
auto when_all(task<Ts>... tasks) {
  return detail::AllOf<Ts...>(std::move(tasks)...);
}

/// The same for a range of tasks, which is consumed; gives a vector in the range's order
/// (std::reference_wrapper for references).
template <std::ranges::input_range Range>
auto when_all(Range&& tasks) {
  using T =
      typename detail::TaskValue<std::remove_cvref_t<std::ranges::range_value_t<Range>>>::type;
  std::vector<detail::Child<T>> children;
  if constexpr (std::ranges::sized_range<Range>) children.reserve(std::ranges::size(tasks));
  for (auto&& t : tasks) children.emplace_back(std::move(t));
  return detail::AllOfRange<T>{std::move(children)};
}

}  // namespace paceline
