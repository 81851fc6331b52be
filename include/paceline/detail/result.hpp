// SPDX-License-Identifier: BSL-1.0
// Where a task keeps its value until it is taken: void, a reference or any movable type.
// Written by the task, read once by whoever awaits or joins it.
#pragma once

#include <concepts>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

namespace paceline::detail {

template <class T>
class ResultSlot {
 public:
  ResultSlot() noexcept {}
  ResultSlot(const ResultSlot&) = delete;
  ResultSlot& operator=(const ResultSlot&) = delete;
  ~ResultSlot() {
    if (has_value_) std::destroy_at(std::addressof(value_));
  }

  template <class U>
  void set(U&& value) {
    ::new (static_cast<void*>(std::addressof(value_))) T(std::forward<U>(value));
    has_value_ = true;
  }
  T take() { return std::move(value_); }

 private:
  union {
    T value_;
  };
  bool has_value_ = false;
};

template <class T>
class ResultSlot<T&> {
 public:
  void set(T& value) noexcept { value_ = std::addressof(value); }
  T& take() noexcept { return *value_; }

 private:
  T* value_ = nullptr;
};

template <>
class ResultSlot<void> {
 public:
  void take() noexcept {}
};

/// What stands for a task's result in a tuple or vector: std::monostate for void, itself otherwise.
template <class T>
using NonVoid = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace paceline::detail
