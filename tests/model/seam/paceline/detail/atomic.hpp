// SPDX-License-Identifier: BSL-1.0
// Twin of include/paceline/detail/atomic.hpp: an atomic whose every access is a scheduling point.
//
// It must have the layout of the plain type (groups are used as zeroed memory, never constructed)
// and the part of std::atomic's interface that the runtime uses. Memory orders are accepted and
// ignored: the explorer runs sequentially consistent interleavings only.
#pragma once

#include <atomic>
#include <concepts>
#include <type_traits>

#include "explorer/point.hpp"

namespace paceline::detail {

template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using Order = std::memory_order;
  static constexpr Order kDefault = std::memory_order_seq_cst;

 public:
  constexpr Atomic() noexcept : value_() {}
  constexpr Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order = kDefault) const noexcept {
    before(model::Access::load);
    told(model::Access::load, value_, value_);
    return value_;
  }
  void store(T value, Order = kDefault) noexcept {
    before(model::Access::store);
    told(model::Access::store, value_, value);
    value_ = value;
  }
  T exchange(T value, Order = kDefault) noexcept {
    return update([&](T) { return value; });
  }
  bool compare_exchange_strong(T& expected, T desired, Order, Order) noexcept {
    before(model::Access::rmw);
    if (value_ != expected) {
      told(model::Access::load, value_, value_);
      expected = value_;
      return false;
    }
    told(model::Access::rmw, value_, desired);
    value_ = desired;
    return true;
  }
  bool compare_exchange_strong(T& expected, T desired, Order = kDefault) noexcept {
    return compare_exchange_strong(expected, desired, kDefault, kDefault);
  }
  // Without spurious failures: they only make a caller's loop look again.
  bool compare_exchange_weak(T& expected, T desired, Order, Order) noexcept {
    return compare_exchange_strong(expected, desired, kDefault, kDefault);
  }
  bool compare_exchange_weak(T& expected, T desired, Order = kDefault) noexcept {
    return compare_exchange_strong(expected, desired, kDefault, kDefault);
  }

  T fetch_add(T n, Order = kDefault) noexcept
    requires std::integral<T>
  {
    return update([&](T old) { return static_cast<T>(old + n); });
  }
  T fetch_sub(T n, Order = kDefault) noexcept
    requires std::integral<T>
  {
    return update([&](T old) { return static_cast<T>(old - n); });
  }
  T fetch_or(T mask, Order = kDefault) noexcept
    requires std::integral<T>
  {
    return update([&](T old) { return static_cast<T>(old | mask); });
  }
  T fetch_and(T mask, Order = kDefault) noexcept
    requires std::integral<T>
  {
    return update([&](T old) { return static_cast<T>(old & mask); });
  }

 private:
  template <class Change>
  T update(Change&& change) noexcept {
    before(model::Access::rmw);
    const T old = value_;
    const T fresh = change(old);
    told(model::Access::rmw, old, fresh);
    value_ = fresh;
    return old;
  }
  void before(model::Access access) const noexcept {
    if (model::live()) model::before_access(&value_, sizeof(T), access);
  }
  void told(model::Access access, T from, T to) const noexcept {
    if (model::tracing()) [[unlikely]]
      model::trace_access(&value_, access, model::as_word(from), model::as_word(to));
  }

  T value_;
};

}  // namespace paceline::detail
