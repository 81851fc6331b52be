// SPDX-License-Identifier: BSL-1.0
// Proves what the simulated machine's prices rest on: who pays for a cache line and who waits for
// it, and that the thread furthest behind goes on first.
#include <algorithm>
#include <map>
#include <tuple>

#include "base/atomic.hpp"
#include "base/rng.hpp"
#include "sim/machine/agenda.hpp"
#include "sim/machine/lines.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::simulation;

namespace {

constexpr Prices kPrices{.access = 1, .rmw = 5, .miss = 100};

struct alignas(kCacheLine) Line {
  char bytes[kCacheLine];
};

Nanos access(Lines& lines, std::size_t core, const void* address, Access access, Nanos now) {
  return lines.access(lines.line_of(address), core, access, now);
}

}  // namespace

TEST_CASE("a core pays for a line once, and then for its accesses only") {
  Lines lines(kPrices);
  const Line line{};
  REQUIRE(access(lines, 0, &line, Access::load, 1000) == 1101);
  REQUIRE(access(lines, 0, &line, Access::load, 2000) == 2001);
  // It read what nobody else had, so it may write as well.
  REQUIRE(access(lines, 0, &line.bytes[63], Access::store, 3000) == 3001);
  REQUIRE(access(lines, 0, &line, Access::rmw, 4000) == 4005);
}

TEST_CASE("neighbours in a line pay for each other and those in two lines do not") {
  Lines lines(kPrices);
  const Line pair[2] = {};
  access(lines, 0, &pair[0].bytes[0], Access::store, 0);
  REQUIRE(access(lines, 1, &pair[0].bytes[8], Access::store, 1000) == 1101);
  REQUIRE(access(lines, 0, &pair[0].bytes[0], Access::store, 2000) == 2101);
  access(lines, 1, &pair[1].bytes[0], Access::store, 3000);
  REQUIRE(access(lines, 0, &pair[0].bytes[0], Access::store, 4000) == 4001);
}

TEST_CASE("those who write a line at one time get it one after the other") {
  Lines lines(kPrices);
  const Line line{};
  REQUIRE(access(lines, 0, &line, Access::rmw, 1000) == 1105);
  REQUIRE(access(lines, 1, &line, Access::rmw, 1000) == 1205);
  REQUIRE(access(lines, 2, &line, Access::rmw, 1000) == 1305);
  const Tally tally = lines.take_tally();
  REQUIRE(tally.waited == 100 + 200);
  REQUIRE(tally.lines.at(0).held == 300);
  REQUIRE(tally.lines.at(0).writers == 3);
}

TEST_CASE("readers wait for who writes and not for each other") {
  Lines lines(kPrices);
  const Line line{};
  access(lines, 0, &line, Access::store, 0);
  // The first takes it from the writer, the others meanwhile from there.
  REQUIRE(access(lines, 1, &line, Access::load, 1000) == 1101);
  REQUIRE(access(lines, 2, &line, Access::load, 1100) == 1201);
  REQUIRE(access(lines, 3, &line, Access::load, 1100) == 1201);
  // All have it now; who writes takes it from all.
  REQUIRE(access(lines, 1, &line, Access::load, 2000) == 2001);
  REQUIRE(access(lines, 0, &line, Access::store, 2000) == 2101);
  REQUIRE(access(lines, 1, &line, Access::load, 3000) == 3101);
}

TEST_CASE("a tally names the line that was held longest and forgets what it told") {
  Lines lines(kPrices);
  const Line busy{};
  const Line quiet{};
  for (Nanos now = 0; now < 10'000; now += 1000) {
    access(lines, static_cast<std::size_t>(now / 1000) % 2, &busy, Access::rmw, now);
    access(lines, 0, &quiet, Access::rmw, now);
  }
  const Tally tally = lines.take_tally();
  REQUIRE(tally.accesses == 20);
  REQUIRE(tally.misses == 11);
  REQUIRE(tally.lines.size() == 2);
  REQUIRE(tally.lines[0].address == reinterpret_cast<std::uintptr_t>(&busy));
  REQUIRE(tally.lines[0].held == 1000);
  access(lines, 0, &quiet, Access::rmw, 20'000);
  const Tally next = lines.take_tally();
  REQUIRE(next.accesses == 1);
  REQUIRE(next.lines.empty());
}

TEST_CASE("an agenda gives the earliest, and of equals the one with the least lot") {
  Agenda agenda;
  REQUIRE(agenda.earliest() == kForever);
  Rng rng(7);
  std::map<std::size_t, std::tuple<Nanos, std::uint64_t>> expected;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t who = rng.below(300);
    if (rng.below(3) == 0) {
      agenda.strike(who);
      expected.erase(who);
    } else {
      const auto at = static_cast<Nanos>(rng.below(50));
      const std::uint64_t lot = rng.next();
      agenda.put(who, at, lot);
      expected[who] = {at, lot};
    }
    const auto first = std::min_element(expected.begin(), expected.end(),
                                        [](auto& a, auto& b) { return a.second < b.second; });
    if (first == expected.end()) {
      REQUIRE(agenda.earliest() == kForever);
      continue;
    }
    REQUIRE(agenda.earliest() == std::get<0>(first->second));
    REQUIRE(agenda.first() == first->first);
  }
}
