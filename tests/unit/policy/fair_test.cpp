// SPDX-License-Identifier: BSL-1.0
// Proves fair shares: weights, virtual time on cores of all speeds, moves between them, and the
// article's timeline of two big and two little cores, cell by cell.
#include "policy/fair.hpp"

#include <cmath>
#include <map>
#include <vector>

#include "base/rng.hpp"
#include "sim/worlds/cfs_world.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

constexpr Nanos kMs = kMillisecond;

/// A queue with its memory.
struct Core {
  std::vector<FairEntry> memory;
  FairQueue queue;

  explicit Core(unsigned entries, std::uint32_t capacity = kFullCapacity, Nanos credit = 0)
      : memory(entries), queue(memory, capacity, credit) {}

  unsigned run(Nanos ran) {
    const unsigned entry = queue.pick();
    queue.charge(entry, ran);
    return entry;
  }
};

/// How many slices each of the tasks is ahead of its share, after so many slices in all.
std::vector<double> leads_after(const std::vector<int>& mix, std::size_t slices) {
  Core core(static_cast<unsigned>(mix.size()));
  double weights = 0;
  for (unsigned i = 0; i < mix.size(); ++i) {
    core.queue.add_new(i, weight_of(mix[i]));
    weights += weight_of(mix[i]);
  }
  std::vector<double> leads(mix.size());
  for (std::size_t i = 0; i < slices; ++i) leads[core.run(5 * kMs)] += 1;
  for (unsigned i = 0; i < mix.size(); ++i) {
    leads[i] -= static_cast<double>(slices) * weight_of(mix[i]) / weights;
  }
  return leads;
}

}  // namespace

TEST_CASE("nice values give the kernel's weights and others count as the nearest") {
  CHECK(weight_of(0) == 1024);
  CHECK(weight_of(-20) == 88761);
  CHECK(weight_of(19) == 15);
  CHECK(weight_of(1) == 820);
  CHECK(weight_of(-1000) == 88761);
  CHECK(weight_of(1000) == 15);
  for (int nice = -20; nice < 19; ++nice) {
    const double ratio = double(weight_of(nice)) / double(weight_of(nice + 1));
    CHECK(std::abs(ratio - 1.25) < 0.08);
  }
}

TEST_CASE("virtual time grows by weight and by how slow the core is") {
  CHECK(virtual_time(1000, 1024, 1024) == 1000);
  CHECK(virtual_time(1000, 1024, 512) == 2000);
  CHECK(virtual_time(1000, 2048, 1024) == 500);
  CHECK(virtual_time(1000, 15, 1024) == 1000 * 1024 / 15);
  CHECK(virtual_time(-5, 1024, 1024) == 0);
  CHECK(virtual_time(1, 88761, 1024) == 1);  // never free
  CHECK(virtual_time(1000, 0, 0) == Nanos{1000} * 1024 * 1024);
  CHECK(virtual_time(1000, 1024, 5000) == 1000);
  CHECK(virtual_time(kForever, 15, 1) == kForever);
  CHECK(virtual_time(kForever, 88761, 1024) > kForever / 100);
}

TEST_CASE("statement 61: tasks get shares by weight, within a slice, after a hundred rounds") {
  const std::vector<std::vector<int>> mixes{{0, 0}, {0, 1}, {-5, 0, 5}, {0, 0, 0, 0, 0}, {-20, 19}};
  for (const auto& mix : mixes) {
    for (const double lead : leads_after(mix, 100 * mix.size())) CHECK(std::abs(lead) <= 1.0);
  }
}

// Who has the least virtual time is not ahead, so after its slice it is ahead by less than that.
// A heavy task may be behind by what all the others are ahead.
TEST_CASE("no task is ever a slice ahead of its share, nor behind by a slice for each other one") {
  Rng rng(61);
  for (int i = 0; i < 300; ++i) {
    std::vector<int> mix(2 + rng.below(6));
    for (int& nice : mix) nice = static_cast<int>(rng.below(40)) - 20;
    for (const double lead : leads_after(mix, 1 + rng.below(1000))) {
      CHECK(lead <= 1.001);
      CHECK(lead >= -1.001 * static_cast<double>(mix.size() - 1));
    }
  }
}

TEST_CASE("nice 0 and 1 share a core 55.5 to 44.5") {
  Core core(2);
  core.queue.add_new(0, weight_of(0));
  core.queue.add_new(1, weight_of(1));
  double first = 0;
  for (int i = 0; i < 100'000; ++i) first += core.run(kMs) == 0 ? 1 : 0;
  CHECK(std::abs(first / 1000 - 55.5) < 0.05);
}

TEST_CASE("equal tasks take turns in the order in which they came") {
  Core core(5);
  for (const unsigned e : {3u, 1u, 4u, 0u}) core.queue.add_new(e, kNiceZero);
  for (int round = 0; round < 10; ++round) {
    for (const unsigned e : {3u, 1u, 4u, 0u}) CHECK(core.run(kMs) == e);
  }
}

TEST_CASE("a new task comes at the least time of its queue, a sleeper a credit behind at most") {
  Core core(4, kFullCapacity, 3 * kMs);
  core.queue.add_new(0, kNiceZero);
  for (int i = 0; i < 10; ++i) core.run(kMs);
  core.queue.add_new(1, kNiceZero);
  CHECK(core.queue.v(1) == 10 * kMs);
  CHECK(core.queue.remove(1));
  for (int i = 0; i < 10; ++i) core.run(kMs);
  CHECK(core.queue.add_woken(1));
  CHECK(core.queue.v(1) == 17 * kMs);  // 20 less the credit
  CHECK(core.queue.remove(1));
  CHECK(core.queue.add_woken(1));  // a short sleep gains nothing
  CHECK(core.queue.v(1) == 17 * kMs);
}

TEST_CASE("the least time of a queue never goes back") {
  Rng rng(5);
  Core core(16, 700, 5 * kMs);
  Nanos last = 0;
  for (int i = 0; i < 50'000; ++i) {
    const auto entry = static_cast<unsigned>(rng.below(16));
    switch (rng.below(4)) {
      case 0: core.queue.add_new(entry, weight_of(static_cast<int>(rng.below(40)) - 20)); break;
      case 1: core.queue.add_woken(entry); break;
      case 2: core.queue.remove(entry); break;
      default: core.run(static_cast<Nanos>(rng.below(10'000'000)));
    }
    CHECK(core.queue.min_v() >= last);
    last = core.queue.min_v();
  }
}

TEST_CASE("the order of the queue agrees with a plain search over random steps") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    Core core(20);
    std::map<unsigned, std::pair<Nanos, int>> all;  // entry -> v, turn
    int turn = 0;
    for (int step = 0; step < 300; ++step) {
      const auto entry = static_cast<unsigned>(rng.below(20));
      if (rng.below(3) == 0) {
        const auto v = static_cast<Nanos>(rng.below(20));
        if (core.queue.add_moved(entry, kNiceZero, v)) all[entry] = {v, ++turn};
      } else if (rng.below(3) == 0) {
        CHECK(core.queue.remove(entry) == (all.erase(entry) == 1));
      } else if (all.count(entry) == 1) {
        const auto ran = static_cast<Nanos>(rng.below(4));
        core.queue.charge(entry, ran);
        all[entry] = {all[entry].first + ran, ++turn};
      }
      unsigned least = kNoEntry;
      unsigned most = kNoEntry;
      for (const auto& [e, key] : all) {
        if (least == kNoEntry || key < all[least]) least = e;
        if (most == kNoEntry || all[most] < key) most = e;
      }
      REQUIRE(core.queue.pick() == least);
      REQUIRE(core.queue.last() == most);
      REQUIRE(core.queue.count() == all.size());
    }
  }
}

TEST_CASE("statement 62: the timeline of two big and two little cores is reproduced in each mode") {
  using paceline_sim::CfsWorld;
  for (const Rescale mode : {Rescale::none, Rescale::approximate, Rescale::exact}) {
    INFO("mode " << static_cast<int>(mode));
    const CfsWorld::Result result = CfsWorld::run(mode);
    const std::vector<CfsWorld::Row> published = CfsWorld::published(mode);
    REQUIRE(published.size() == 6);
    CHECK(result.rows == published);
    CHECK(result.moved_early == 0);
    CHECK(result.moved == 2);
    CHECK(result.little == 30);  // what the little core has seen; the figures begin at 0
  }
}

TEST_CASE("statement 63: a move between capacities preserves the lag in scaled time") {
  Rng rng(63);
  for (int i = 0; i < 100'000; ++i) {
    const FairSide from{static_cast<Nanos>(rng.below(1u << 30)),
                        static_cast<std::uint32_t>(rng.below(1024)) + 1};
    const FairSide to{static_cast<Nanos>(rng.below(1u << 30)),
                      static_cast<std::uint32_t>(rng.below(1024)) + 1};
    const auto lag = static_cast<Nanos>(rng.below(100 * 1'000'000));
    const Nanos v = moved_v(Rescale::exact, from.min_v + lag, from, to, 15 * kMs);
    const double here = double(lag) * from.capacity;
    const double there = double(v - to.min_v) * to.capacity;
    CHECK(std::abs(here - there) <= to.capacity);
    CHECK(v >= to.min_v);
  }
}

TEST_CASE("statement 63: a task that moves back and forth neither starves nor monopolises") {
  for (const Rescale mode : {Rescale::exact}) {
    Core big(4, 1024, 15 * kMs);
    Core little(4, 400, 15 * kMs);
    // Both cores have been at work for different times.
    big.queue.add_new(0, kNiceZero);
    big.queue.add_new(1, kNiceZero);
    little.queue.add_new(0, kNiceZero);
    for (int i = 0; i < 1000; ++i) big.run(5 * kMs);
    for (int i = 0; i < 100; ++i) little.run(5 * kMs);
    Core* at = &big;
    Core* other = &little;
    at->queue.add_new(3, kNiceZero);
    double ran = 0;
    double due = 0;
    for (int move = 0; move < 500; ++move) {
      for (int i = 0; i < 6; ++i) {
        due += 1.0 / at->queue.count();
        ran += at->run(5 * kMs) == 3 ? 1 : 0;
      }
      const Nanos v =
          moved_v(mode, at->queue.v(3), at->queue.side(), other->queue.side(), 15 * kMs);
      at->queue.remove(3);
      REQUIRE(other->queue.add_moved(3, kNiceZero, v));
      std::swap(at, other);
    }
    CHECK(std::abs(ran / due - 1) < 0.15);
  }
}

TEST_CASE("a credit is not multiplied by moving to a slower core") {
  const FairSide fast{1000 * kMs, 1024};
  const FairSide slow{5000 * kMs, 128};
  CHECK(moved_v(Rescale::exact, 985 * kMs, fast, slow, 15 * kMs) == 4985 * kMs);
  CHECK(moved_v(Rescale::exact, 0, fast, slow, 15 * kMs) == 4985 * kMs);
  CHECK(moved_v(Rescale::exact, 985 * kMs, fast, slow, -1) == 5000 * kMs);
}

TEST_CASE("a task is behind when its lead is four slices or more") {
  CHECK_FALSE(falls_behind(20, 5, 5));
  CHECK(falls_behind(30, 5, 5));
  CHECK(falls_behind(30, 10, 5));
  CHECK_FALSE(falls_behind(0, kForever, 5));
  CHECK_FALSE(falls_behind(5, 4, kForever));
}

TEST_CASE("entries that are out of range or there already are refused") {
  Core core(2);
  CHECK(core.queue.pick() == kNoEntry);
  CHECK(core.queue.last() == kNoEntry);
  CHECK(core.queue.add_new(0, 0));
  CHECK_FALSE(core.queue.add_new(0, kNiceZero));
  CHECK_FALSE(core.queue.add_woken(0));
  CHECK_FALSE(core.queue.add_new(2, kNiceZero));
  CHECK_FALSE(core.queue.remove(1));
  CHECK_FALSE(core.queue.remove(~0u));
  core.queue.charge(~0u, kMs);
  CHECK(core.queue.v(~0u) == 0);
  Core none(0);
  CHECK_FALSE(none.queue.add_new(0, kNiceZero));
}

TEST_CASE("times that go back cost nothing and the greatest ones overflow nothing") {
  Core core(2, 1, kForever);
  core.queue.add_new(0, kIdleWeight);
  core.queue.add_new(1, kIdleWeight);
  core.queue.charge(0, -kForever);
  CHECK(core.queue.v(0) == 0);
  for (int i = 0; i < 4; ++i) core.run(kForever);
  CHECK(core.queue.v(0) == kForever);
  CHECK(core.queue.v(1) == kForever);
  CHECK(core.queue.min_v() == kForever);
  core.queue.remove(0);
  CHECK(core.queue.add_woken(0));
  CHECK(moved_v(Rescale::exact, kForever, {-kForever, 1024}, {kForever, 1}, 0) == kForever);
  CHECK(moved_v(Rescale::approximate, kForever, {0, 1024}, {0, 1}, 0) == kForever);
}
