// SPDX-License-Identifier: BSL-1.0
// Proves that tasks which run without a pause change cores all the same, where cores are of two
// kinds: for a fast one that is free, by turns while none is, to share what one worker has too much
// of; and that bound tasks never do. All on virtual workers.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "sched/runtime_core.hpp"
#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

runtime_options on(const char* text) {
  runtime_options options;
  options.topology = topology::synthetic(text);
  options.profile = profile::performance;
  options.preemption = preemption_mode::safepoint;
  return options;
}

/// The caller releases it.
core::RuntimeCore* newest() {
  for (std::uint32_t id = 1;; ++id) {
    core::RuntimeCore* next = core::RuntimeCore::find(id);
    if (next != nullptr && next->worker_count() != 0) return next;
  }
}

std::uint64_t rebalanced(const runtime& rt) { return rt.stats().total.rebalanced; }
std::uint64_t stirred(const runtime& rt) { return rt.stats().total.stirred; }

/// A while of work, longer than what it costs to move a task.
void work() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(40);
  while (std::chrono::steady_clock::now() < until) {
  }
}

/// Works, and yields, until `done(worker)`; fails loudly instead of going on for ever.
template <class Done>
task<> works_until(Done done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!done(this_task::worker())) {
    if (std::chrono::steady_clock::now() > limit) throw std::runtime_error("it never came there");
    work();
    co_await yield();
  }
}

template <class Done>
join_handle<> start(runtime& rt, const spawn_options& how, Done done) {
  return rt.spawn(works_until(std::move(done)), how);
}

/// How often a task found itself on another worker.
class Travels {
 public:
  bool seen(std::size_t worker) {
    if (worker != last_) ++count_;
    last_ = worker;
    return false;
  }
  unsigned count() const { return count_; }

 private:
  std::size_t last_ = ~std::size_t{0};
  std::atomic<unsigned> count_{0};
};

}  // namespace

TEST_CASE("what runs on a slow core for want of a fast one goes on there when one is free") {
  runtime rt(on("1P+1E"));
  // A thief may be there first.
  for (int round = 0; round < 1000 && rebalanced(rt) == 0; ++round) {
    std::atomic<bool> holds{false};
    std::atomic<bool> release{false};
    std::atomic<bool> begun{false};
    auto first = start(rt, {.core = 0}, [&](std::size_t) {
      holds = true;
      return release.load();
    });
    eventually("the fast core is taken", [&] { return holds.load(); });
    auto hog = start(rt, {}, [&](std::size_t worker) {
      begun = true;
      return release && worker == 0;
    });
    eventually("the task has begun", [&] { return begun.load(); });
    release = true;
    first.join();
    hog.join();
  }
  CHECK(rebalanced(rt) > 0);
}

TEST_CASE("equal tasks take turns on the fast core") {
  runtime rt(on("1P+1E"));
  std::vector<Travels> travels(2);
  std::vector<join_handle<>> hogs;
  for (Travels& its : travels) {
    hogs.push_back(start(rt, {}, [&](std::size_t worker) {
      its.seen(worker);
      return travels[0].count() > 10 && travels[1].count() > 10;
    }));
  }
  for (auto& hog : hogs) hog.join();
  CHECK(stirred(rt) > 0);
}

TEST_CASE("bound tasks stay, whatever is free and whoever wants a turn") {
  runtime rt(on("2P+1E"));
  std::atomic<unsigned> elsewhere{0};
  std::atomic<bool> stop{false};
  const auto stays = [&](std::size_t home) {
    return works_until([&, home](std::size_t worker) {
      if (worker != home) ++elsewhere;
      return stop.load();
    });
  };
  std::vector<join_handle<>> bound;
  bound.push_back(rt.spawn(stays(0), {.core = 0}));
  bound.push_back(rt.spawn(stays(2), {.core = 2}));
  // The second fast core is free, then it is not.
  unsigned polls = 0;
  start(rt, {}, [&](std::size_t) { return ++polls == 200; }).join();
  stop = true;
  for (auto& task : bound) task.join();
  CHECK(elsewhere == 0);
}

TEST_CASE("background work does not take turns on a fast core") {
  runtime rt(on("1P+1E"));
  std::atomic<unsigned> fast{0};
  std::atomic<bool> stop{false};
  auto standard = start(rt, {}, [&](std::size_t) { return stop.load(); });
  std::vector<join_handle<>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(start(rt, {.qos = qos::background}, [&, polls = 0](std::size_t worker) mutable {
      if (worker == 0) ++fast;
      return ++polls == 100;
    }));
  }
  for (auto& task : tasks) task.join();
  stop = true;
  standard.join();
  CHECK(fast == 0);
}

TEST_CASE("of several long tasks on one worker one goes to a worker that is free") {
  runtime rt(on("1P+2E"));
  std::vector<std::atomic<bool>> seen(3);
  std::vector<join_handle<>> hogs;
  const auto all_at_work = [&](std::size_t worker) {
    seen[worker] = true;
    return seen[0] && seen[1] && seen[2];
  };
  for (int i = 0; i < 3; ++i) hogs.push_back(start(rt, {}, all_at_work));
  for (auto& hog : hogs) hog.join();
}

TEST_CASE("tasks leave a cluster that is to take no work, and come back when it does again") {
  runtime rt(on("1P+1E"));
  core::RuntimeCore& core = *newest();
  core::Clusters& clusters = core.clusters();
  std::atomic<bool> stop{false};
  std::vector<std::atomic<std::size_t>> at(2);
  std::vector<join_handle<>> hogs;
  for (auto& its : at) {
    hogs.push_back(start(rt, {}, [&](std::size_t worker) {
      its = worker;
      return stop.load();
    }));
  }
  const auto advise = [&](core::policy::ClusterIndex cluster, bool takes_work) {
    clusters.recommend(cluster, takes_work);
    clusters.publish();
  };
  const core::policy::ClusterIndex fast = clusters.of(0);
  for (int round = 0; round < 5; ++round) {
    eventually("each has a core", [&] { return at[0] != at[1]; });
    advise(fast, false);
    eventually("the fast core is left", [&] { return at[0] == 1 && at[1] == 1; });
    advise(fast, true);
    eventually("one is on the fast core again", [&] { return at[0] == 0 || at[1] == 0; });
  }
  stop = true;
  for (auto& hog : hogs) hog.join();
  core.release();
}

TEST_CASE("where all cores are alike nobody is handed over") {
  runtime_options options = on("4P");
  runtime rt(options);
  std::vector<join_handle<>> hogs;
  for (int i = 0; i < 6; ++i) {
    hogs.push_back(start(rt, {}, [polls = 0](std::size_t) mutable { return ++polls == 50; }));
  }
  for (auto& hog : hogs) hog.join();
  CHECK(rebalanced(rt) == 0);
  CHECK(stirred(rt) == 0);
}

TEST_CASE("many tasks on many kinds of workers all end, whoever hands them to and fro") {
  runtime rt(on("2P+2E"));
  std::atomic<unsigned> polls{0};
  std::vector<join_handle<>> tasks;
  for (int i = 0; i < 60; ++i) {
    tasks.push_back(
        start(rt, {.qos = static_cast<qos>(i % 6)}, [&, left = 20](std::size_t) mutable {
          ++polls;
          return --left == 0;
        }));
  }
  for (auto& task : tasks) task.join();
  CHECK(polls == 60 * 20);
}
