// SPDX-License-Identifier: BSL-1.0
// Proves the graph between clusters: edges by profile, order of a visit, limits, bad machines.
#include "policy/edge_table.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline_test::Machine;

namespace {

constexpr Edge kClosed{0, kNoClass, kNoClass};
constexpr Edge kFree{0, kAllClasses, kAllClasses};
constexpr Edge kDown{64, kAllClasses, kAllClasses};

std::vector<unsigned> order_of(const EdgeTable& table, ClusterIndex from) {
  std::vector<unsigned> order;
  for (const Candidate& c : table.candidates(from)) order.push_back(c.cluster);
  return order;
}

}  // namespace

TEST_CASE("the raw table lets work down for 64 us and never up") {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(1, 4);
  for (const Profile profile : {Profile::xnu, Profile::efficiency}) {
    const EdgeTable table(machine.view(), profile);
    CHECK(table.edge(0, 0) == kClosed);
    CHECK(table.edge(0, 1) == kFree);
    CHECK(table.edge(1, 0) == kFree);
    CHECK(table.edge(0, 2) == kDown);
    CHECK(table.edge(2, 0) == kClosed);
    CHECK(table.edge(2, 1) == kClosed);
  }
  CHECK_FALSE(EdgeTable(machine.view(), Profile::xnu).slow_background());
  CHECK(EdgeTable(machine.view(), Profile::efficiency).slow_background());
}

TEST_CASE("performance and balanced let utility and above up for 64 us but not background") {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  for (const Profile profile : {Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    const Edge up = table.edge(1, 0);
    CHECK(up.weight == 64);
    for (const qos q :
         {qos::urgent, qos::user_interactive, qos::user_initiated, qos::standard, qos::utility}) {
      CHECK((up.migrate & class_bit(q)) != 0);
      CHECK((up.steal & class_bit(q)) != 0);
    }
    CHECK((up.migrate & class_bit(qos::background)) == 0);
    CHECK((up.steal & class_bit(qos::background)) == 0);
    CHECK(table.edge(0, 1) == kDown);
    CHECK(table.slow_background());
  }
}

TEST_CASE("with distances added each weight grows by what the move costs") {
  Machine machine;
  machine.add(0, 4, 0, 0).add(0, 4, 0, 0).add(0, 4, 1, 0).add(0, 4, 2, 1).add(1, 4, 0, 0);
  const EdgeTable table(machine.view(), Profile::xnu, Distance::added);
  CHECK(table.edge(0, 1).weight == 10);
  CHECK(table.edge(0, 2).weight == 100);
  CHECK(table.edge(0, 3).weight == 1000);
  CHECK(table.edge(0, 4).weight == 64 + 10);
  CHECK(table.edge(3, 4).weight == 64 + 1000);
}

TEST_CASE("statement 50: candidates of the same die are visited first, each group by number") {
  Machine machine;
  machine.add(0, 2, 0).add(1, 2, 0).add(0, 2, 1).add(0, 2, 0).add(1, 2, 1).add(0, 2, 1);
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(order_of(table, 0) == std::vector<unsigned>{3, 2, 5, 1, 4});
  CHECK(order_of(table, 5) == std::vector<unsigned>{2, 0, 3, 4, 1});
  CHECK(order_of(table, 1) == std::vector<unsigned>{4, 0, 3, 2, 5});
  CHECK(table.natives(0).size() == 3);
  CHECK(table.foreigners(0).size() == 2);
  for (const Candidate& c : table.candidates(0)) CHECK(c.native == (table.rank(c.cluster) == 0));
}

TEST_CASE(
    "every slower kind is open for 64 us a rank, every faster one where the profile says so") {
  Machine machine;
  machine.add(0, 2).add(2, 4).add(5, 2);  // ranks may have holes: these are three kinds
  const auto up = [](std::uint16_t weight) {
    return Edge{weight, classes_up_from(qos::utility), classes_up_from(qos::utility)};
  };
  for (const Profile profile :
       {Profile::xnu, Profile::efficiency, Profile::balanced, Profile::performance}) {
    const EdgeTable table(machine.view(), profile);
    const bool opens = profile == Profile::balanced || profile == Profile::performance;
    INFO(to_string(profile));
    CHECK(table.kinds() == 3);
    CHECK(table.rank(1) == 1);
    CHECK(table.rank(2) == 2);
    CHECK(table.edge(0, 1) == kDown);
    CHECK(table.edge(1, 2) == kDown);
    CHECK(table.edge(0, 2) == Edge{128, kAllClasses, kAllClasses});
    CHECK(table.edge(2, 1) == (opens ? up(64) : kClosed));
    CHECK(table.edge(1, 0) == (opens ? up(64) : kClosed));
    CHECK(table.edge(2, 0) == (opens ? up(128) : kClosed));
  }
}

TEST_CASE(
    "of foreign kinds on a die the nearest is visited first, the faster of two that are as near") {
  Machine machine;  // slow ones first, as many chips number them
  machine.add(3, 2).add(2, 2).add(1, 2).add(0, 2).add(1, 2, 1);
  const EdgeTable table(machine.view(), Profile::balanced);
  CHECK(order_of(table, 3) == std::vector<unsigned>{2, 1, 0, 4});
  CHECK(order_of(table, 2) == std::vector<unsigned>{4, 3, 1, 0});
  CHECK(order_of(table, 1) == std::vector<unsigned>{2, 0, 3, 4});
  CHECK(order_of(table, 0) == std::vector<unsigned>{1, 2, 3, 4});
}

TEST_CASE("kinds beyond the eighth count as the eighth") {
  Machine machine;
  for (std::uint16_t rank = 0; rank < 12; ++rank) machine.add(rank, 1);
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(table.kinds() == 8);
  CHECK(table.rank(6) == 6);
  CHECK(table.rank(7) == 7);
  CHECK(table.rank(11) == 7);
  CHECK(table.edge(7, 11) == kFree);
  CHECK(table.edge(6, 11) == kDown);
  CHECK(table.edge(0, 11).weight == 7 * 64);
}

TEST_CASE("the controller rewrites an edge in one direction only") {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  EdgeTable table(machine.view(), Profile::xnu);
  const Edge fresh{7, class_bit(qos::standard), class_bit(qos::background)};
  REQUIRE(table.set_edge(1, 0, fresh));
  CHECK(table.edge(1, 0) == fresh);
  CHECK(table.edge(0, 1) == kDown);
  REQUIRE(table.set_edge(0, 1, {1, 0xff, 0xff}));
  CHECK(table.edge(0, 1) == Edge{1, kAllClasses, kAllClasses});
}

TEST_CASE("edges out of range and to themselves allow nothing and cannot be set") {
  Machine machine;
  machine.add(0, 4).add(1, 4);
  EdgeTable table(machine.view(), Profile::xnu);
  CHECK(table.edge(0, 2) == kClosed);
  CHECK(table.edge(kNoCluster, 0) == kClosed);
  CHECK_FALSE(table.set_edge(0, 2, kFree));
  CHECK_FALSE(table.set_edge(kNoCluster, 0, kFree));
  CHECK_FALSE(table.set_edge(1, 1, kFree));
  CHECK(table.edge(0, 1) == kDown);
}

TEST_CASE("machines without cores or above the limits are refused with the reason") {
  const auto complaint = [](const Machine& machine) -> std::string {
    try {
      const EdgeTable table(machine.view(), Profile::xnu);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  Machine wide;
  for (std::size_t i = 0; i <= kMostClusters; ++i) wide.add(0, 1);
  Machine deep;
  for (int i = 0; i < 17; ++i) deep.add(0, 241);
  CHECK(complaint(Machine()).find("no core") != std::string::npos);
  CHECK(complaint(wide).find("257 clusters are more than 256") != std::string::npos);
  CHECK(complaint(deep).find("4097 cores are more than 4096") != std::string::npos);
}

TEST_CASE("machines whose clusters and cores contradict each other are refused") {
  const auto refused = [](const Machine& machine) {
    CHECK_THROWS_AS(EdgeTable(machine.view(), Profile::xnu), std::invalid_argument);
  };
  Machine sound;
  sound.add(0, 4).add(1, 4);
  CHECK_NOTHROW(EdgeTable(sound.view(), Profile::xnu));
  Machine machine = sound;
  machine.clusters()[0].count = 0;
  refused(machine);
  machine = sound;
  machine.clusters()[1].first = 5;
  refused(machine);
  machine = sound;
  machine.clusters()[1].count = 5;
  refused(machine);
  machine = sound;
  machine.clusters()[1].count = 3;
  refused(machine);
  machine = sound;
  machine.cores()[1].cluster = 9;
  refused(machine);
}

TEST_CASE("a machine of one core has a table without candidates") {
  Machine machine;
  machine.add(3, 1);
  const EdgeTable table(machine.view(), Profile::balanced);
  CHECK(table.clusters() == 1);
  CHECK(table.candidates(0).empty());
  CHECK(table.rank(0) == 0);
  CHECK(table.home() == 0);
  CHECK(table.known(17) == 0);
  CHECK(table.edge(0, 0) == kClosed);
}

TEST_CASE("the biggest machine has every other cluster once in every row") {
  Machine machine;
  for (std::uint16_t i = 0; i < kMostClusters; ++i)
    machine.add(i % 3, 16, static_cast<std::uint16_t>(i / 8), static_cast<std::uint16_t>(i / 64));
  const EdgeTable table(machine.view(), Profile::balanced, Distance::added);
  REQUIRE(table.clusters() == kMostClusters);
  for (std::size_t from = 0; from < kMostClusters; ++from) {
    std::vector<bool> seen(kMostClusters, false);
    seen[from] = true;
    for (const Candidate& c : table.candidates(static_cast<ClusterIndex>(from))) {
      REQUIRE_FALSE(seen[c.cluster]);
      seen[c.cluster] = true;
    }
    REQUIRE(table.candidates(static_cast<ClusterIndex>(from)).size() == kMostClusters - 1);
  }
}

TEST_CASE("work without a preference belongs to the first cluster of the fastest kind") {
  Machine lakefield;  // four slow cores, then the fast one
  lakefield.add(1, 4).add(0, 1);
  const EdgeTable table(lakefield.view(), Profile::xnu);
  CHECK(table.home() == 1);
  CHECK(table.known(kNoCluster) == 1);
  CHECK(table.known(0) == 0);
}

TEST_CASE("profiles and distances have names and values outside are balanced or invalid") {
  CHECK(to_string(Profile::xnu) == "xnu");
  CHECK(to_string(Profile::efficiency) == "efficiency");
  CHECK(to_string(Profile::balanced) == "balanced");
  CHECK(to_string(Profile::performance) == "performance");
  CHECK(to_string(static_cast<Profile>(9)) == "invalid");
  CHECK(to_string(Distance::ignored) == "ignored");
  CHECK(to_string(Distance::added) == "added");
  CHECK(to_string(static_cast<Distance>(9)) == "invalid");
  CHECK(rules_of(static_cast<Profile>(9)).faster == rules_of(Profile::balanced).faster);
}
