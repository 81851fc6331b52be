// SPDX-License-Identifier: BSL-1.0
// A task that tells in which class it has its turns.
#pragma once

#include <atomic>

#include "exec/loan.hpp"
#include "machine/machine.hpp"
#include "unit/api/fixtures.hpp"

namespace paceline_test {

namespace core = paceline::core;

inline const paceline::spawn_options kUrgent{.qos = paceline::qos::urgent};
inline const paceline::spawn_options kStandard{.qos = paceline::qos::standard};
inline const paceline::spawn_options kBackground{.qos = paceline::qos::background};

/// The class, as a number, in which the current task has its turns.
[[gnu::noinline]] inline unsigned my_rank() {
  return core::rank_of(*core::machine::own_record().task);
}

/// What one task sees of its class: those that it is told to expect, one after the other, each a
/// digit.
class Ranks {
 public:
  /// Gives way until each of the classes was the task's.
  paceline::task<> watch(const char* expected) {
    for (; *expected != 0; ++expected) {
      while (my_rank() != class_of(*expected)) co_await paceline::yield();
      seen_.fetch_add(1);
    }
  }
  /// The same for code that computes.
  void compute(const char* expected) {
    for (; *expected != 0; ++expected) {
      while (my_rank() != class_of(*expected)) paceline::preempt_point();
      seen_.fetch_add(1);
    }
  }
  /// Waits until so many of them were seen. Fails the test if that never happens.
  void reached(unsigned count) {
    eventually("the task has the class that it is lent", [&] { return seen_ >= count; });
  }

 private:
  static unsigned class_of(char digit) { return static_cast<unsigned>(digit - '0'); }

  std::atomic<unsigned> seen_{0};
};

}  // namespace paceline_test
