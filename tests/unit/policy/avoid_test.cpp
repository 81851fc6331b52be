// SPDX-License-Identifier: BSL-1.0
// Proves when a running task should leave its worker, and when it then takes its turn elsewhere.
#include "policy/avoid.hpp"

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline_test::Loads;
using paceline_test::Machine;

namespace {

constexpr AvoidVerdict kStay{false, AvoidReason::settled};
constexpr AvoidVerdict leave(AvoidReason reason) { return {true, reason}; }

/// P, P, E, E.
Machine two_of_each() {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 4).add(1, 4);
  return machine;
}

struct World {
  Machine machine = two_of_each();
  EdgeTable table{machine.view(), Profile::balanced};
  Loads loads{machine};
  AvoidVerdict ask(AvoidAsk ask) const { return avoid(table, ask, loads.view()); }
};

}  // namespace

TEST_CASE("a pinned task stays whatever else is true") {
  const World world;
  CHECK(world.ask({.here = 2,
                   .preferred = 0,
                   .bound = 1,
                   .pinned = true,
                   .quantum_expired = true,
                   .rotating = true,
                   .steady_idle = true}) == AvoidVerdict{false, AvoidReason::pinned});
}

TEST_CASE("a core is given up for rotation only at the end of a quantum and for an idle one") {
  const World world;
  AvoidAsk ask{.here = 0, .preferred = 0};
  for (const bool expired : {false, true}) {
    for (const bool rotating : {false, true}) {
      for (const bool other : {false, true}) {
        ask.quantum_expired = expired;
        ask.rotating = rotating;
        ask.steady_idle = other;
        CHECK(world.ask(ask) ==
              (expired && rotating && other ? leave(AvoidReason::rotation) : kStay));
      }
    }
  }
}

TEST_CASE("statement 44: a bound task returns when its cluster takes work again") {
  World world;
  CHECK(world.ask({.here = 0, .preferred = 2, .bound = 0}) == kStay);
  CHECK(world.ask({.here = 1, .preferred = 2, .bound = 0}) == leave(AvoidReason::bound_elsewhere));
  world.loads[0].recommended = false;
  CHECK(world.ask({.here = 1, .preferred = 2, .bound = 0}) == kStay);
  CHECK(world.ask({.here = 0, .preferred = 2, .bound = 0}) == leave(AvoidReason::bound_elsewhere));
  CHECK(world.ask({.here = 2, .preferred = 2, .bound = 0}) == leave(AvoidReason::bound_elsewhere));
  // Nothing of that kind takes work: the binding says nothing more.
  world.loads[1].recommended = false;
  CHECK(world.ask({.here = 2, .preferred = 2, .bound = 0}) == kStay);
}

TEST_CASE("a task leaves a foreign kind while its own takes work, however busy that is") {
  World world;
  world.loads.wait(0, 900).wait(1, 900);
  CHECK(world.ask({.here = 2, .preferred = 0}) == leave(AvoidReason::off_kind));
  world.loads[0].recommended = false;
  CHECK(world.ask({.here = 2, .preferred = 0}) == leave(AvoidReason::off_kind));
  CHECK(world.ask({.here = 1, .preferred = 2}) == leave(AvoidReason::off_kind));
  world.loads[1].recommended = false;
  CHECK(world.ask({.here = 2, .preferred = 0}) == kStay);
}

TEST_CASE("on the right kind a task leaves only for a preferred cluster where nothing waits") {
  World world;
  CHECK(world.ask({.here = 1, .preferred = 0}) == leave(AvoidReason::preferred_idle));
  world.loads.wait(0, 1);
  CHECK(world.ask({.here = 1, .preferred = 0}) == kStay);
  world.loads.wait(0, 0);
  CHECK(world.ask({.here = 0, .preferred = 0}) == kStay);
}

TEST_CASE("a task leaves a cluster that is to take no work if another one takes some") {
  World world;
  world.loads.wait(1, 900).wait(0, 900);
  CHECK(world.ask({.here = 1, .preferred = 0}) == kStay);
  world.loads[1].recommended = false;
  CHECK(world.ask({.here = 1, .preferred = 0}) == leave(AvoidReason::not_recommended));
  CHECK(world.ask({.here = 1, .preferred = 0, .pinned = true}).leave == false);
  for (const std::size_t c : {0, 2, 3}) world.loads[c].recommended = false;
  CHECK(world.ask({.here = 1, .preferred = 0}) == kStay);
}

TEST_CASE("background does not wish itself to fast cores while a slow cluster takes work") {
  World world;
  CHECK(world.ask({.q = qos::background, .here = 2, .preferred = 0}) == kStay);
  CHECK(world.ask({.q = qos::background, .here = 0, .preferred = 0}) ==
        leave(AvoidReason::off_kind));
  world.loads[2].recommended = false;
  world.loads[3].recommended = false;
  CHECK(world.ask({.q = qos::background, .here = 0, .preferred = 0}) == kStay);
}

TEST_CASE("a turn-taking task leaves for any cluster with fewer of its sort, itself not counted") {
  World world;
  const AvoidAsk ask{.here = 0, .preferred = 0, .shared = SharedUse::round_robin};
  for (const std::size_t c : {0, 1, 2, 3}) world.loads[c].shared[0] = 1;
  CHECK(world.ask(ask) == kStay);
  world.loads[3].shared[0] = 0;
  CHECK(world.ask(ask) == kStay);
  world.loads[0].shared[0] = 2;
  CHECK(world.ask(ask) == leave(AvoidReason::shared_better));
  world.loads[3].recommended = false;
  CHECK(world.ask(ask) == kStay);
  // Off its kind it counts itself, so that an equal cluster without it is better.
  CHECK(world.ask({.here = 2, .preferred = 0, .shared = SharedUse::round_robin}) == kStay);
  world.loads[1].shared[0] = 0;
  CHECK(world.ask({.here = 2, .preferred = 0, .shared = SharedUse::round_robin}) ==
        leave(AvoidReason::shared_better));
}

TEST_CASE("a native-first task leaves another kind at once and else only for a native") {
  World world;
  CHECK(world.ask({.here = 2, .preferred = 0, .shared = SharedUse::native_first}) ==
        leave(AvoidReason::shared_off_kind));
  const AvoidAsk ask{.here = 0, .preferred = 0, .shared = SharedUse::native_first};
  world.loads[0].shared[1] = 3;
  world.loads[1].shared[1] = 2;
  CHECK(world.ask(ask) == kStay);
  world.loads[1].shared[1] = 1;
  CHECK(world.ask(ask) == leave(AvoidReason::shared_better));
}

TEST_CASE("stirring takes a task off its kind at the end of a quantum and no urgent one") {
  const AvoidVerdict off = leave(AvoidReason::off_kind);
  CHECK(stir({.quantum_expired = true}, off));
  CHECK(stir({.quantum_expired = true}, leave(AvoidReason::shared_off_kind)));
  CHECK_FALSE(stir({.quantum_expired = false}, off));
  CHECK_FALSE(stir({.q = qos::urgent, .quantum_expired = true}, off));
  CHECK_FALSE(stir({.quantum_expired = true}, kStay));
  for (const AvoidReason reason : {AvoidReason::rotation, AvoidReason::bound_elsewhere,
                                   AvoidReason::shared_better, AvoidReason::preferred_idle})
    CHECK_FALSE(stir({.quantum_expired = true}, leave(reason)));
}

TEST_CASE("one core and clusters that do not exist give no reason to leave") {
  Machine one;
  one.add(0, 1);
  const EdgeTable alone(one.view(), Profile::balanced);
  const Loads loads(one);
  for (const SharedUse use : {SharedUse::none, SharedUse::round_robin, SharedUse::native_first}) {
    CHECK(avoid(alone, {.here = 0, .preferred = 7, .bound = 7, .shared = use}, loads.view()) ==
          kStay);
    CHECK(avoid(alone, {.here = 99, .shared = use}, loads.view()) == kStay);
  }
  CHECK(avoid(alone, {.here = 0}, LoadView{}) == kStay);
}

TEST_CASE("every avoid test names its reason in one word") {
  for (unsigned i = 0; i <= static_cast<unsigned>(AvoidReason::preferred_idle); ++i)
    CHECK(to_string(static_cast<AvoidReason>(i)) != "invalid");
  CHECK(to_string(AvoidReason::off_kind) == "off_kind");
  CHECK(to_string(static_cast<AvoidReason>(99)) == "invalid");
}
