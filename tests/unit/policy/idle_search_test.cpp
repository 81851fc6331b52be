// SPDX-License-Identifier: BSL-1.0
// Proves the order in which an idle worker searches, what it may take across kinds, and the limit
// on requests to rebalance.
#include "policy/idle_search.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline_test::Loads;
using paceline_test::Machine;

namespace {

using What = IdleWhat;
using Why = IdleReason;

std::vector<IdleVerdict> whole_search(const EdgeTable& table, ClusterIndex own, const Loads& loads,
                                      bool own_ready = false) {
  std::vector<IdleVerdict> all;
  IdleSearch search(table, own);
  do {
    all.push_back(search.next(loads.view(), own_ready));
  } while (all.back().what != What::park && all.size() < 1000);
  return all;
}

std::vector<std::uint32_t> targets_of(const EdgeTable& table, ClusterIndex own, std::uint32_t idle,
                                      const std::vector<RunningForeign>& running,
                                      const Loads& loads) {
  std::array<std::uint32_t, 16> targets{};
  const std::size_t count = rebalance_targets(table, own, idle, running, loads.view(), targets);
  return {targets.begin(), targets.begin() + static_cast<std::ptrdiff_t>(count)};
}

Machine two_of_each() {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 4).add(1, 4);
  return machine;
}

}  // namespace

TEST_CASE("an idle worker looks in the order of 3.6 and parks at the end") {
  const Machine machine = two_of_each();
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  loads.runnable(1, qos::standard, 6, true).runnable(3, qos::utility, 5, true);
  loads[2].foreign_queued = rank_bit(0);
  loads[3].foreign_running = rank_bit(0);
  const std::vector<IdleVerdict> expected{
      {What::own, 0, kAllClasses, Why::own_work},
      {What::take_foreign, 2, kAllClasses, Why::wants_this_kind},
      {What::steal, 1, class_bit(qos::standard), Why::native},
      {What::rebalance, 3, kNoClass, Why::wants_this_kind},
      {What::steal, 1, class_bit(qos::standard), Why::native},
      {What::steal, 3, class_bit(qos::utility), Why::overloaded},
      {What::park, 0, kNoClass, Why::nothing}};
  CHECK(whole_search(table, 0, loads, true) == expected);
}

TEST_CASE("a search that has come to its end stays there") {
  const Machine machine = two_of_each();
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  IdleSearch search(table, 0);
  CHECK(search.next(loads.view(), false).what == What::park);
  loads[2].foreign_queued = rank_bit(0);
  CHECK(search.next(loads.view(), true).what == What::park);
  CHECK(idle_search(table, 0, false, loads.view()).what == What::take_foreign);
}

TEST_CASE("statement 39: an idle P never steals from E where the edge forbids it") {
  const Machine machine = two_of_each();
  for (const Profile profile : {Profile::xnu, Profile::efficiency}) {
    const EdgeTable table(machine.view(), profile);
    Loads loads(machine);
    loads.runnable(2, qos::standard, 100, true).runnable(3, qos::user_interactive, 100, true);
    CHECK(whole_search(table, 0, loads).size() == 1);
    CHECK_FALSE(should_yield(table, 0, false, loads.view()));
  }
}

TEST_CASE("statement 40: queued work that prefers P is taken from E before any native steal") {
  const Machine machine = two_of_each();
  for (const Profile profile : {Profile::xnu, Profile::balanced}) {
    const EdgeTable table(machine.view(), profile);
    Loads loads(machine);
    loads.runnable(1, qos::user_interactive, 8, true);
    loads[2].foreign_queued = rank_bit(0);
    CHECK(idle_search(table, 0, false, loads.view()) ==
          IdleVerdict{What::take_foreign, 2, kAllClasses, Why::wants_this_kind});
    // A cluster that is to take no work is drained by others, not by thieves.
    loads[2].recommended = false;
    CHECK(idle_search(table, 0, false, loads.view()).what == What::steal);
  }
}

TEST_CASE("foreign work is taken only by the kind that it prefers") {
  Machine machine;
  machine.add(0, 4).add(1, 4).add(2, 4);
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  loads[2].foreign_queued = rank_bit(0);
  CHECK(idle_search(table, 0, false, loads.view()).where == 2);
  CHECK(idle_search(table, 1, false, loads.view()).what == What::park);
  loads[2].foreign_queued = 0;
  loads[2].foreign_running = rank_bit(1);
  CHECK(idle_search(table, 0, false, loads.view()).what == What::park);
  CHECK(idle_search(table, 1, false, loads.view()).what == What::rebalance);
}

TEST_CASE("statement 43: across kinds nothing is stolen while there are workers for all of it") {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  const EdgeTable table(machine.view(), Profile::xnu);
  // Four interactive tasks run and one standard task is queued.
  Loads wide(machine);
  wide.runnable(0, qos::user_interactive, 4, false).runnable(0, qos::standard, 1, true);
  CHECK(wide.view().depth(0, qos::user_interactive) == 4);
  CHECK(wide.view().depth(0, qos::standard) == 5);
  CHECK(idle_search(table, 1, false, wide.view()) ==
        IdleVerdict{What::steal, 0, class_bit(qos::standard), Why::overloaded});
  Loads narrow(machine);
  narrow.runnable(0, qos::user_interactive, 3, false).runnable(0, qos::standard, 1, true);
  CHECK(idle_search(table, 1, false, narrow.view()).what == What::park);
  // For every depth and number of workers: only above.
  for (std::uint32_t depth = 1; depth < 10; ++depth) {
    for (std::uint16_t workers = 0; workers < 10; ++workers) {
      Loads loads(machine);
      loads.runnable(0, qos::standard, depth, true)[0].workers = workers;
      CHECK((idle_search(table, 1, false, loads.view()).what == What::steal) == (depth > workers));
    }
  }
}

TEST_CASE("a thief of another kind takes the most important class that is too deep") {
  Machine machine;
  machine.add(0, 2).add(1, 2);
  const EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  loads.runnable(0, qos::user_interactive, 1, true).runnable(0, qos::standard, 1, true);
  loads.runnable(0, qos::utility, 3, true);
  CHECK(idle_search(table, 1, false, loads.view()).classes == class_bit(qos::utility));
  // All that is queued of utility is bound: nothing is left to take.
  loads[0].stealable = class_bit(qos::user_interactive) | class_bit(qos::standard);
  CHECK(idle_search(table, 1, false, loads.view()).what == What::park);
}

TEST_CASE("an idle P takes utility and above from an overloaded E, never background") {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  for (const Profile profile : {Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    Loads loads(machine);
    loads.runnable(1, qos::background, 9, true);
    CHECK(idle_search(table, 0, false, loads.view()).what == What::park);
    loads.runnable(1, qos::utility, 4, true);
    CHECK(idle_search(table, 0, false, loads.view()).what == What::park);
    loads.runnable(1, qos::utility, 1, true);
    CHECK(idle_search(table, 0, false, loads.view()).classes == class_bit(qos::utility));
  }
}

TEST_CASE("statement 47: shared tasks, which are queued as bound, are never stolen") {
  const Machine machine = two_of_each();
  const EdgeTable table(machine.view(), Profile::performance);
  Loads loads(machine);
  loads.runnable(1, qos::standard, 50, false).runnable(2, qos::standard, 50, false);
  loads[1].shared = {25, 25};
  for (ClusterIndex own = 0; own < 4; ++own) CHECK(whole_search(table, own, loads).size() == 1);
}

TEST_CASE("the yield test is true exactly when a search would find something") {
  const Machine machine = two_of_each();
  const EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  CHECK_FALSE(should_yield(table, 0, false, loads.view()));
  CHECK(should_yield(table, 0, true, loads.view()));
  loads[3].foreign_running = rank_bit(0);
  CHECK(should_yield(table, 0, false, loads.view()));
  CHECK_FALSE(should_yield(table, 2, false, loads.view()));
}

TEST_CASE("a worker whose cluster is to take no work finishes its own and parks") {
  const Machine machine = two_of_each();
  const EdgeTable table(machine.view(), Profile::balanced);
  Loads loads(machine);
  loads.runnable(1, qos::standard, 9, true)[0].recommended = false;
  CHECK(idle_search(table, 0, true, loads.view()).what == What::own);
  CHECK(idle_search(table, 0, false, loads.view()) ==
        IdleVerdict{What::park, 0, kNoClass, Why::not_recommended});
}

TEST_CASE("statement 42: no more requests are outstanding than workers idle") {
  Machine machine;
  machine.add(0, 8).add(1, 8);
  const EdgeTable table(machine.view(), Profile::xnu);
  const Loads loads(machine);
  for (std::uint32_t k = 0; k <= 8; ++k) {
    for (std::uint32_t m = 0; m <= 8; ++m) {
      for (std::uint32_t asked = 0; asked <= k; ++asked) {
        std::vector<RunningForeign> running;
        for (std::uint32_t i = 0; i < k; ++i)
          running.push_back({8 + i, 1, 0, SharedUse::none, i < asked});
        const std::size_t fresh = targets_of(table, 0, m, running, loads).size();
        CHECK((fresh == 0 || fresh + asked <= m));
        CHECK(fresh == (asked >= m ? 0 : std::min(k, m) - asked));
      }
    }
  }
}

TEST_CASE("requests go to the most important running tasks first, of equals to the first") {
  Machine machine;
  machine.add(0, 8).add(1, 8).add(2, 8);
  const EdgeTable table(machine.view(), Profile::xnu);
  const Loads loads(machine);
  const std::vector<RunningForeign> running{{8, 3, 0, SharedUse::none, false},
                                            {9, 7, 0, SharedUse::none, false},
                                            {10, 9, 1, SharedUse::none, false},
                                            {11, 7, 0, SharedUse::none, false},
                                            {12, 1, 0, SharedUse::none, false}};
  CHECK(targets_of(table, 0, 1, running, loads) == std::vector<std::uint32_t>{9});
  CHECK(targets_of(table, 0, 3, running, loads) == std::vector<std::uint32_t>{9, 11, 8});
  CHECK(targets_of(table, 0, 9, running, loads) == std::vector<std::uint32_t>{9, 11, 8, 12});
  CHECK(targets_of(table, 1, 9, running, loads) == std::vector<std::uint32_t>{10});
  CHECK(targets_of(table, 2, 9, running, loads).empty());
}

TEST_CASE("a running shared task is called only to a cluster that has none of its sort") {
  Machine machine;
  machine.add(0, 8).add(1, 8);
  const EdgeTable table(machine.view(), Profile::xnu);
  Loads loads(machine);
  const std::vector<RunningForeign> running{{8, 3, 0, SharedUse::round_robin, false},
                                            {9, 2, 0, SharedUse::native_first, false}};
  CHECK(targets_of(table, 0, 2, running, loads) == std::vector<std::uint32_t>{8, 9});
  loads[0].shared = {1, 0};
  CHECK(targets_of(table, 0, 2, running, loads) == std::vector<std::uint32_t>{9});
  loads[0].shared = {1, 1};
  CHECK(targets_of(table, 0, 2, running, loads).empty());
}

TEST_CASE("without room for targets none is written") {
  Machine machine;
  machine.add(0, 1).add(1, 1);
  const EdgeTable table(machine.view(), Profile::xnu);
  const Loads loads(machine);
  const std::array<RunningForeign, 1> running{{{1, 1, 0, SharedUse::none, false}}};
  CHECK(rebalance_targets(table, 0, 9, running, loads.view(), {}) == 0);
}

TEST_CASE("one core finds only its own work, and unknown clusters search as home does") {
  Machine one;
  one.add(0, 1);
  const EdgeTable alone(one.view(), Profile::balanced);
  const Loads loads(one);
  CHECK(whole_search(alone, 0, loads).size() == 1);
  CHECK(whole_search(alone, 0, loads, true).size() == 2);
  CHECK(whole_search(alone, kNoCluster, loads, true)[0].where == 0);
}

TEST_CASE("every verdict of a search names itself and its reason") {
  for (unsigned i = 0; i <= static_cast<unsigned>(What::park); ++i)
    CHECK(to_string(static_cast<What>(i)) != "invalid");
  for (unsigned i = 0; i <= static_cast<unsigned>(Why::not_recommended); ++i)
    CHECK(to_string(static_cast<Why>(i)) != "invalid");
  CHECK(to_string(What::take_foreign) == "take_foreign");
  CHECK(to_string(static_cast<What>(99)) == "invalid");
  CHECK(to_string(static_cast<Why>(99)) == "invalid");
}
