// SPDX-License-Identifier: BSL-1.0
// Proves what lies between a class and the tasks of its groups: bits that are raised by wakes and
// lowered by sweeps, lanes that are made once, and the count of a group's tasks.
#include "task/lane.hpp"

#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/task/home.hpp"

using namespace paceline::core;
using paceline_test::Home;

namespace {

Slot& task_in(Home& home, unsigned group, Role role = Role::home, unsigned c = Home::kClass) {
  TaskCollection& collection = home.collection(c, group);
  Slot* slot = role == Role::home ? collection.allocate_home() : collection.allocate_shared(role);
  REQUIRE(slot != nullptr);
  slot->state.admit();
  return *slot;
}

}  // namespace

TEST_CASE(
    "a wake raises the group and its class, a sweep lowers the group, the last one the class") {
  Home home;
  constexpr unsigned kClass = Home::kClass;
  Slot& first = task_in(home, 1);
  Slot& last = task_in(home, 63, Role::shared);
  REQUIRE(home.port.classes == 0);
  notify_home(first);
  REQUIRE(home.port.task_groups[kClass] == bit(1));
  REQUIRE(home.port.classes == bit(kClass));
  notify(last);
  REQUIRE(home.port.task_groups[kClass] == (bit(1) | bit(63)));
  REQUIRE(has_ready(home.port, kClass));

  unsigned arrived = 0;
  Sweep none(home.collection());
  REQUIRE(none.next(arrived) == nullptr);
  REQUIRE(home.port.classes == bit(kClass));  // its groups have something
  for (const unsigned group : {1u, 63u}) {
    Sweep& sweep = lane_of(home.port, group).sweeps[kClass];
    REQUIRE(sweep.next(arrived) == (group == 1 ? &first : &last));
    REQUIRE(sweep.next(arrived) == nullptr);
    REQUIRE((home.port.task_groups[kClass] & bit(group)) == 0);
    REQUIRE(home.port.classes == bit(kClass));
  }
  REQUIRE(!has_ready(home.port, kClass));
  REQUIRE(none.next(arrived) == nullptr);
  REQUIRE(home.port.classes == 0);
}

TEST_CASE("tasks without a group never raise a group") {
  Home home;
  notify(home.task());
  notify_home(home.task());
  for (const auto& word : home.port.task_groups) REQUIRE(word == 0);
  REQUIRE(task_group_of(home.task()) == 0);
  REQUIRE(task_group_of(task_in(home, 7)) == 7);
}

TEST_CASE("each class of a group has its own bit") {
  Home home;
  for (unsigned c = 0; c < paceline::qos_count; ++c) {
    notify(task_in(home, 5, Role::home, c));
    REQUIRE(home.port.task_groups[c] == bit(5));
  }
  REQUIRE(home.port.classes == all_bits(paceline::qos_count));
  REQUIRE(home.port.task_groups[Port::kWeak] == 0);
}

TEST_CASE("a lane is made once, whoever asks first") {
  Home home;
  std::vector<Lane*> found(4);
  std::vector<std::thread> threads;
  for (Lane*& each : found) {
    threads.emplace_back([&home, &each] { each = lane_at(home.port, 9); });
  }
  for (std::thread& thread : threads) thread.join();
  for (Lane* each : found) REQUIRE(each == &lane_of(home.port, 9));
  unsigned lanes = 0;
  each_lane(home.port, [&](Lane&) { ++lanes; });
  REQUIRE(lanes == 1);
  unsigned collections = 0;
  each_collection(home.port, [&](TaskCollection&) { ++collections; });
  REQUIRE(collections == paceline::qos_count + 1 + paceline::qos_count);
}

TEST_CASE("a task that ends is counted in the lane of its home") {
  Home home;
  Slot& slot = task_in(home, 2);
  count_out(*Group::of(slot).home().collection);
  count_out(*Group::of(home.task()).home().collection);
  REQUIRE(lane_of(home.port, 2).ended == 1);
}

TEST_CASE("what a group's owner wishes fits into a word") {
  for (const TaskGroupWishes wishes :
       {TaskGroupWishes{1, 1, false}, TaskGroupWishes{~0u, 10'000, true}}) {
    const TaskGroupWishes back = TaskGroupWishes::of(wishes.word());
    CHECK(back.epoch == wishes.epoch);
    CHECK(back.shares == wishes.shares);
    CHECK(back.fair == wishes.fair);
  }
}

TEST_CASE("trimmed lanes keep their tasks and serve new ones") {
  Home home;
  std::vector<Slot*> slots;
  for (int i = 0; i < 5000; ++i) slots.push_back(&task_in(home, 3));
  Slot& stays = *slots.back();
  slots.pop_back();
  for (Slot* slot : slots) paceline_test::end_task(*slot, true);
  const std::size_t before = paceline_test::GroupMemory::discarded_bytes;
  each_collection(home.port, [](TaskCollection& collection) { collection.trim(); });
  REQUIRE(paceline_test::GroupMemory::discarded_bytes > before);
  notify(stays);
  unsigned arrived = 0;
  REQUIRE(lane_of(home.port, 3).sweeps[Home::kClass].next(arrived) == &stays);
  notify(task_in(home, 3));
  REQUIRE(has_ready(home.port, Home::kClass));
}
