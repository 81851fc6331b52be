// SPDX-License-Identifier: BSL-1.0
// Proves placement: the cases of the reference, ties, bindings, shared resources, background, and
// machines on which nothing takes work.
#include "policy/place.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline_test::Loads;
using paceline_test::Machine;

namespace {

Machine p_and_e() {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  return machine;
}

PlaceVerdict place_on(const EdgeTable& table, const Loads& loads, PlaceAsk ask) {
  return place(table, ask, loads.view());
}

/// Places `count` tasks of a shared sort one after the other, none of which ends.
std::vector<unsigned> fill(const EdgeTable& table, Loads& loads, std::size_t clusters,
                           unsigned count, PlaceAsk ask) {
  std::vector<unsigned> tasks(clusters, 0);
  for (unsigned i = 0; i < count; ++i) {
    const PlaceVerdict verdict = place_on(table, loads, ask);
    CHECK(verdict.bound);
    ++tasks[verdict.where];
    ++loads[verdict.where].shared[ask.shared == SharedUse::native_first ? 1 : 0];
  }
  return tasks;
}

}  // namespace

TEST_CASE("statement 37: where nothing waits on the preferred cluster it is chosen") {
  const Machine machine = p_and_e();
  paceline::core::Rng rng(1);
  for (const Profile profile :
       {Profile::xnu, Profile::efficiency, Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    for (int i = 0; i < 200; ++i) {
      Loads loads(machine);
      const auto preferred = static_cast<ClusterIndex>(rng.below(2));
      loads.wait(1 - preferred, static_cast<std::uint32_t>(rng.below(500)));
      if (rng.below(4) == 0) loads[1 - preferred].recommended = false;
      const auto q = static_cast<qos>(1 + rng.below(4));
      const bool stir = rng.below(2) == 0;
      const PlaceVerdict verdict =
          place_on(table, loads, {.q = q, .preferred = preferred, .stir = stir});
      CHECK(verdict == PlaceVerdict{preferred, PlaceReason::preferred_idle, false});
    }
  }
}

TEST_CASE("statement 38: the cases of 3.4 choose their clusters") {
  struct Row {
    std::uint32_t e_waits;
    ClusterIndex chosen;
    PlaceReason reason;
  };
  const Machine machine = p_and_e();
  const EdgeTable table(machine.view(), Profile::xnu);
  for (const Row& row : {Row{100, 0, PlaceReason::preferred}, Row{80, 1, PlaceReason::less_loaded},
                         Row{0, 1, PlaceReason::idle}, Row{200, 0, PlaceReason::preferred}}) {
    Loads loads(machine);
    loads.wait(0, 150).wait(1, row.e_waits);
    CHECK(place_on(table, loads, {.preferred = 0}) == PlaceVerdict{row.chosen, row.reason, false});
  }
  Machine wide;
  wide.add(0, 4).add(0, 4).add(1, 4);
  const EdgeTable natives(wide.view(), Profile::xnu);
  Loads loads(wide);
  loads.wait(0, 150).wait(1, 150).wait(2, 200);
  CHECK(place_on(natives, loads, {.preferred = 0}).where == 0);
  loads.wait(1, 149).wait(2, 80);
  CHECK(place_on(natives, loads, {.preferred = 0}).where == 2);
  loads.wait(0, 0);
  CHECK(place_on(natives, loads, {.preferred = 0}).where == 0);
}

TEST_CASE("statement 39: a loaded E cluster never places on P where the edge forbids it") {
  const Machine machine = p_and_e();
  for (const Profile profile : {Profile::xnu, Profile::efficiency}) {
    const EdgeTable table(machine.view(), profile);
    for (const std::uint32_t e_waits : {1u, 64u, 1000u, 1'000'000u}) {
      Loads loads(machine);
      loads.wait(1, e_waits);
      CHECK(place_on(table, loads, {.preferred = 1}) ==
            PlaceVerdict{1, PlaceReason::preferred, false});
    }
  }
}

TEST_CASE("where the profile opens the way up, an overloaded E cluster places on P for 64 us") {
  const Machine machine = p_and_e();
  for (const Profile profile : {Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    Loads loads(machine);
    loads.wait(1, 150).wait(0, 87);
    CHECK(place_on(table, loads, {.preferred = 1}).where == 1);
    loads.wait(0, 86);
    CHECK(place_on(table, loads, {.preferred = 1}).where == 0);
    CHECK(place_on(table, loads, {.q = qos::utility, .preferred = 1}).where == 0);
    CHECK(place_on(table, loads, {.q = qos::background, .preferred = 1}).where == 1);
  }
}

TEST_CASE("background stays off fast clusters while a slow one takes work, whatever it prefers") {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 4);
  Loads loads(machine);
  loads.wait(2, 1'000'000);
  const PlaceAsk ask{.q = qos::background, .preferred = 0};
  for (const Profile profile : {Profile::efficiency, Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    loads[2].recommended = true;
    CHECK(place_on(table, loads, ask).where == 2);
    loads[2].recommended = false;
    CHECK(place_on(table, loads, ask).where == 0);
    CHECK(place_on(table, loads, {.q = qos::background, .preferred = 2}).where == 0);
  }
  loads[2].recommended = true;
  CHECK(place_on(EdgeTable(machine.view(), Profile::xnu), loads, ask).where == 0);
  // All cores alike: there is no slow cluster to keep to.
  Machine alike;
  alike.add(0, 4).add(0, 4);
  CHECK(place_on(EdgeTable(alike.view(), Profile::balanced), Loads(alike), ask).where == 0);
}

TEST_CASE("background takes any slow cluster, also without an edge, before a fast one") {
  Machine machine;
  machine.add(0, 4).add(1, 4).add(2, 4).add(3, 4);
  Loads loads(machine);
  loads[2].recommended = loads[3].recommended = false;
  // Upwards nothing is open to background in any profile.
  for (const Profile profile : {Profile::efficiency, Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    CHECK(place_on(table, loads, {.q = qos::background, .preferred = 3}) ==
          PlaceVerdict{1, PlaceReason::instead_any, false});
  }
  const EdgeTable table(machine.view(), Profile::balanced);
  CHECK(place_on(table, loads, {.q = qos::utility, .preferred = 3}) ==
        PlaceVerdict{1, PlaceReason::idle, false});
  loads[1].recommended = false;
  CHECK(place_on(table, loads, {.q = qos::utility, .preferred = 3}) ==
        PlaceVerdict{0, PlaceReason::idle, false});
  // Downwards it goes beyond the next kind, which takes no work.
  loads[1].recommended = loads[3].recommended = true;
  loads.wait(1, 1000);
  CHECK(place_on(table, loads, {.q = qos::standard, .preferred = 1}).where == 0);
  CHECK(place_on(table, loads, {.q = qos::background, .preferred = 1}) ==
        PlaceVerdict{3, PlaceReason::idle, false});
}

TEST_CASE("background that must share a resource by turns still keeps off fast clusters") {
  Machine machine;
  machine.add(0, 4).add(1, 4).add(1, 4);
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  const auto tasks = fill(table, loads, 3, 6,
                          {.q = qos::background, .preferred = 0, .shared = SharedUse::round_robin});
  CHECK(tasks == std::vector<unsigned>{0, 3, 3});
  // Also where the preferred cluster is the only slow one.
  const Machine small = p_and_e();
  Loads few(small);
  CHECK(fill(EdgeTable(small.view(), Profile::balanced), few, 2, 4,
             {.q = qos::background, .preferred = 1, .shared = SharedUse::round_robin}) ==
        std::vector<unsigned>{0, 4});
}

TEST_CASE("statement 50: of two candidates with equal gain the native one wins") {
  Machine machine;
  machine.add(0, 4).add(1, 4).add(0, 4);
  EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  loads.wait(0, 200).wait(1, 100).wait(2, 100);
  CHECK(place_on(table, loads, {.preferred = 0}).where == 2);
  // Of two natives with equal gain the first that is visited: the one on the same die.
  Machine dies;
  dies.add(0, 4, 0).add(0, 4, 1).add(0, 4, 0);
  const EdgeTable by_die(dies.view(), Profile::xnu);
  Loads far(dies);
  far.wait(0, 200).wait(1, 100).wait(2, 100);
  CHECK(place_on(by_die, far, {.preferred = 0}).where == 2);
  far.wait(1, 0).wait(2, 0);
  CHECK(place_on(by_die, far, {.preferred = 0}).where == 2);
}

TEST_CASE("an idle native is chosen before an idle cluster of another kind") {
  Machine machine;
  machine.add(1, 4).add(0, 4).add(0, 4);
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  loads.wait(1, 10);
  CHECK(place_on(table, loads, {.preferred = 1}) == PlaceVerdict{2, PlaceReason::idle, false});
}

TEST_CASE("statement 44: a bound task stays on its kind while its cluster takes no work") {
  Machine machine;
  machine.add(1, 4).add(0, 4).add(0, 4).add(0, 4);
  const EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  const PlaceAsk ask{.preferred = 0, .bound = 1};
  loads.wait(1, 9000).wait(2, 500).wait(3, 400);
  CHECK(place_on(table, loads, ask) == PlaceVerdict{1, PlaceReason::bound, false});
  loads[1].recommended = false;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{3, PlaceReason::bound_native, false});
  loads.wait(3, 500);
  CHECK(place_on(table, loads, ask) == PlaceVerdict{2, PlaceReason::bound_native, false});
  loads[1].recommended = true;
  CHECK(place_on(table, loads, ask).where == 1);
  // Without any cluster of the kind the binding gives way to the preference.
  for (const std::size_t c : {1, 2, 3}) loads[c].recommended = false;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{0, PlaceReason::preferred_idle, false});
}

TEST_CASE("urgent tasks go where they prefer, however long the queue") {
  const Machine machine = p_and_e();
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  loads.wait(0, 1'000'000);
  CHECK(place_on(table, loads, {.q = qos::urgent, .preferred = 0}) ==
        PlaceVerdict{0, PlaceReason::urgent, false});
  loads[0].recommended = false;
  CHECK(place_on(table, loads, {.q = qos::urgent, .preferred = 0}) ==
        PlaceVerdict{1, PlaceReason::instead_any, false});
}

TEST_CASE("background whose chosen cluster is gone goes to a slow one, and to a fast one at last") {
  // Loads that change between two looks: every answer is that of the moment.
  struct Fading {
    LoadView first, then;
    mutable unsigned looks = 0;
    unsigned change;
    const LoadView& now() const { return looks++ < change ? first : then; }
    bool recommended(ClusterIndex c) const { return now().recommended(c); }
    std::uint32_t workers(ClusterIndex c) const { return now().workers(c); }
    Load latency(ClusterIndex c, qos q) const { return now().latency(c, q); }
    Load shared(ClusterIndex c, SharedUse use) const { return now().shared(c, use); }
  };
  Machine machine;
  machine.add(0, 4).add(1, 4).add(1, 4);
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads before(machine);
  Loads after(machine);
  after[1].recommended = false;
  for (const bool slow_left : {true, false}) {
    after[2].recommended = slow_left;
    for (unsigned change = 0; change < 12; ++change) {
      const Fading loads{before.view(), after.view(), 0, change};
      const PlaceVerdict verdict =
          place(table, PlaceAsk{.q = qos::background, .preferred = 1}, loads);
      CHECK(verdict.reason != PlaceReason::nowhere);
      if (slow_left) CHECK(verdict.where != 0);
    }
  }
}

TEST_CASE("statement 46: of no more turn-taking tasks than clusters no cluster has two") {
  Machine machine;
  machine.add(0, 4).add(0, 2).add(1, 4).add(1, 1);
  for (const Profile profile : {Profile::xnu, Profile::balanced}) {
    const EdgeTable table(machine.view(), profile);
    for (ClusterIndex preferred = 0; preferred < 4; ++preferred) {
      const PlaceAsk ask{.preferred = preferred, .shared = SharedUse::round_robin};
      for (unsigned count = 1; count <= 12; ++count) {
        Loads loads(machine);
        for (const unsigned tasks : fill(table, loads, 4, count, ask)) {
          CHECK(tasks <= (count + 3) / 4);
          CHECK(tasks >= count / 4);
        }
      }
    }
  }
}

TEST_CASE("statement 46: native-first tasks fill the workers of their kind before any other") {
  for (const auto& [first, second] : {std::pair{4, 4}, std::pair{2, 4}, std::pair{6, 2}}) {
    Machine machine;
    machine.add(0, static_cast<std::uint16_t>(first)).add(0, static_cast<std::uint16_t>(second));
    machine.add(1, 4);
    const EdgeTable table(machine.view(), Profile::xnu);
    const PlaceAsk ask{.preferred = 0, .shared = SharedUse::native_first};
    const auto workers = static_cast<unsigned>(first + second);
    for (unsigned count = 1; count <= workers + 1; ++count) {
      Loads loads(machine);
      const auto tasks = fill(table, loads, 3, count, ask);
      CHECK(tasks[0] <= static_cast<unsigned>(first));
      CHECK(tasks[1] <= static_cast<unsigned>(second));
      CHECK(tasks[2] == count - std::min(count, workers));
    }
  }
}

TEST_CASE("a native-first task goes to the less loaded native, of equals to the preferred") {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 4);
  const EdgeTable table(machine.view(), Profile::xnu);
  const PlaceAsk ask{.preferred = 0, .shared = SharedUse::native_first};
  Loads loads(machine);
  loads[0].shared[1] = 2;
  loads[1].shared[1] = 1;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{1, PlaceReason::native_room, true});
  loads[1].shared[1] = 2;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{0, PlaceReason::native_room, true});
  // All workers of the kind are taken, and of all clusters the other kind's has fewest.
  loads[0].shared[1] = 5;
  loads[1].shared[1] = 4;
  loads[2].shared[1] = 3;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{2, PlaceReason::less_loaded, true});
  loads[2].shared[1] = 4;
  CHECK(place_on(table, loads, ask) == PlaceVerdict{1, PlaceReason::less_loaded, true});
}

TEST_CASE("statement 47: with both flags tasks take turns, and none may be stolen") {
  const Machine machine = p_and_e();
  const EdgeTable table(machine.view(), Profile::xnu);
  const PlaceAsk both{.preferred = 0, .shared = shared_use(true, true)};
  Loads loads(machine);
  CHECK(fill(table, loads, 2, 4, both) == std::vector<unsigned>{2, 2});
  Loads native(machine);
  CHECK(fill(table, native, 2, 4, {.preferred = 0, .shared = SharedUse::native_first}) ==
        std::vector<unsigned>{4, 0});
  CHECK_FALSE(place_on(table, loads, {.preferred = 0}).bound);
}

TEST_CASE("stirring rotates over the preferred kind by number, beginning with the preferred") {
  Machine machine;
  machine.add(0, 2).add(1, 4).add(0, 2).add(0, 2);
  const EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  loads.wait(0, 100).wait(2, 100).wait(3, 100);
  PlaceAsk ask{.preferred = 2, .stir = true};
  std::vector<unsigned> visited;
  for (int i = 0; i < 7; ++i) {
    const PlaceVerdict verdict = place_on(table, loads, ask);
    CHECK(verdict.reason == PlaceReason::stirred);
    ask.stirred = verdict.where;
    visited.push_back(verdict.where);
  }
  CHECK(visited == std::vector<unsigned>{2, 3, 0, 2, 3, 0, 2});
  loads[3].recommended = false;
  CHECK(place_on(table, loads, {.preferred = 2, .stir = true, .stirred = 2}).where == 0);
  // A remembered cluster of another kind, from before the preference changed, counts as none.
  CHECK(place_on(table, loads, {.preferred = 2, .stir = true, .stirred = 1}).where == 2);
  CHECK(place_on(table, loads, {.preferred = 2, .stir = true, .stirred = 77}).where == 2);
  // Turn-taking tasks do not stir.
  for (const std::size_t c : {0, 2, 3}) loads[c].shared[0] = 1;
  ask = {.preferred = 2, .shared = SharedUse::round_robin, .stir = true};
  CHECK(place_on(table, loads, ask) == PlaceVerdict{1, PlaceReason::idle, true});
}

TEST_CASE("a chosen cluster that takes no work is replaced by its kind, then by the lowest") {
  Machine machine;
  machine.add(1, 4).add(1, 4).add(0, 4).add(0, 4);
  EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  loads[2].recommended = false;
  CHECK(place_on(table, loads, {.q = qos::urgent, .preferred = 2}) ==
        PlaceVerdict{3, PlaceReason::instead_native, false});
  loads[3].workers = 0;
  loads[0].recommended = false;
  CHECK(place_on(table, loads, {.q = qos::urgent, .preferred = 2}) ==
        PlaceVerdict{1, PlaceReason::instead_any, false});
  loads[1].recommended = false;
  CHECK(place_on(table, loads, {.preferred = 2}) == PlaceVerdict{2, PlaceReason::nowhere, false});
  CHECK(place(table, PlaceAsk{.preferred = 2}, LoadView{}).reason == PlaceReason::nowhere);
}

TEST_CASE("a preference that does not exist is the first cluster of the fastest kind") {
  Machine machine;
  machine.add(1, 4).add(0, 1);
  const EdgeTable table(machine.view(), Profile::balanced);
  const Loads loads(machine);
  for (const ClusterIndex c : {ClusterIndex{2}, ClusterIndex{255}, kNoCluster})
    CHECK(place_on(table, loads, {.preferred = c, .bound = c}).where == 1);
}

TEST_CASE("one core gets everything, and with 256 clusters the only idle one is found") {
  Machine one;
  one.add(0, 1);
  Loads busy(one);
  busy.wait(0, 700);
  const EdgeTable alone(one.view(), Profile::balanced);
  for (const bool stir : {false, true})
    CHECK(place_on(alone, busy, {.q = qos::background, .preferred = 0, .stir = stir}).where == 0);

  Machine many;
  for (std::size_t i = 0; i < kMostClusters; ++i) many.add(0, 16);
  const EdgeTable table(many.view(), Profile::balanced);
  Loads loads(many);
  for (std::size_t i = 0; i < kMostClusters; ++i) loads.wait(i, 300);
  loads.wait(255, 0);
  CHECK(place_on(table, loads, {.preferred = 0}) == PlaceVerdict{255, PlaceReason::idle, false});
}

TEST_CASE("every placement names its reason in one word") {
  for (unsigned i = 0; i <= static_cast<unsigned>(PlaceReason::nowhere); ++i)
    CHECK(to_string(static_cast<PlaceReason>(i)) != "invalid");
  CHECK(to_string(PlaceReason::less_loaded) == "less_loaded");
  CHECK(to_string(static_cast<PlaceReason>(99)) == "invalid");
}
