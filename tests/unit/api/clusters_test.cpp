// SPDX-License-Identifier: BSL-1.0
// Proves that a runtime on fast and slow cores puts work where it belongs: new tasks by their
// class, idle workers fetch what sits on the wrong kind of core and relieve overloaded clusters,
// and the controller looks while there is work and never else. All on virtual workers.
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sched/runtime_core.hpp"
#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

runtime_options on(const std::string& text, profile chosen = profile::performance) {
  runtime_options options;
  options.topology = topology::synthetic(text);
  options.profile = chosen;
  // These tests keep workers busy for as long as it takes; another thread would spoil the count.
  options.preemption = preemption_mode::safepoint;
  return options;
}

/// The kind of core that the current task runs on: 0 is the fastest.
unsigned kind_here(const topology& machine) {
  const auto& cores = machine.cores();
  const auto& cluster = machine.clusters()[cores[this_task::worker() % cores.size()].cluster];
  return machine.kinds()[cluster.kind].rank;
}

/// A runtime whose workers all sleep whenever a task is spawned: then nothing but its class says
/// where it goes.
class Quiet {
 public:
  explicit Quiet(const runtime_options& options) : rt_(options), core_(newest()) { settle(); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() { core_->release(); }

  template <class F>
  auto run(const spawn_options& how, F&& body) {
    settle();
    return rt_.spawn(how, std::forward<F>(body)).join();
  }
  auto spawn(const spawn_options& how, auto&& body) {
    return rt_.spawn(how, std::forward<decltype(body)>(body));
  }
  void settle() {
    eventually("every worker sleeps", [&] { return core_->hub().sleepers == rt_.workers(); });
  }
  runtime_stats stats() const { return rt_.stats(); }

 private:
  static core::RuntimeCore* newest() {
    for (std::uint32_t id = 1;; ++id) {
      core::RuntimeCore* next = core::RuntimeCore::find(id);
      if (next != nullptr && next->worker_count() != 0) return next;
    }
  }

  runtime rt_;
  core::RuntimeCore* core_;
};

/// Tasks that hold their workers until all of them run at once.
class Rally {
 public:
  explicit Rally(unsigned size) : size_(size) {}
  /// The task's worker. Throws when one of them has still not begun after a minute.
  std::size_t meet() {
    ++here_;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (here_ < size_) {
      if (std::chrono::steady_clock::now() > limit) throw std::logic_error("one has not begun");
      std::this_thread::yield();
    }
    return this_task::worker();
  }

 private:
  const unsigned size_;
  std::atomic<unsigned> here_{0};
};

std::set<std::size_t> workers_of(std::vector<join_handle<std::size_t>>& tasks) {
  std::set<std::size_t> workers;
  for (auto& task : tasks) workers.insert(task.join());
  return workers;
}

}  // namespace

TEST_CASE("a task from outside begins on the kind of core that its class prefers") {
  const topology machine = topology::synthetic("2P+2E");
  Quiet quiet(on("2P+2E"));
  for (int i = 0; i < 50; ++i) {
    for (const qos q : {qos::urgent, qos::user_interactive, qos::user_initiated, qos::standard}) {
      CHECK(quiet.run({.qos = q}, [&] { return kind_here(machine); }) == 0);
    }
    for (const qos q : {qos::utility, qos::background}) {
      CHECK(quiet.run({.qos = q}, [&] { return kind_here(machine); }) == 1);
    }
  }
}

TEST_CASE("the slow cores may come first in the machine's numbering") {
  const topology machine = topology::synthetic("2E+2P");
  Quiet quiet(on("2E+2P"));
  CHECK(quiet.run({.qos = qos::user_interactive}, [&] { return kind_here(machine); }) == 0);
  CHECK(quiet.run({.qos = qos::background}, [&] { return kind_here(machine); }) == 1);
}

TEST_CASE("a task spawns work of another class onto the kind of core where that belongs") {
  const topology machine = topology::synthetic("1P+1E");
  Quiet quiet(on("1P+1E"));
  const auto kind_of_child = [&](qos parent, qos child) {
    // Nobody awaits it: it would be served in its awaiter's class.
    std::atomic<int> kind{-1};
    quiet.run({.qos = parent},
              [&] { spawn({.qos = child}, [&] { kind = static_cast<int>(kind_here(machine)); }); });
    eventually("the child has run", [&] { return kind != -1; });
    return kind.load();
  };
  CHECK(kind_of_child(qos::standard, qos::background) == 1);
  CHECK(kind_of_child(qos::background, qos::standard) == 0);
  CHECK(kind_of_child(qos::background, qos::background) == 1);
  CHECK(quiet.stats().total.sent_abroad >= 2);
}

TEST_CASE("more work than fast cores flows over to the slow ones") {
  runtime rt(on("2P+2E"));
  Rally rally(4);
  std::vector<join_handle<std::size_t>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(rt.spawn({}, [&] { return rally.meet(); }));
  CHECK(workers_of(tasks).size() == 4);
}

TEST_CASE("children that one worker makes ready are taken by workers of both kinds") {
  runtime rt(on("1P+2E"));
  Rally rally(3);
  rt.spawn({}, [&]() -> task<> {
      std::vector<join_handle<std::size_t>> tasks;
      // Here and nowhere else: the spawner's kind of core is theirs, too.
      for (int i = 0; i < 3; ++i) tasks.push_back(spawn({}, [&] { return rally.meet(); }));
      std::set<std::size_t> workers;
      for (auto& task : tasks) workers.insert(co_await std::move(task));
      if (workers.size() != 3) throw std::logic_error("two ran on one worker");
    }).join();
  // Taken, or handed over by a worker that knew of one that was free.
  CHECK(rt.stats().total.relieved + rt.stats().total.rebalanced > 0);
}

TEST_CASE("as many long tasks as cores reach every worker, on three and on four kinds, too") {
  struct Case {
    profile chosen;
    qos q;
  };
  // The last one prefers the slowest kind, and goes up from there. With `efficiency` nothing goes
  // up: what a worker of the slowest kind was sent too much waits for it.
  for (const auto [chosen, q] :
       {Case{profile::performance, qos::standard}, Case{profile::balanced, qos::user_interactive},
        Case{profile::balanced, qos::standard}}) {
    for (const char* const text :
         {"1P+1M+1E", "4P+2M+2E", "2E+2M+2P", "2P@1024+4P@700+2E@400+2E@300"}) {
      INFO(text << ", profile " << static_cast<int>(chosen));
      runtime_options options = on(text, chosen);
      options.preemption = preemption_mode::off;
      runtime rt(options);
      const auto count = static_cast<unsigned>(rt.workers());
      const spawn_options how{.qos = q};
      {
        Rally rally(count);
        std::vector<join_handle<std::size_t>> tasks;
        for (unsigned i = 0; i < count; ++i)
          tasks.push_back(rt.spawn(how, [&] { return rally.meet(); }));
        CHECK(workers_of(tasks).size() == count);
      }
      // Children begin where their parent runs: all the others have to come for them.
      Rally rally(count);
      const auto parent = [&]() -> task<std::size_t> {
        std::vector<join_handle<std::size_t>> tasks;
        for (unsigned i = 0; i < count; ++i)
          tasks.push_back(spawn(how, [&] { return rally.meet(); }));
        std::set<std::size_t> workers;
        for (auto& task : tasks) workers.insert(co_await std::move(task));
        co_return workers.size();
      };
      CHECK(rt.spawn(how, parent).join() == count);
    }
  }
}

TEST_CASE("utility work goes up to every faster kind, background work to none") {
  const topology machine = topology::synthetic("1P+1M+1E");
  for (const profile chosen : {profile::performance, profile::balanced}) {
    runtime_options options = on("1P+1M+1E", chosen);
    options.preemption = preemption_mode::off;  // nor does a controller change what is preferred
    runtime rt(options);
    Rally rally(3);
    std::vector<join_handle<std::size_t>> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(rt.spawn({.qos = qos::utility}, [&] { return rally.meet(); }));
    CHECK(workers_of(tasks).size() == 3);
    std::vector<join_handle<unsigned>> upkeep;
    for (int i = 0; i < 200; ++i) {
      upkeep.push_back(rt.spawn({.qos = qos::background}, [&]() -> task<unsigned> {
        co_await yield();
        co_return kind_here(machine);
      }));
    }
    for (auto& task : upkeep) CHECK(task.join() == 2);
  }
}

TEST_CASE("utility work uses fast cores when the slow ones have no room, but not with efficiency") {
  {
    runtime rt(on("2P+1E", profile::balanced));
    Rally rally(3);
    std::vector<join_handle<std::size_t>> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(rt.spawn({.qos = qos::utility}, [&] { return rally.meet(); }));
    CHECK(workers_of(tasks).size() == 3);
  }
  const topology machine = topology::synthetic("2P+1E");
  runtime rt(on("2P+1E", profile::efficiency));
  std::vector<join_handle<unsigned>> tasks;
  for (int i = 0; i < 200; ++i) {
    tasks.push_back(rt.spawn({.qos = qos::utility}, [&]() -> task<unsigned> {
      co_await yield();
      co_return kind_here(machine);
    }));
  }
  for (auto& task : tasks) CHECK(task.join() == 1);
}

TEST_CASE("fast cores whose work would fit elsewhere rest only where somebody looks again") {
  const topology machine = topology::synthetic("1P+1E");
  runtime_options options = on("1P+1E", profile::efficiency);
  options.preemption = preemption_mode::off;
  Quiet quiet(options);
  for (int i = 0; i < 20; ++i) {
    const auto kind = [&] { return kind_here(machine); };
    REQUIRE(quiet.run({.qos = qos::user_interactive}, kind) == 0);
  }
}

TEST_CASE("background work never runs on a fast core while there are slow ones") {
  const topology machine = topology::synthetic("3P+1E");
  for (const profile chosen : {profile::performance, profile::balanced, profile::efficiency}) {
    runtime rt(on("3P+1E", chosen));
    std::atomic<unsigned> fast{0};
    std::vector<join_handle<>> tasks;
    for (int i = 0; i < 200; ++i) {
      tasks.push_back(rt.spawn({.qos = qos::background}, [&]() -> task<> {
        for (int k = 0; k < 10; ++k) {
          if (kind_here(machine) == 0) ++fast;
          co_await yield();
        }
      }));
    }
    for (auto& task : tasks) task.join();
    CHECK(fast == 0);
  }
}

TEST_CASE("work that waits on a slow core though it prefers fast ones is fetched") {
  const topology machine = topology::synthetic("1P+1E");
  runtime rt(on("1P+1E"));
  // Mostly in the first round; a worker may also find out in another way that it can help.
  for (int round = 0; round < 1000 && rt.stats().workers[0].fetched == 0; ++round) {
    const std::uint64_t before = rt.stats().workers[0].completed;
    std::atomic<int> ended{0};
    const auto child = [&]() -> task<> {
      // One may hold the slow core; the fast one has to come for the others.
      while (kind_here(machine) == 1 && ended < 2) std::this_thread::yield();
      ++ended;
      co_return;
    };
    rt.spawn({.core = 1}, [&]() -> task<> { co_await when_all(child(), child(), child()); }).join();
    REQUIRE(ended == 3);
    REQUIRE(rt.stats().workers[0].completed >= before + 2);
  }
  CHECK(rt.stats().workers[0].fetched > 0);
}

TEST_CASE("a category takes its task to the kind of core where it belongs, and back") {
  const topology machine = topology::synthetic("1P+1E");
  Quiet quiet(on("1P+1E"));
  const auto [before, during, after] =
      quiet.run({.qos = qos::user_initiated}, [&]() -> task<std::array<unsigned, 3>> {
        std::array<unsigned, 3> kinds{};
        kinds[0] = kind_here(machine);
        kinds[1] = co_await with_category(
            task_category::background_cleanup, [](const topology& m) -> task<unsigned> {
              co_await yield();  // goes there with its next suspension
              co_return kind_here(m);
            }(machine));
        co_await yield();
        kinds[2] = kind_here(machine);
        co_return kinds;
      });
  CHECK(before == 0);
  CHECK(during == 1);
  CHECK(after == 0);
}

TEST_CASE("pinned tasks stay, whatever their class prefers") {
  runtime rt(on("1P+1E"));
  CHECK(rt.spawn({.qos = qos::background, .core = 0}, [] { return this_task::worker(); }).join() ==
        0);
  CHECK(rt.spawn({.qos = qos::urgent, .core = 1}, [] { return this_task::worker(); }).join() == 1);
}

TEST_CASE("many like clusters share what one of them is given") {
  runtime rt(on("4*2P"));
  Rally rally(8);
  rt.spawn({}, [&]() -> task<> {
      std::vector<join_handle<std::size_t>> tasks;
      for (int i = 0; i < 8; ++i) tasks.push_back(spawn({}, [&] { return rally.meet(); }));
      std::set<std::size_t> workers;
      for (auto& task : tasks) workers.insert(co_await std::move(task));
      if (workers.size() != 8) throw std::logic_error("two ran on one worker");
    }).join();
  CHECK(rt.stats().total.relieved == 0);
}

TEST_CASE("fewer or more workers than cores are settled, too") {
  for (const std::size_t wish : {1u, 3u, 5u, 11u}) {
    runtime_options options = on("2P+2E");
    options.workers = wish;
    runtime rt(options);
    std::vector<join_handle<int>> tasks;
    for (int i = 0; i < 100; ++i) {
      tasks.push_back(rt.spawn({.qos = static_cast<qos>(i % 6)}, [i]() -> task<int> {
        co_await yield();
        co_return i;
      }));
    }
    for (int i = 0; i < 100; ++i) CHECK(tasks[static_cast<std::size_t>(i)].join() == i);
  }
}

TEST_CASE("more important work interrupts a busy core though one of the wrong kind sleeps") {
  runtime_options options = on("1P+1E");
  options.preemption = preemption_mode::automatic;
  options.slice = std::chrono::hours(1);
  options.handoff_after = std::chrono::hours(1);
  Quiet quiet(options);
  quiet.run({.qos = qos::background}, [] {
    std::atomic<bool> begun{false};
    // The fast core may take utility work from an overloaded cluster only, which this is not.
    auto child = spawn({.qos = qos::utility}, [&] { begun = true; });
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!begun && std::chrono::steady_clock::now() < limit) preempt_point();
    CHECK(begun);
  });
}

TEST_CASE("a lone task behind a long one finds a core of its kind, whoever watches") {
  runtime_options options = on("1P+2E");
  options.preemption = preemption_mode::off;
  Quiet quiet(options);
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> go{false};
    std::atomic<bool> begun{false};
    auto busy = quiet.spawn({.qos = qos::background}, [&] {
      eventually("it is told to go on", [&] { return go.load(); });
      auto child = spawn({}, [&] { begun = true; });  // of its own class
      const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (!begun && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    });
    quiet.spawn({}, [] {}).join();  // the fast core has something to do, rests and watches
    go = true;
    busy.join();
    CHECK(begun);
  }
}

TEST_CASE("a machine that contradicts itself is taken as one of like cores") {
  runtime_options options;
  options.topology = topology::from_xml(PACELINE_SOURCE_ROOT "/tests/topology/split-core.xml");
  runtime rt(options);
  REQUIRE(rt.workers() == 4);
  std::atomic<unsigned> ran{0};
  for (std::size_t worker = 0; worker < rt.workers(); ++worker) {
    for (unsigned q = 0; q < qos_count; ++q) {
      rt.spawn({.core = worker}, [&]() -> task<> {
          co_await spawn({.qos = static_cast<qos>(q)}, [&] { ++ran; });
        }).join();
    }
  }
  CHECK(ran == rt.workers() * qos_count);
  CHECK(rt.stats().total.sent_abroad == 0);
}

TEST_CASE("the controller looks while there is work, and not at all where cores are alike") {
  runtime_options options = on("1P+1E");
  options.preemption = preemption_mode::automatic;
  runtime rt(options);
  runtime alike(workers(2));
  const auto work_until = [](runtime& where, const auto& done) {
    std::atomic<bool> stop{false};
    auto task = where.spawn({}, [&]() -> paceline::task<> {
      while (!stop) co_await yield();
    });
    eventually("the controller looked, or had time to", done);
    stop = true;
    task.join();
  };
  work_until(rt, [&] { return rt.stats().controller_steps >= 3; });
  work_until(alike, [&] { return alike.stats().monitor_looks >= 10; });
  CHECK(alike.stats().controller_steps == 0);
}

TEST_CASE("a profile or a time scale that is none is refused with what to do") {
  const auto refused = [](const runtime_options& options, const std::string& what) {
    const std::string message =
        message_of<std::invalid_argument>([&] { const runtime rt(options); });
    CHECK(says(message, what));
  };
  runtime_options options = workers(1);
  options.profile = static_cast<profile>(7);
  refused(options, "performance nor balanced nor efficiency");
  for (const double bad : {0.0, -1.0, 1e9, 0.0001, std::numeric_limits<double>::quiet_NaN()}) {
    options = workers(1);
    options.time_scale = bad;
    refused(options, "use 0.001 to 100");
  }
  options = workers(1);
  options.time_scale = 0.1;
  options.profile = profile::efficiency;
  runtime rt(options);
  CHECK(rt.spawn({}, [] { return 7; }).join() == 7);
}
