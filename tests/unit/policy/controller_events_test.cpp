// SPDX-License-Identifier: BSL-1.0
// Proves what follows from changes by the controller, and how wide work should be.
#include "policy/controller_events.hpp"

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline_test::Machine;

namespace {

/// P, P, E.
Machine machine_of_three() {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 6);
  return machine;
}

}  // namespace

TEST_CASE("statement 48: a new preference changes only marks unless told to migrate") {
  const Machine machine = machine_of_three();
  const EdgeTable table(machine.view(), Profile::xnu);
  for (ClusterIndex here = 0; here < 3; ++here) {
    for (ClusterIndex preferred = 0; preferred < 3; ++preferred) {
      const bool foreign = (here == 2) != (preferred == 2);
      CHECK(preference_changed(table, here, preferred, {}) ==
            PreferenceVerdict{QueuedAction::mark, foreign, false});
      const PreferenceVerdict all = preference_changed(
          table, here, preferred, {.migrate_running = true, .migrate_queued = true});
      CHECK(all.queued == (here == preferred ? QueuedAction::mark : QueuedAction::drain));
      CHECK(all.ask_rebalance == (here != preferred));
      CHECK(all.foreign == foreign);
    }
  }
}

TEST_CASE("the options of a new preference are independent of each other") {
  const Machine machine = machine_of_three();
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(preference_changed(table, 0, 2, {.migrate_running = true}) ==
        PreferenceVerdict{QueuedAction::mark, true, true});
  CHECK(preference_changed(table, 0, 2, {.migrate_queued = true}) ==
        PreferenceVerdict{QueuedAction::drain, true, false});
}

TEST_CASE("a cluster is drained when it stops taking work and searches once when it begins") {
  using Verdict = AvailabilityVerdict;
  CHECK(availability_changed({true, 4}, {false, 4}) == Verdict::drain);
  CHECK(availability_changed({true, 1}, {true, 0}) == Verdict::drain);
  CHECK(availability_changed({false, 4}, {true, 4}) == Verdict::search_once);
  CHECK(availability_changed({true, 0}, {true, 1}) == Verdict::search_once);
  CHECK(availability_changed({true, 4}, {true, 1}) == Verdict::nothing);
  CHECK(availability_changed({false, 4}, {true, 0}) == Verdict::nothing);
  CHECK(availability_changed({false, 0}, {false, 4}) == Verdict::nothing);
}

TEST_CASE("the recommended width is that of the fast cores, the slow ones, or all") {
  const Machine machine = machine_of_three();
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(recommended_width(table, qos::urgent, WidthOf::cores) == 8);
  CHECK(recommended_width(table, qos::background, WidthOf::cores) == 6);
  CHECK(recommended_width(table, qos::urgent, WidthOf::clusters) == 2);
  CHECK(recommended_width(table, qos::background, WidthOf::clusters) == 1);
  for (const qos q : {qos::user_interactive, qos::user_initiated, qos::standard, qos::utility}) {
    CHECK(recommended_width(table, q, WidthOf::cores) == 14);
    CHECK(recommended_width(table, q, WidthOf::clusters) == 3);
  }
}

TEST_CASE("on a machine of one kind every class may be as wide as the machine") {
  Machine machine;
  machine.add(0, 1);
  const EdgeTable table(machine.view(), Profile::xnu);
  for (const qos q : {qos::urgent, qos::standard, qos::background})
    CHECK(recommended_width(table, q, WidthOf::cores) == 1);
}

TEST_CASE("clusters that do not exist count as home when preferences change") {
  const Machine machine = machine_of_three();
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(preference_changed(table, 99, kNoCluster, {true, true}) ==
        PreferenceVerdict{QueuedAction::mark, false, false});
}

TEST_CASE("the verdicts on the controller's events have names of one word") {
  CHECK(to_string(QueuedAction::mark) == "mark");
  CHECK(to_string(QueuedAction::drain) == "drain");
  CHECK(to_string(static_cast<QueuedAction>(9)) == "invalid");
  CHECK(to_string(AvailabilityVerdict::nothing) == "nothing");
  CHECK(to_string(AvailabilityVerdict::drain) == "drain");
  CHECK(to_string(AvailabilityVerdict::search_once) == "search_once");
  CHECK(to_string(static_cast<AvailabilityVerdict>(9)) == "invalid");
}
