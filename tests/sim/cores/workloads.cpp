// SPDX-License-Identifier: BSL-1.0
#include "sim/cores/workloads.hpp"

#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

#include "base/atomic.hpp"
#include "policy/machine_view.hpp"
#include "sim/machine/simulation.hpp"

namespace paceline_cores {

namespace simulation = paceline::core::simulation;
using paceline::join_handle;
using paceline::task;

namespace {

constexpr Nanos kAtFirst = 100 * kMicrosecond;
constexpr Nanos kFull = paceline::core::policy::kFullCapacity;

}  // namespace

void Workload::work(std::size_t task) {
  const std::size_t worker = paceline::this_task::worker();
  if (has_worked_.size() <= worker) has_worked_.resize(worker + 1);
  if (!has_worked_[worker]) ++at_work_;
  has_worked_[worker] = true;
  const Nanos from = simulation::facts().elapsed;
  const Nanos body = begun ? body_ns : std::max(body_ns, kAtFirst);
  simulation::pass(worker < capacity.size() ? body * kFull / capacity[worker] : body);
  ++bodies;
  if (record != nullptr) record->push_back({worker, from, simulation::facts().elapsed, task});
}

namespace {

constexpr unsigned kPerWorker = 4;

/// A root on each worker, which stays there; what it spawns may be stolen.
template <class Root>
void start_on_each(paceline::runtime& rt, Root&& root) {
  for (std::size_t w = 0; w < rt.workers(); ++w) {
    rt.spawn(root(w), {.core = w}).detach();
  }
}

task<void> leaf(Workload& load) {
  load.work();
  co_return;
}

task<void> yields(Workload& load) {
  for (;;) {
    load.work();
    co_await paceline::yield();
  }
}

/// Tasks that yield, a few on each worker: no worker has anything to do with another one.
class Yield : public Workload {
 public:
  void begin(paceline::runtime& rt) override {
    start_on_each(rt, [this](std::size_t) { return root(*this); });
  }

 private:
  static task<void> root(Workload& load) {
    for (unsigned i = 0; i < kPerWorker; ++i) paceline::spawn(yields(load)).detach();
    co_return;
  }
};

/// The same with one counter that every body raises: what a global step in the cost looks like.
class Counter : public Workload {
 public:
  void begin(paceline::runtime& rt) override {
    start_on_each(rt, [this](std::size_t) { return counts(*this); });
  }

 private:
  static task<void> counts(Counter& load) {
    for (;;) {
      load.work();
      load.counter_.fetch_add(1, std::memory_order_relaxed);
      co_await paceline::yield();
    }
  }

  alignas(paceline::core::kCacheLinePair) paceline::core::Atomic<std::uint64_t> counter_{0};
};

/// A task on each worker that spawns children and awaits them.
class Spawn : public Workload {
 public:
  void begin(paceline::runtime& rt) override {
    start_on_each(rt, [this](std::size_t) { return parent(*this); });
  }

 private:
  static task<void> parent(Workload& load) {
    for (;;) {
      std::array<join_handle<void>, 8> children;
      for (auto& child : children) child = paceline::spawn(leaf(load));
      for (auto& child : children) co_await std::move(child);
    }
  }
};

/// One task spawns for all: the others live on what they steal.
class Steal : public Workload {
 public:
  Steal() { body_ns = 100 * kMicrosecond; }
  void begin(paceline::runtime& rt) override {
    begin_feeding(rt);
    start_on_each(rt, [this](std::size_t) { return stays_awake(*this); });
  }
  std::size_t feeders() const override { return 1; }

 protected:
  void begin_feeding(paceline::runtime& rt) {
    rt.spawn(feeds(*this, 64 * rt.workers()), {.core = 0}).detach();
  }

 private:
  static task<void> feeds(Steal& load, std::uint64_t most) {
    for (;;) {
      if (load.spawned_ - load.bodies < most) {
        paceline::spawn(leaf(load)).detach();
        ++load.spawned_;
      } else {
        simulation::pass(kMicrosecond);
      }
    }
    co_return;  // never; without it this would be no coroutine
  }
  static task<void> stays_awake(Steal& load) {
    while (!load.begun) simulation::pass(kMicrosecond);
    co_return;
  }

  std::uint64_t spawned_ = 0;
};

/// The same while the others sleep at first.
class Burst : public Steal {
 public:
  Burst() { body_ns = 1000 * kMicrosecond; }
  void begin(paceline::runtime& rt) override { begin_feeding(rt); }
};

/// A token for each worker travels from worker to worker, by a wake; beside it each has a task that
/// yields, so that none falls asleep.
class Ring : public Workload {
 public:
  void begin(paceline::runtime& rt) override {
    nodes_ = std::vector<Node>(rt.workers());
    start_on_each(rt, [this](std::size_t w) { return carries(*this, w); });
    start_on_each(rt, [this](std::size_t) { return yields(*this); });
    while (ready_ != nodes_.size()) simulation::pass(kMicrosecond);
    for (Node& node : nodes_) node.give();
  }

 private:
  struct alignas(paceline::core::kCacheLinePair) Node {
    paceline::waker owner;
    paceline::core::Atomic<std::uint32_t> tokens{0};

    void give() {
      tokens.fetch_add(1, std::memory_order_release);
      owner.wake();
    }
  };

  static task<void> carries(Ring& ring, std::size_t self) {
    Node& me = ring.nodes_[self];
    Node& next = ring.nodes_[(self + 1) % ring.nodes_.size()];
    me.owner = paceline::this_task::waker();
    ++ring.ready_;
    for (;;) {
      auto token = paceline::suspend_until(
          [&me]() noexcept { return me.tokens.load(std::memory_order_acquire) != 0; },
          [](paceline::waker) noexcept {});
      co_await std::move(token);
      me.tokens.fetch_sub(1, std::memory_order_relaxed);
      ring.work();
      next.give();
    }
  }

  std::vector<Node> nodes_;
  std::size_t ready_ = 0;
};

/// Threads that are no workers spawn for all, one for each four workers.
class Outside : public Workload {
 public:
  Outside() { body_ns = 10 * kMicrosecond; }
  void begin(paceline::runtime& rt) override {
    rt_ = &rt;
    most_ = 4 * rt.workers();
    for (std::size_t i = 0; i < (rt.workers() + 3) / 4; ++i) {
      simulation::start(&Outside::client, this);
    }
  }

 private:
  static void client(void* raw) noexcept {
    auto& self = *static_cast<Outside*>(raw);
    for (;;) {
      if (self.spawned_ - self.bodies >= self.most_) {
        simulation::pass(kMicrosecond);
        continue;
      }
      ++self.spawned_;
      self.rt_->spawn(leaf(self)).detach();
    }
  }

  paceline::runtime* rt_ = nullptr;
  std::uint64_t spawned_ = 0;
  std::uint64_t most_ = 0;
};

/// As many equal hogs as workers, on unequal cores. They yield, and go where they are sent.
class Hogs : public Workload {
 public:
  Hogs() { body_ns = 100 * kMicrosecond; }
  void begin(paceline::runtime& rt) override {
    progress_.resize(rt.workers());
    for (std::size_t i = 0; i < progress_.size(); ++i) start(rt, i);
  }
  void begin_window() override { std::fill(progress_.begin(), progress_.end(), 0); }
  void print(const paceline::runtime& rt) const override {
    const auto [least, most] = std::minmax_element(progress_.begin(), progress_.end());
    fmt::print("progress_least {}\nprogress_most {}\n", *least, *most);
    const paceline::runtime_stats stats = rt.stats();
    fmt::print("steals {}\nrebalanced {}\nstirred {}\n", stats.total.steals, stats.total.rebalanced,
               stats.total.stirred);
  }

 protected:
  virtual void start(paceline::runtime& rt, std::size_t i) {
    rt.spawn(computes(*this, i)).detach();
  }
  static task<void> computes(Hogs& load, std::size_t self) {
    while (load.goes_on(self)) {
      load.work(self);
      ++load.progress_[self];
      co_await paceline::yield();
    }
  }
  /// Asked before each body.
  virtual bool goes_on(std::size_t) { return true; }

 private:
  std::vector<std::uint64_t> progress_;  // bodies of each
};

/// The same; those on fast cores end together, and who is on a slow one goes on.
class LeavingHogs : public Hogs {
 public:
  void begin(paceline::runtime& rt) override {
    leave_ = std::vector<bool>(rt.workers());
    on_fast_ = leave_;
    Hogs::begin(rt);
  }
  void begin_window() override {
    Hogs::begin_window();
    leave_ = on_fast_;
    began_ = last_slow_ = simulation::facts().elapsed;
  }
  void print(const paceline::runtime& rt) const override {
    Hogs::print(rt);
    fmt::print("left {}\nslow_until_ns {}\n", std::count(leave_.begin(), leave_.end(), true),
               last_slow_ - began_);
  }

 protected:
  bool goes_on(std::size_t self) override {
    if (leave_[self]) return false;
    on_fast_[self] = capacity[paceline::this_task::worker()] == kFull;
    if (!on_fast_[self]) last_slow_ = simulation::facts().elapsed;
    return true;
  }

 private:
  std::vector<bool> leave_;
  std::vector<bool> on_fast_;
  Nanos began_ = 0;
  Nanos last_slow_ = 0;  // when a body last began on a slow core
};

/// The same, each bound to a core: what they make of it when nobody moves.
class BoundHogs : public Hogs {
 protected:
  void start(paceline::runtime& rt, std::size_t i) override {
    rt.spawn(computes(*this, i), {.core = i}).detach();
  }
};

template <class Kind>
std::unique_ptr<Workload> make() {
  return std::make_unique<Kind>();
}

}  // namespace

std::span<const WorkloadKind> workload_kinds() {
  constexpr Nanos kShort = 200 * kMicrosecond;
  constexpr Nanos kWindow = 300 * kMicrosecond;
  constexpr Nanos kMs = 1000 * kMicrosecond;
  static const WorkloadKind all[] = {
      {"yield", "tasks that yield, four on each worker", make<Yield>, kShort, kMs, kWindow},
      {"spawn", "a task on each worker spawns eight children and awaits them", make<Spawn>, kShort,
       kMs, kWindow},
      {"ring", "a token for each worker goes round, beside tasks that yield", make<Ring>, kShort,
       kMs, kWindow},
      {"steal", "one task spawns for all", make<Steal>, 3 * kMs, 10 * kMs, 2 * kMs},
      {"burst", "one task spawns for all, who sleep at first", make<Burst>, 0, 200 * kMs, kMs},
      {"outside", "threads that are no workers spawn for all", make<Outside>, 2 * kMs, 4 * kMs,
       kMs},
      {"hogs", "as many equal hogs as workers, which yield", make<Hogs>, 2 * kMs, 100 * kMs,
       600 * kMs},
      {"bound_hogs", "the same, each bound to a core", make<BoundHogs>, 2 * kMs, 100 * kMs,
       600 * kMs},
      {"leaving_hogs", "the same, and those on fast cores end", make<LeavingHogs>, 2 * kMs,
       100 * kMs, 20 * kMs},
      {"counter", "tasks that yield, and raise one counter all together", make<Counter>, kShort,
       kMs, kWindow},
  };
  return all;
}

}  // namespace paceline_cores
