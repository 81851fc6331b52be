// SPDX-License-Identifier: BSL-1.0
// Proves what is asked of the system for worker threads: by kind of core, within what it accepts,
// and no more than three times if it refuses (statement 68).
#include <cerrno>
#include <thread>
#include <vector>

#include <sched.h>

#include "machine/machine.hpp"
#include "machine/thread_class.hpp"
#include "support/catch.hpp"

using namespace paceline;
using namespace paceline::core::machine;

namespace {

int calls = 0;
int verdict = 0;
int pretend(const ThreadClass&) noexcept {
  ++calls;
  return verdict;
}

void start(int error) {
  calls = 0;
  verdict = error;
}

}  // namespace

TEST_CASE("the fastest kind asks for clock, the slowest for patience, others for nothing") {
  const topology machine = topology::synthetic("2P+2M+2E");
  const auto fast = class_of_core(machine, 0);
  const auto middle = class_of_core(machine, 2);
  const auto slow = class_of_core(machine, 5);
  REQUIRE((fast && middle && slow));
  CHECK(fast->util_min == 614);
  CHECK(fast->util_max == 1024);
  CHECK_FALSE(fast->batch);
  CHECK(fast->apple == AppleClass::user_initiated);
  CHECK(*middle == ThreadClass{});
  CHECK(slow->util_min == 0);
  CHECK(slow->util_max == 410);
  CHECK(slow->batch);
  CHECK(slow->apple == AppleClass::utility);
}

TEST_CASE("workers of a machine of one kind ask for nothing") {
  CHECK_FALSE(class_of_core(topology::synthetic("2x20x2"), 7));
  CHECK_FALSE(class_of_core(topology::synthetic("1"), 0));
}

TEST_CASE("classes of tasks have the classes of macOS that its headers number") {
  CHECK(static_cast<unsigned>(apple_class_of(qos::urgent)) == 0x21);
  CHECK(static_cast<unsigned>(apple_class_of(qos::user_interactive)) == 0x21);
  CHECK(static_cast<unsigned>(apple_class_of(qos::user_initiated)) == 0x19);
  CHECK(static_cast<unsigned>(apple_class_of(qos::standard)) == 0x15);
  CHECK(static_cast<unsigned>(apple_class_of(qos::utility)) == 0x11);
  CHECK(static_cast<unsigned>(apple_class_of(qos::background)) == 0x09);
  CHECK(static_cast<unsigned>(apple_class_of(static_cast<qos>(77))) == 0);
}

TEST_CASE("statement 68: a system that refuses classes is asked three times and counted") {
  start(EOPNOTSUPP);
  ThreadClasses classes(&pretend);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(classes.ask({}));
  CHECK(calls == 3);
  CHECK(classes.refusals() == 3);
}

TEST_CASE("statement 68: threads that are refused at once ask three times in all") {
  start(EPERM);
  ThreadClasses classes(&pretend);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { static_cast<void>(classes.ask({})); });
  for (std::thread& thread : threads) thread.join();
  CHECK(calls == 3);
  CHECK(classes.refusals() == 3);
}

TEST_CASE("a system that agrees is asked for each thread, also after a refusal or two") {
  start(EPERM);
  ThreadClasses classes(&pretend);
  CHECK_FALSE(classes.ask({}));
  CHECK_FALSE(classes.ask({}));
  verdict = 0;
  for (int i = 0; i < 10; ++i) CHECK(classes.ask({}));
  CHECK(calls == 12);
  CHECK(classes.refusals() == 2);
}

TEST_CASE("the real system takes the slow kind's class, at least its policy, and gives it back") {
  std::thread([] {
    const int first = set_thread_class({.util_max = 400, .batch = true});
    // No clamps in this kernel, or no right to them: the policy is set all the same.
    CHECK((first == 0 || first == EOPNOTSUPP || first == EPERM || first == EINVAL));
    CHECK(::sched_getscheduler(0) == SCHED_BATCH);
    const int second = set_thread_class({});
    CHECK((second == 0 || second == EOPNOTSUPP || second == EPERM || second == EINVAL));
    CHECK(::sched_getscheduler(0) == SCHED_OTHER);
  }).join();
}
