// SPDX-License-Identifier: BSL-1.0
// Proves when a claimed task may go on: only if what it waits for has come, its awaiter says so, or
// it was asked to stop and could withdraw (include/paceline/detail/suspension.hpp, I1).
#include <paceline/detail/suspension.hpp>

#include "exec/poll.hpp"
#include "support/catch.hpp"

using namespace paceline::core;
using paceline::detail::Suspension;
using paceline::detail::SuspensionOps;

namespace {

/// An awaiter whose answers the test gives, and that counts the questions.
struct Scripted : Suspension {
  explicit Scripted(const SuspensionOps& kind) : Suspension(kind) {}
  bool polls_true = false;
  bool withdraws = false;
  int polled = 0;
  int cancelled = 0;
};

bool poll_it(Suspension& where) noexcept {
  auto& self = static_cast<Scripted&>(where);
  ++self.polled;
  return self.polls_true;
}
bool cancel_it(Suspension& where) noexcept {
  auto& self = static_cast<Scripted&>(where);
  ++self.cancelled;
  return self.withdraws;
}

constexpr SuspensionOps kExact{"exact", nullptr, nullptr};
constexpr SuspensionOps kExactCancellable{"exact, cancellable", nullptr, &cancel_it};
constexpr SuspensionOps kByWaker{"by waker", &poll_it, nullptr};
constexpr SuspensionOps kByWakerCancellable{"by waker, cancellable", &poll_it, &cancel_it};

/// may_resume, and whether it asked for the stop flag.
struct Answer {
  bool resume;
  bool asked_stop;
};
Answer ask(Slot& slot, bool stop) {
  Answer answer{false, false};
  answer.resume = may_resume(slot, [&] {
    answer.asked_stop = true;
    return stop;
  });
  return answer;
}

}  // namespace

TEST_CASE("a task that waits for nothing may always go on") {
  Slot slot;
  for (const bool stop : {false, true}) {
    REQUIRE(ask(slot, stop).resume);
    REQUIRE_FALSE(ask(slot, stop).asked_stop);
  }
}

TEST_CASE("an exact suspension goes on when it is completed and not before") {
  for (const bool stop : {false, true}) {
    Slot slot;
    Scripted where(kExact);
    slot.waiting = &where;
    REQUIRE_FALSE(ask(slot, stop).resume);
    REQUIRE_FALSE(ask(slot, stop).resume);
    where.ready = 1;
    REQUIRE(ask(slot, stop).resume);
  }
}

TEST_CASE("a completed suspension is neither polled nor cancelled any more") {
  for (const SuspensionOps* ops : {&kExactCancellable, &kByWaker, &kByWakerCancellable}) {
    Slot slot;
    Scripted where(*ops);
    where.ready = 1;
    slot.waiting = &where;
    REQUIRE(ask(slot, true).resume);
    REQUIRE(where.polled == 0);
    REQUIRE(where.cancelled == 0);
  }
}

TEST_CASE("a waker suspension asks its awaiter at every claim") {
  Slot slot;
  Scripted where(kByWaker);
  slot.waiting = &where;
  REQUIRE_FALSE(ask(slot, false).resume);
  REQUIRE_FALSE(ask(slot, true).resume);
  REQUIRE(where.polled == 2);
  where.polls_true = true;
  REQUIRE(ask(slot, false).resume);
  REQUIRE(where.polled == 3);
}

TEST_CASE("a stop request ends a suspension that can be withdrawn") {
  for (const SuspensionOps* ops : {&kExactCancellable, &kByWakerCancellable}) {
    Slot slot;
    Scripted where(*ops);
    slot.waiting = &where;
    REQUIRE_FALSE(ask(slot, false).resume);
    REQUIRE(where.cancelled == 0);
    REQUIRE_FALSE(ask(slot, true).resume);  // it cannot withdraw now: it stays
    REQUIRE(where.cancelled == 1);
    where.withdraws = true;
    REQUIRE(ask(slot, true).resume);
    REQUIRE(where.cancelled == 2);
  }
}

TEST_CASE("an event that came wins over a stop request") {
  Slot slot;
  Scripted where(kByWakerCancellable);
  slot.waiting = &where;
  where.polls_true = true;
  where.withdraws = true;
  REQUIRE(ask(slot, true).resume);
  REQUIRE(where.cancelled == 0);
}

TEST_CASE("a suspension that cannot be cancelled does not ask for the stop flag") {
  Slot slot;
  Scripted where(kExact);
  slot.waiting = &where;
  REQUIRE_FALSE(ask(slot, true).asked_stop);
}
