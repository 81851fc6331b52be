// SPDX-License-Identifier: BSL-1.0
// Proves the choice among a cluster's workers: idle ones in order, then who gives way, then queues.
#include "policy/worker_choice.hpp"

#include <limits>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::core::kMicrosecond;
using paceline::core::Rng;
using paceline_test::Machine;

namespace {

WorkerView idle() { return {.idle = true}; }
WorkerView running(std::uint16_t priority, paceline::core::Nanos since = 0) {
  return {.since = since, .priority = priority};
}

WorkerVerdict choose(const std::vector<WorkerView>& workers, WorkerAsk ask) {
  Rng rng(7);
  return choose_worker(workers, ask, rng);
}

using What = WorkerWhat;
using Why = WorkerReason;

}  // namespace

TEST_CASE("an idle last worker comes first, then a favoured, an unflagged, and any idle one") {
  std::vector<WorkerView> workers{running(5), idle(), idle(), idle(), idle()};
  workers[1].rotating = true;
  workers[3].favoured = true;
  CHECK(choose(workers, {.last = 4}) == WorkerVerdict{What::wake, 4, Why::last});
  CHECK(choose(workers, {.last = 0}) == WorkerVerdict{What::wake, 3, Why::favoured});
  workers[3].favoured = false;
  CHECK(choose(workers, {.last = 99}) == WorkerVerdict{What::wake, 2, Why::idle});
  for (WorkerView& worker : workers) worker.rotating = true;
  CHECK(choose(workers, {}) == WorkerVerdict{What::wake, 1, Why::rotating});
}

TEST_CASE("without idle workers the least important task gives way to a more important one only") {
  const std::vector<WorkerView> workers{running(5), running(3), running(4)};
  CHECK(choose(workers, {.priority = 4}) == WorkerVerdict{What::preempt, 1, Why::outranked});
  CHECK(choose(workers, {.priority = 3}).what == What::queue);
  CHECK(choose(workers, {.priority = 2}).what == What::queue);
}

TEST_CASE("a forced choice displaces an equal, of equals the one that has run for longest") {
  std::vector<WorkerView> workers{running(3, 50), running(3, 20), running(3, 30), running(9, 1)};
  CHECK(choose(workers, {.priority = 3, .force = true}) ==
        WorkerVerdict{What::preempt, 1, Why::forced});
  workers[1].since = 60;
  CHECK(choose(workers, {.priority = 3, .force = true}).where == 2);
  CHECK(choose(workers, {.priority = 3}).what == What::queue);
}

TEST_CASE("who has not answered a request gets no second one") {
  std::vector<WorkerView> workers{running(1), running(2)};
  workers[0].asked_preempt = true;
  CHECK(choose(workers, {.priority = 9}).where == 1);
  CHECK(choose(workers, {.priority = 9, .urgent = true}).where == 0);
  workers[0].asked_urgent = true;
  CHECK(choose(workers, {.priority = 9, .urgent = true}).where == 1);
  workers[1].asked_urgent = true;
  CHECK(choose(workers, {.priority = 9, .urgent = true}).what == What::queue);
  std::vector<WorkerView> asleep{idle(), idle()};
  asleep[0].asked_urgent = true;
  CHECK(choose(asleep, {.last = 0}) == WorkerVerdict{What::wake, 1, Why::idle});
}

TEST_CASE("what nobody gives way to is queued where least is queued") {
  std::vector<WorkerView> workers(8, running(5));
  for (std::size_t i = 0; i < workers.size(); ++i)
    workers[i].queued = i == 6 ? 1 : static_cast<std::uint32_t>(i + 2);
  CHECK(choose(workers, {.priority = 5}) == WorkerVerdict{What::queue, 6, Why::least_queued});
}

TEST_CASE("above eight workers the better of two different ones is chosen by the seed") {
  std::vector<WorkerView> workers(9, running(5));
  for (std::size_t i = 0; i < workers.size(); ++i)
    workers[i].queued = static_cast<std::uint32_t>(i);
  Rng a(3);
  Rng b(3);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 500; ++i) {
    const WorkerVerdict verdict = choose_worker(workers, {}, a);
    CHECK(verdict == choose_worker(workers, {}, b));
    seen.insert(verdict.where);
  }
  // The fullest of all loses against whichever other was drawn.
  CHECK(seen.count(8) == 0);
  CHECK(seen.size() == 8);
}

TEST_CASE("a cluster without workers and one with a single worker have their answers") {
  CHECK(choose({}, {}) == WorkerVerdict{What::queue, kNoWorker, Why::nobody});
  CHECK(choose({idle()}, {}) == WorkerVerdict{What::wake, 0, Why::idle});
  CHECK(choose({running(0)}, {}) == WorkerVerdict{What::queue, 0, Why::least_queued});
}

TEST_CASE("a wake is deferred only on a slow core, for another kind's work, in short slices") {
  Machine machine;
  machine.add(0, 4).add(1, 4).add(1, 4);
  const EdgeTable table(machine.view(), Profile::xnu);
  CHECK(wake_delay(table, 0, 1, 0) == 0);
  CHECK(wake_delay(table, 1, 2, 0) == 0);
  CHECK(wake_delay(table, 1, 0, 63) == 64 * kMicrosecond);
  CHECK(wake_delay(table, 1, 0, 64) == 0);
  CHECK(wake_delay(table, 99, 99, 0) == 0);
}

TEST_CASE("every choice of a worker names its reason in one word") {
  for (unsigned i = 0; i <= static_cast<unsigned>(Why::nobody); ++i)
    CHECK(to_string(static_cast<Why>(i)) != "invalid");
  CHECK(to_string(static_cast<Why>(99)) == "invalid");
  CHECK(to_string(What::wake) == "wake");
  CHECK(to_string(What::preempt) == "preempt");
  CHECK(to_string(What::queue) == "queue");
  CHECK(to_string(static_cast<What>(99)) == "invalid");
}
