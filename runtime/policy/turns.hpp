// SPDX-License-Identifier: BSL-1.0
// Turns: who goes on within a class - the strong executor, which stands for all the short tasks, or
// one of the weak ones.
//
// Executors of a class share their core by virtual time (policy/fair.hpp has its arithmetic):
// whoever has had least goes on. Pure: time comes as an argument.
// Used by one worker. Proof: tests/unit/policy/turns_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <paceline/qos.hpp>

#include "base/time.hpp"
#include "policy/fair.hpp"

namespace paceline::core::policy {

/// What an executor has had of its core.
struct Share {
  Nanos had = 0;  // virtual time
  std::uint32_t weight = kNiceZero;
};

/// I1: `floor` of a class never falls; nobody who is ready is further below it than the credit.
/// So nobody can save up time while he does not want it, and whoever waits is reached after
/// finitely many slices of the others.
class Turns {
 public:
  /// [P] The strong executor weighs as many tasks as are ready, and this many at most (0014).
  static constexpr unsigned kTasksMax = 16;

  /// `slice`: how long a turn lasts; who comes back may have a few of them at once.
  explicit constexpr Turns(Nanos slice) noexcept : slice_(slice) {}

  constexpr Nanos slice() const noexcept { return slice_; }

  /// The executor ran for so long; less than nothing counts as nothing, more than an hour as that.
  constexpr void charge(Share& share, Nanos ran) const noexcept {
    constexpr Nanos kMost = 3600 * kSecond;  // [P] far from where virtual times overflow
    share.had += virtual_time(std::clamp<Nanos>(ran, 0, kMost), share.weight, kFullCapacity);
  }
  /// The strong one ran for so long while `tasks` were ready: it has the weight of as many, so that
  /// short tasks do not wait behind every long one twice. Up to a limit, which bounds how long a
  /// weak one waits.
  constexpr void charge_strong(unsigned class_index, Nanos ran, unsigned tasks) noexcept {
    Share& strong = classes_[class_index].strong;
    strong.weight = kNiceZero * std::clamp(tasks, 1u, kTasksMax);
    charge(strong, ran);
  }
  /// The strong one was demoted in the middle of a poll after it had run for so long: from now on a
  /// weak one, which has had that.
  constexpr void demoted(unsigned class_index, Share& share, Nanos ran) noexcept {
    share.had = classes_[class_index].floor;
    charge(share, ran);
  }
  /// It waited for something and is ready again.
  constexpr void woke(unsigned class_index, Share& share) noexcept {
    come_back(classes_[class_index], share);
  }
  /// Does the strong one, which is ready, go before this weak one?
  constexpr bool strong_before(unsigned class_index, const Share& weak) noexcept {
    Class& here = classes_[class_index];
    come_back(here, here.strong);
    if (here.strong.had > weak.had) return false;
    chosen(class_index, here.strong);
    return true;
  }
  /// It goes on: of those that are ready it has had least.
  constexpr void chosen(unsigned class_index, const Share& share) noexcept {
    Nanos& floor = classes_[class_index].floor;
    floor = std::max(floor, share.had);
  }
  /// Virtual times of two cores have nothing to do with each other: what goes with an executor
  /// that moves is its distance from the floor.
  constexpr void leaves(unsigned class_index, Share& share) const noexcept {
    share.had -= classes_[class_index].floor;
  }
  constexpr void arrives(unsigned class_index, Share& share) const noexcept {
    share.had += classes_[class_index].floor;
  }

 private:
  struct Class {
    Share strong;
    Nanos floor = 0;
  };

  constexpr void come_back(const Class& here, Share& share) const noexcept {
    share.had = std::max(share.had, here.floor - kSleeperQuanta * slice_);
  }

  Nanos slice_;
  std::array<Class, qos_count> classes_{};
};

}  // namespace paceline::core::policy
