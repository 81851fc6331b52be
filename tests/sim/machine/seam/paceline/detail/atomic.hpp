// SPDX-License-Identifier: BSL-1.0
// Twin of include/paceline/detail/atomic.hpp for the simulated machine: an atomic whose accesses
// may have a price, and may then let threads go first that are behind in time.
//
// It has the layout of the plain type (groups are used as zeroed memory, never constructed) and the
// part of its interface that the runtime uses.
#pragma once

#include <atomic>
#include <concepts>

#include "sim/machine/touch.hpp"

namespace paceline::detail {

template <class T>
class Atomic {
  using Order = std::memory_order;
  using Access = core::simulation::Access;
  static constexpr Order kDefault = std::memory_order_seq_cst;

 public:
  constexpr Atomic() noexcept = default;
  constexpr Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  operator T() const noexcept { return load(); }
  T load(Order order = kDefault) const noexcept {
    touch(Access::load);
    return value_.load(order);
  }
  void store(T value, Order order = kDefault) noexcept {
    touch(order == std::memory_order_seq_cst ? Access::rmw : Access::store);
    value_.store(value, order);
  }
  T exchange(T value, Order order = kDefault) noexcept {
    touch(Access::rmw);
    return value_.exchange(value, order);
  }
  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure) noexcept {
    touch(Access::rmw);
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = kDefault) noexcept {
    touch(Access::rmw);
    return value_.compare_exchange_strong(expected, desired, order);
  }
  // Without spurious failures: they only make a caller's loop look again.
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure) noexcept {
    return compare_exchange_strong(expected, desired, success, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = kDefault) noexcept {
    return compare_exchange_strong(expected, desired, order);
  }

  T fetch_add(T n, Order order = kDefault) noexcept
    requires std::integral<T>
  {
    touch(Access::rmw);
    return value_.fetch_add(n, order);
  }
  T fetch_sub(T n, Order order = kDefault) noexcept
    requires std::integral<T>
  {
    touch(Access::rmw);
    return value_.fetch_sub(n, order);
  }
  T fetch_or(T mask, Order order = kDefault) noexcept
    requires std::integral<T>
  {
    touch(Access::rmw);
    return value_.fetch_or(mask, order);
  }
  T fetch_and(T mask, Order order = kDefault) noexcept
    requires std::integral<T>
  {
    touch(Access::rmw);
    return value_.fetch_and(mask, order);
  }

 private:
  void touch(Access access) const noexcept { core::simulation::touch(&value_, access); }

  std::atomic<T> value_{};
};

}  // namespace paceline::detail
