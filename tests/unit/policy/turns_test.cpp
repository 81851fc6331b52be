// SPDX-License-Identifier: BSL-1.0
// Proves the order of executors within a class: by weight, in turns, with a bounded wait.
#include "policy/turns.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr unsigned kClass = 3;
constexpr Nanos kSlice = 2 * kMillisecond;

/// Weak executors that are always ready, and no short tasks.
struct Hogs {
  Turns turns{kSlice};
  std::vector<Share> shares;
  std::vector<int> taken;

  explicit Hogs(const std::vector<int>& nice) : shares(nice.size()), taken(nice.size()) {
    for (std::size_t i = 0; i < nice.size(); ++i) {
      shares[i].weight = weight_of(nice[i]);
      turns.demoted(kClass, shares[i], kSlice);
    }
  }
  std::size_t next() {
    std::size_t least = 0;
    for (std::size_t i = 1; i < shares.size(); ++i) {
      if (shares[i].had < shares[least].had) least = i;
    }
    turns.chosen(kClass, shares[least]);
    turns.charge(shares[least], kSlice);
    ++taken[least];
    return least;
  }
};

}  // namespace

TEST_CASE("executors of equal weight take turns one after the other") {
  Hogs hogs({0, 0, 0, 0, 0});
  for (int i = 0; i < 500; ++i) hogs.next();
  for (const int taken : hogs.taken) REQUIRE(taken == 100);
}

TEST_CASE("shares follow the weights within one slice over a hundred rounds") {
  for (const std::vector<int>& nice :
       {std::vector{0, 1}, {0, 5}, {-5, 0, 5}, {19, 19, 19}, {-20, 19}, {0, 0, 0, 3}}) {
    Hogs hogs(nice);
    double weights = 0;
    double least = 1e9;
    for (const int each : nice) {
      weights += weight_of(each);
      least = std::min<double>(least, weight_of(each));
    }
    // A hundred slices for the one that has least.
    const int slices = static_cast<int>(100 * weights / least);
    for (int i = 0; i < slices; ++i) hogs.next();
    for (std::size_t i = 0; i < nice.size(); ++i) {
      const double due = 1.0 * slices * weight_of(nice[i]) / weights;
      INFO("nice " << nice[i] << ": " << hogs.taken[i] << " of " << slices << ", due " << due);
      // One slice of its own, and one of the slowest for the moment it began.
      REQUIRE(std::abs(hogs.taken[i] - due) <= 1 + weight_of(nice[i]) / least);
    }
  }
}

TEST_CASE("two tasks of nice 0 and 1 share their core 55.5 to 44.5") {
  Hogs hogs({0, 1});
  for (int i = 0; i < 10000; ++i) hogs.next();
  REQUIRE(hogs.taken[0] >= 5545);
  REQUIRE(hogs.taken[0] <= 5556);
}

TEST_CASE("the table of weights is the one the values come from, and holds outside its range") {
  REQUIRE(weight_of(0) == 1024);
  REQUIRE(weight_of(-20) == 88761);
  REQUIRE(weight_of(19) == 15);
  REQUIRE(weight_of(-1000) == 88761);
  REQUIRE(weight_of(1000) == 15);
  for (int nice = kLeastNice; nice < kMostNice; ++nice) {
    REQUIRE(weight_of(nice) > weight_of(nice + 1));
  }
}

TEST_CASE("whoever sleeps cannot save up more than the credit") {
  Hogs hogs({0, 0});
  Share sleeper;
  for (int i = 0; i < 1000; ++i) hogs.next();
  hogs.turns.woke(kClass, sleeper);
  int at_once = 0;
  while (sleeper.had < std::min(hogs.shares[0].had, hogs.shares[1].had)) {
    hogs.turns.charge(sleeper, kSlice);
    ++at_once;
  }
  REQUIRE(at_once >= 1);
  REQUIRE(at_once <= 4);
}

TEST_CASE("short tasks go first when they come back, and a stream of them starves nobody") {
  Hogs hogs({0, 0, 0});
  for (int i = 0; i < 100; ++i) hogs.next();
  const auto first = [&] {
    const Share* least = &hogs.shares[0];
    for (const Share& each : hogs.shares) {
      if (each.had < least->had) least = &each;
    }
    return hogs.turns.strong_before(kClass, *least);
  };
  REQUIRE(first());
  // From now on there are always some.
  int waited = 0;
  int longest = 0;
  for (int i = 0; i < 20000; ++i) {
    if (first()) {
      hogs.turns.charge_strong(kClass, kSlice / 10, 1000);
      longest = std::max(longest, ++waited);
    } else {
      hogs.next();
      waited = 0;
    }
  }
  for (const int taken : hogs.taken) REQUIRE(taken > 50);
  // The strong one weighs at most so many tasks, on top of a sleeper's credit.
  REQUIRE(longest <= static_cast<int>(Turns::kTasksMax) * 10 * 4);
}

TEST_CASE("a clock that stands still, goes back or jumps neither wraps nor starves") {
  Turns turns(kSlice);
  Share one;
  Share other;
  turns.charge(one, 0);
  turns.charge(one, -kSecond);
  REQUIRE(one.had == 0);
  one.weight = weight_of(19);
  turns.charge(one, kForever);
  const Nanos most = one.had;
  REQUIRE(most > 0);
  REQUIRE(most <= 3600 * kSecond * 1024 / 15);
  turns.charge(other, 1);
  turns.chosen(kClass, one);
  turns.woke(kClass, other);
  REQUIRE(other.had == one.had - 3 * kSlice);
}

TEST_CASE("an executor that moves takes its distance from the floor along") {
  Turns here(kSlice);
  Turns there(kSlice);
  Share ahead;
  ahead.had = 50 * kMillisecond;
  here.chosen(kClass, ahead);
  Share mine;
  mine.had = 53 * kMillisecond;
  here.leaves(kClass, mine);
  there.arrives(kClass, mine);
  REQUIRE(mine.had == 3 * kMillisecond);
}
