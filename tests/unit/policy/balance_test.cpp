// SPDX-License-Identifier: BSL-1.0
// Proves when, from where and whether a task moves between cores, by the numbers of
// policies.md 4.4.
#include "policy/balance.hpp"

#include <numeric>
#include <vector>

#include "support/catch.hpp"
#include "support/policy_machine.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;
using paceline_test::alike;
using paceline_test::ClusterSpec;
using paceline_test::PolicyMachine;

namespace {

/// A core with `tasks` ready tasks of which one runs, and nothing in its average.
CoreLoad with(std::uint32_t tasks) { return {0, tasks, tasks == 0 ? 0 : tasks - 1}; }

BalanceTask movable() { return {kNeverMoved, 0, kAnyRank, true, false, false, false}; }

std::vector<CoreLoad> loads_of(const std::vector<std::uint32_t>& tasks) {
  std::vector<CoreLoad> loads;
  for (const std::uint32_t n : tasks) loads.push_back(with(n));
  return loads;
}

bool raw_rule(const MoveVerdict& verdict) { return verdict.benefit > verdict.cost; }

}  // namespace

TEST_CASE("statement 52: the vectors of 4.4 migrate or stay as listed") {
  using enum DomainLevel;
  for (const DomainLevel near : {smt, mc, numa}) {
    CHECK(raw_rule(judge_move(with(2), with(1), near)));
    CHECK(judge_move(with(2), with(1), near).benefit == 512);
  }
  CHECK(judge_move(with(2), with(1), sys).reason == MoveReason::cost_exceeds);
  for (const DomainLevel level : {smt, mc, numa, sys}) {
    CHECK(judge_move(with(3), with(1), level).reason == MoveReason::move);
    CHECK(judge_move(with(3), with(1), level).benefit == 1024);
    CHECK(judge_move(with(2), with(0), level).reason == MoveReason::move);
    CHECK(judge_move(with(1), with(1), level).reason == MoveReason::no_benefit);
    CHECK(judge_move(with(1), with(2), level).benefit == 0);
  }
}

TEST_CASE("statement 52: two tasks against one never oscillate") {
  using enum DomainLevel;
  for (const DomainLevel near : {smt, mc, numa}) {
    CHECK(judge_move(with(2), with(1), near).reason == MoveReason::would_oscillate);
  }
  // Also when the averages pretend a great difference.
  CHECK(judge_move({90000, 2, 1}, {0, 1, 0}, mc).reason == MoveReason::would_oscillate);
  // Playing three tasks on two cores with the whole pass: nothing ever moves.
  const PolicyMachine fixture(alike(1, 2, 1, 1));
  const Domains domains(fixture.view());
  const std::vector<CoreLoad> loads = loads_of({2, 1});
  for (std::uint32_t core = 0; core < 2; ++core) {
    CHECK(find_source(domains, domains.at(0), core, loads).reason != PassReason::found);
  }
}

TEST_CASE("a pass needs more than a quarter of imbalance and something queued") {
  const PolicyMachine fixture(alike(2, 4, 1, 1));
  const Domains domains(fixture.view());
  const Domain& whole = domains.at(domains.at(domains.place(0).innermost).parent);
  const auto pass = [&](const std::vector<std::uint32_t>& tasks, std::uint32_t core) {
    return find_source(domains, whole, core, loads_of(tasks));
  };
  CHECK(pass({2, 2, 2, 2, 3, 2, 2, 3}, 0).reason == PassReason::balanced);  // 10 : 8 is 125 %
  const PassVerdict found = pass({2, 2, 2, 2, 3, 5, 5, 2}, 0);
  CHECK(found.reason == PassReason::found);
  CHECK(found.source == 5);  // the first of the busiest
  CHECK(found.move.cost == 1000);
  std::vector<CoreLoad> stuck = loads_of({1, 1, 1, 1, 9, 9, 9, 9});
  for (CoreLoad& load : stuck) load.queued = 0;
  CHECK(find_source(domains, whole, 0, stuck).reason == PassReason::nothing_queued);
  CHECK(pass({5, 3, 3, 3, 1, 1, 1, 1}, 0).reason == PassReason::balanced);  // local is the busiest
  CHECK(pass({2, 2, 2, 2, 3, 3, 3, 3}, 0).reason == PassReason::does_not_pay);
}

TEST_CASE("groups of different size and speed are compared by capacity") {
  const PolicyMachine fixture({{0, 1024, 0, 0, 2, 1}, {1, 512, 0, 0, 4, 1}});
  const Domains domains(fixture.view());
  const Domain& whole = domains.at(domains.at(domains.place(0).innermost).parent);
  // Six tasks on capacity 2 x 1024 and as many on 4 x 512: equal.
  CHECK(find_source(domains, whole, 0, loads_of({3, 3, 2, 2, 1, 1})).reason ==
        PassReason::balanced);
  // Equal sums of load on half the capacity: the slow side is the busier one, seen from the fast.
  CHECK(find_source(domains, whole, 0, loads_of({1, 1, 6, 2, 2, 2})).source == 2);
}

TEST_CASE("statement 53: an idle worker searches SMT, MC, NUMA, SYS and stops at the first pull") {
  const PolicyMachine fixture(alike(4, 2, 2, 2));  // 16 cores; siblings 0 and 2
  const Domains domains(fixture.view());
  const auto search = [&](std::uint32_t busy) {
    std::vector<CoreLoad> loads(16, with(0));
    loads[busy] = with(3);
    return search_idle(domains, 0, loads);
  };
  using enum DomainLevel;
  const std::vector<std::pair<std::uint32_t, DomainLevel>> expected{
      {2, smt}, {1, mc}, {4, numa}, {8, sys}};
  std::uint32_t looked = 0;
  for (const auto& [core, level] : expected) {
    const PullVerdict verdict = search(core);
    CHECK(verdict.pass.reason == PassReason::found);
    CHECK(verdict.pass.source == core);
    CHECK(domains.at(verdict.domain).level == level);
    CHECK(verdict.looked == ++looked);
  }
  // Work at every distance: the nearest is taken though the farthest is busier.
  std::vector<CoreLoad> loads(16, with(0));
  loads[2] = with(2);
  loads[8] = with(9);
  CHECK(search_idle(domains, 0, loads).pass.source == 2);
  // If what the sibling has cannot move, the search goes on from the next domain.
  const std::uint32_t next = domains.at(search_idle(domains, 0, loads).domain).parent;
  CHECK(search_idle_from(domains, next, 0, loads).pass.source == 8);
  // Nothing anywhere: all four were looked at.
  const PullVerdict none = search_idle(domains, 0, std::vector<CoreLoad>(16, with(1)));
  CHECK(none.looked == 4);
  CHECK(none.pass.source == kNoCore);
  // A machine of one core has nowhere to look.
  const PolicyMachine alone({ClusterSpec{}});
  CHECK(search_idle(Domains(alone.view()), 0, std::vector<CoreLoad>(1, with(0))).domain ==
        kNoDomain);
}

TEST_CASE("an idle core takes work though the sums of the groups are level") {
  const PolicyMachine fixture(alike(2, 4, 1, 1));
  const Domains domains(fixture.view());
  // 4 against 4 tasks, but core 0 has none and core 4 has two.
  const PullVerdict verdict = search_idle(domains, 0, loads_of({0, 1, 1, 2, 2, 1, 1, 0}));
  CHECK(verdict.pass.source == 3);  // in its own cluster first
  const PullVerdict far = search_idle(domains, 0, loads_of({0, 1, 1, 1, 2, 1, 0, 0}));
  CHECK(far.pass.source == 4);
}

TEST_CASE("statement 54: the wake vectors of 4.4 choose previous or this") {
  const auto wake = [](CoreLoad previous, std::uint64_t load_here) {
    return choose_wake_core({previous, {load_here, 0, 0}, kNeverMoved, 0, true, true});
  };
  CHECK(wake(with(1), 0).reason == WakeCoreReason::previous_free);
  CHECK(wake(with(1), 99999).to_previous);
  const CoreLoad two{2400 - 2 * kTaskLoad, 2, 1};  // 2 tasks, load 2400
  REQUIRE(load_of(two) == 2400);
  CHECK(wake(two, 4801).reason == WakeCoreReason::this_is_busier);
  CHECK(wake(two, 4801).to_previous);
  CHECK(wake(two, 4800).reason == WakeCoreReason::this_is_lighter);
  CHECK_FALSE(wake(two, 4800).to_previous);
}

TEST_CASE("a woken task stays for ten milliseconds where it was moved, and obeys its mask") {
  WakeCoreInputs in{with(5), with(0), 100 * kMillisecond, 105 * kMillisecond, true, true};
  CHECK(choose_wake_core(in).reason == WakeCoreReason::stays_resident);
  in.now = 110 * kMillisecond;
  CHECK(choose_wake_core(in).reason == WakeCoreReason::this_is_lighter);
  in.now = 0;  // the clock went back
  CHECK(choose_wake_core(in).reason == WakeCoreReason::this_is_lighter);
  in.previous_allowed = false;
  CHECK_FALSE(choose_wake_core(in).to_previous);
  in.previous_allowed = true;
  in.here_allowed = false;
  CHECK(choose_wake_core(in).to_previous);
}

TEST_CASE("a pass takes the task with the longest wait that may move") {
  std::vector<BalanceTask> tasks(4, movable());
  tasks[0].virtual_time = 5;
  tasks[1].virtual_time = 9;
  tasks[2].virtual_time = 9;
  tasks[3].virtual_time = 20;
  tasks[3].running = true;
  const TaskVerdict verdict = pick_task(tasks, 0, kSecond);
  CHECK(verdict.reason == TaskReason::may_move);
  CHECK(verdict.index == 1);
  CHECK(pick_task({}, 0, 0).reason == TaskReason::no_task);
  tasks.resize(1);
  tasks[0].hot = true;
  CHECK(pick_task(tasks, 0, 0).reason == TaskReason::hot);
}

TEST_CASE("each guard keeps its task where it is") {
  const Nanos now = kSecond;
  CHECK(judge_task(movable(), 0, now) == TaskReason::may_move);
  BalanceTask task = movable();
  task.allowed = false;
  CHECK(judge_task(task, 0, now) == TaskReason::forbidden);
  task = movable();
  task.running = true;
  CHECK(judge_task(task, 0, now) == TaskReason::running);
  task = movable();
  task.fixed = true;
  CHECK(judge_task(task, 0, now) == TaskReason::fixed);
  task = movable();
  task.hot = true;
  CHECK(judge_task(task, 0, now) == TaskReason::hot);
  task = movable();
  task.last_move = now - kMinResidency + 1;
  CHECK(judge_task(task, 0, now) == TaskReason::too_recent);
  CHECK(judge_task(task, 0, now + 1) == TaskReason::may_move);
  task = movable();
  task.preferred_rank = 1;
  CHECK(judge_task(task, 0, now) == TaskReason::would_be_foreign);
  CHECK(judge_task(task, 1, now) == TaskReason::may_move);
}

TEST_CASE("passes come at 4, 16, 64 and 256 ms, back off eightfold, and half as often when busy") {
  using enum DomainLevel;
  BalanceClock clock(0);
  const std::vector<std::pair<DomainLevel, Nanos>> least{{smt, 4 * kMillisecond},
                                                         {mc, 16 * kMillisecond},
                                                         {numa, 64 * kMillisecond},
                                                         {sys, 256 * kMillisecond}};
  for (const auto& [level, interval] : least) {
    CHECK_FALSE(clock.due(level, interval, false));
    CHECK(clock.due(level, interval + 1, false));
    CHECK_FALSE(clock.due(level, 2 * interval, true));
    CHECK(clock.due(level, 2 * interval + 1, true));
    Nanos now = 0;
    for (int i = 0; i < 5; ++i) clock.made(level, ++now, false);
    CHECK(clock.at(level).interval == 8 * interval);
    CHECK(clock.at(level).failures == 5);
    clock.made(level, ++now, true);
    CHECK(clock.at(level).interval == interval);
    CHECK(clock.at(level).failures == 0);
    CHECK(clock.at(level).passes == 6);
    CHECK(clock.at(level).moved == 1);
    CHECK(clock.due(level, now - 1, false));  // a clock that went back does not stop passes
  }
}

TEST_CASE("new work goes to the least loaded allowed core, the first of equals") {
  std::vector<std::uint32_t> span(6);
  std::iota(span.begin(), span.end(), 0u);
  const std::vector<CoreLoad> loads = loads_of({3, 1, 2, 1, 0, 1});
  const std::vector<std::uint64_t> all{0b111111};
  CHECK(least_loaded(span, loads, all).core == 4);
  const std::vector<std::uint64_t> some{0b101110};
  CHECK(least_loaded(span, loads, some).core == 1);
  CHECK(least_loaded(span, loads, {}).reason == LeastLoadedReason::nobody_allowed);
}

TEST_CASE("the average of load halves every 32 periods and reaches what stays") {
  LoadAverage average;
  const Nanos period = 1'024'000;
  average.update(0, 3);
  CHECK(average.value() == 0);
  average.update(32 * period, 2);
  CHECK(average.value() == 1024);  // half of the way to 2048
  average.update(64 * period, 2);
  CHECK(average.value() == 1536);
  average.update(64 * period + 5000 * period, 2);
  CHECK(average.value() == 2048);
  average.update(64 * period + 5032 * period, 0);
  CHECK(average.value() == 1024);
  // The same time in small steps comes to the same, up to rounding.
  LoadAverage steps;
  for (int i = 0; i <= 32 * 4; ++i) steps.update(i * period / 4, 2);
  CHECK(steps.value() >= 1020);
  CHECK(steps.value() <= 1024);
  steps.update(0, 2);  // back to the start: stands still
  CHECK(steps.value() <= 1024);
  CHECK(spare_capacity(512, 200) == 312);
  CHECK(spare_capacity(512, 600) == 0);
}
