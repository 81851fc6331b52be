// SPDX-License-Identifier: BSL-1.0
// A world of clusters, workers and endless tasks in which "Edge" takes every decision: where tasks
// start, who is preempted, what idle workers take, who leaves at the end of a quantum.
//
// Time is a counter: a tick is a quantum, and each decision takes a nanosecond, so that no two
// things happen at once. A preempted task gives way at once; requests to rebalance wait for poll().
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/rng.hpp"
#include "base/time.hpp"
#include "policy/avoid.hpp"
#include "policy/controller_events.hpp"
#include "policy/idle_search.hpp"
#include "policy/place.hpp"
#include "policy/worker_choice.hpp"
#include "unit/policy/machines.hpp"

namespace paceline_test {

inline constexpr paceline::core::Nanos kQuantum = 10 * paceline::core::kMillisecond;
inline constexpr std::uint32_t kNobody = 0xffff'ffff;

struct Hog {
  policy::ClusterIndex preferred = 0;
  policy::ClusterIndex bound = policy::kNoCluster;
  policy::SharedUse shared = policy::SharedUse::none;
  std::uint16_t priority = 31;
  bool unstealable = false;           // as its last placement said
  std::uint32_t worker = kNobody;     // runs there
  std::uint32_t queued_on = kNobody;  // waits on that cluster
  double progress = 0;                // quanta of a core of speed 1
};

class EdgeWorld {
 public:
  /// `speeds` by rank.
  EdgeWorld(const Machine& machine, policy::Profile profile, std::vector<double> speeds, bool stirs)
      : EdgeWorld(machine.view(), profile, std::move(speeds), stirs) {}
  EdgeWorld(const policy::MachineView& machine, policy::Profile profile, std::vector<double> speeds,
            bool stirs, std::uint64_t seed = 1)
      : table_(machine, profile),
        speeds_(std::move(speeds)),
        stirs_(stirs),
        loads_(machine.clusters.size()),
        queues_(loads_.size()),
        firsts_(loads_.size()),
        wakes_(loads_.size()),
        rng_(seed) {
    for (std::size_t c = 0; c < loads_.size(); ++c) {
      const policy::ClusterView& cluster = machine.clusters[c];
      firsts_[c] = cluster.first;
      loads_[c].workers = cluster.count;
      for (unsigned i = 0; i < cluster.count; ++i)
        workers_.push_back({kNobody, 0, static_cast<policy::ClusterIndex>(c), false});
    }
  }

  const policy::EdgeTable& table() const { return table_; }
  const Hog& hog(std::uint32_t task) const { return hogs_[task]; }
  std::uint32_t hogs() const { return static_cast<std::uint32_t>(hogs_.size()); }
  unsigned wakes(std::size_t cluster) const { return wakes_[cluster]; }
  unsigned rebalances() const { return rebalances_; }
  std::uint32_t outstanding() const {
    return static_cast<std::uint32_t>(
        std::count_if(workers_.begin(), workers_.end(), [](const Worker& w) { return w.asked; }));
  }
  std::uint32_t idle_workers() const {
    return static_cast<std::uint32_t>(std::count_if(
        workers_.begin(), workers_.end(), [](const Worker& w) { return w.task == kNobody; }));
  }
  policy::ClusterIndex cluster_of(std::uint32_t task) const {
    const Hog& h = hogs_[task];
    if (h.worker != kNobody) return workers_[h.worker].cluster;
    return static_cast<policy::ClusterIndex>(h.queued_on);
  }
  bool runs(std::uint32_t task) const { return hogs_[task].worker != kNobody; }

  std::uint32_t spawn(Hog hog) {
    hogs_.push_back(hog);
    const auto task = static_cast<std::uint32_t>(hogs_.size() - 1);
    arrive(task, false);
    return task;
  }
  /// The task waits for something: its worker looks for work, or its queue forgets it.
  void suspend(std::uint32_t task) {
    const std::uint32_t worker = hogs_[task].worker;
    take_away(task);
    if (worker != kNobody) search(worker);
  }
  void wake(std::uint32_t task) { arrive(task, false); }

  /// Everybody runs for a quantum, then each worker is at its end.
  void tick() {
    now_ += kQuantum;
    for (Worker& worker : workers_) {
      if (worker.task == kNobody) continue;
      hogs_[worker.task].progress += speeds_[table_.rank(worker.cluster)];
      auto& load = loads_[worker.cluster].classes[policy::index_of(kClass)];
      load = policy::with_slice(load, kQuantum / paceline::core::kMicrosecond, now_);
    }
    // Who was swapped in by an earlier worker's decision has a quantum before it.
    std::vector<std::uint32_t> ended;
    for (const Worker& worker : workers_) ended.push_back(worker.task);
    for (std::uint32_t w = 0; w < workers_.size(); ++w) {
      if (ended[w] != kNobody && workers_[w].task == ended[w]) check(w, true);
    }
    search_all();
  }
  /// Everybody reaches a poll point.
  void poll() {
    for (std::uint32_t w = 0; w < workers_.size(); ++w) {
      if (workers_[w].asked && workers_[w].task != kNobody) check(w, false);
    }
  }
  void search_all() {
    for (std::uint32_t w = 0; w < workers_.size(); ++w) {
      if (workers_[w].task == kNobody) search(w);
    }
  }

  void recommend(policy::ClusterIndex cluster, bool recommended) {
    const policy::Availability before{loads_[cluster].recommended, loads_[cluster].workers};
    loads_[cluster].recommended = recommended;
    switch (policy::availability_changed(before, {recommended, before.workers})) {
      case policy::AvailabilityVerdict::nothing: break;
      case policy::AvailabilityVerdict::drain:
        for (std::uint32_t task :
             std::vector<std::uint32_t>(queues_[cluster].begin(), queues_[cluster].end())) {
          take_away(task);
          arrive(task, false);
        }
        break;
      case policy::AvailabilityVerdict::search_once:
        for (std::uint32_t w = 0; w < workers_.size(); ++w) {
          if (workers_[w].cluster != cluster || workers_[w].task != kNobody) continue;
          search(w);
          break;
        }
        break;
    }
  }

  void prefer(policy::ClusterIndex preferred, policy::PreferenceOptions options) {
    for (Hog& hog : hogs_) hog.preferred = preferred;
    for (std::uint32_t task = 0; task < hogs_.size(); ++task) {
      const auto verdict = policy::preference_changed(table_, cluster_of(task), preferred, options);
      if (runs(task)) {
        workers_[hogs_[task].worker].asked |= verdict.ask_rebalance;
      } else if (verdict.queued == policy::QueuedAction::drain) {
        take_away(task);
        arrive(task, false);
      }
    }
    for (std::size_t c = 0; c < loads_.size(); ++c) refresh(static_cast<policy::ClusterIndex>(c));
  }

  policy::LoadView view() const { return {loads_}; }

 private:
  static constexpr qos kClass = qos::standard;

  struct Worker {
    std::uint32_t task;
    paceline::core::Nanos since;
    policy::ClusterIndex cluster;
    bool asked;  // to rebalance
  };

  bool foreign(const Hog& hog, policy::ClusterIndex here) const {
    return !table_.contains(hog.bound) && !hog.unstealable &&
           !table_.same_kind(here, hog.preferred);
  }

  void refresh(policy::ClusterIndex c) {
    policy::ClusterLoad& load = loads_[c];
    std::array<std::uint32_t, paceline::qos_count> counts{};
    load.shared = {};
    load.stealable = policy::kNoClass;
    load.foreign_queued = load.foreign_running = 0;
    const auto count = [&](const Hog& hog, policy::RankMask& marks) {
      ++counts[policy::index_of(kClass)];
      if (hog.shared != policy::SharedUse::none)
        ++load.shared[hog.shared == policy::SharedUse::native_first ? 1 : 0];
      if (foreign(hog, c)) marks |= policy::rank_bit(table_.rank(hog.preferred));
    };
    for (const std::uint32_t task : queues_[c]) {
      count(hogs_[task], load.foreign_queued);
      if (!hogs_[task].unstealable) load.stealable |= policy::class_bit(kClass);
    }
    for (unsigned i = 0; i < load.workers; ++i) {
      const Worker& worker = workers_[firsts_[c] + i];
      if (worker.task != kNobody) count(hogs_[worker.task], load.foreign_running);
    }
    const auto depths = policy::depths_of(counts);
    for (std::size_t q = 0; q < depths.size(); ++q)
      load.classes[q] = policy::with_depth(load.classes[q], depths[q], load.workers, now_);
  }

  void take_away(std::uint32_t task) {
    Hog& hog = hogs_[task];
    const policy::ClusterIndex c = cluster_of(task);
    if (hog.worker != kNobody) {
      workers_[hog.worker].task = kNobody;
      workers_[hog.worker].asked = false;
    } else {
      queues_[c].erase(std::find(queues_[c].begin(), queues_[c].end(), task));
    }
    hog.worker = hog.queued_on = kNobody;
    refresh(c);
  }

  void run(std::uint32_t task, std::uint32_t worker) {
    hogs_[task].worker = worker;
    workers_[worker].task = task;
    workers_[worker].since = ++now_;
    refresh(workers_[worker].cluster);
  }

  /// Spawned, woken, displaced or sent away: a cluster, then a worker of it.
  void arrive(std::uint32_t task, bool stirs) {
    Hog& hog = hogs_[task];
    const policy::PlaceVerdict to = policy::place(
        table_, policy::PlaceAsk{kClass, hog.preferred, hog.bound, hog.shared, stirs, stirred_},
        view());
    const bool forced = to.reason == policy::PlaceReason::stirred;
    if (forced) stirred_ = to.where;
    hog.unstealable = to.bound || to.reason == policy::PlaceReason::bound;
    std::vector<policy::WorkerView> workers;
    for (unsigned i = 0; i < loads_[to.where].workers; ++i) {
      const Worker& worker = workers_[firsts_[to.where] + i];
      policy::WorkerView seen{.since = worker.since, .idle = worker.task == kNobody};
      if (!seen.idle) seen.priority = hogs_[worker.task].priority;
      workers.push_back(seen);
    }
    const policy::WorkerVerdict who =
        policy::choose_worker(workers, {.priority = hog.priority, .force = forced}, rng_);
    const std::uint32_t worker = firsts_[to.where] + who.where;
    switch (who.what) {
      case policy::WorkerWhat::wake:
        ++wakes_[to.where];
        run(task, worker);
        break;
      case policy::WorkerWhat::preempt: {
        const std::uint32_t displaced = workers_[worker].task;
        take_away(displaced);
        run(task, worker);
        arrive(displaced, false);
        break;
      }
      case policy::WorkerWhat::queue:
        hog.queued_on = to.where;
        queues_[to.where].push_back(task);
        ++now_;
        refresh(to.where);
        break;
    }
  }

  /// The running task's avoid test.
  void check(std::uint32_t w, bool quantum_expired) {
    const std::uint32_t task = workers_[w].task;
    const Hog& hog = hogs_[task];
    workers_[w].asked = false;
    const policy::AvoidAsk ask{.q = kClass,
                               .here = workers_[w].cluster,
                               .preferred = hog.preferred,
                               .bound = hog.bound,
                               .shared = hog.shared,
                               .quantum_expired = quantum_expired};
    const policy::AvoidVerdict verdict = policy::avoid(table_, ask, view());
    if (!verdict.leave) return;
    take_away(task);
    arrive(task, stirs_ && policy::stir(ask, verdict));
  }

  void search(std::uint32_t w) {
    const policy::ClusterIndex own = workers_[w].cluster;
    policy::IdleSearch search(table_, own);
    while (workers_[w].task == kNobody) {
      const policy::IdleVerdict verdict = search.next(view(), !queues_[own].empty());
      switch (verdict.what) {
        case policy::IdleWhat::own: take(w, own, [](const Hog&) { return true; }); break;
        case policy::IdleWhat::take_foreign:
          take(w, verdict.where, [&](const Hog& hog) {
            return foreign(hog, verdict.where) && table_.same_kind(hog.preferred, own);
          });
          break;
        case policy::IdleWhat::steal:
          take(w, verdict.where, [](const Hog& hog) { return !hog.unstealable; });
          break;
        case policy::IdleWhat::rebalance: ask_rebalance(own); return;
        case policy::IdleWhat::park: return;
      }
    }
  }

  template <class Fits>
  void take(std::uint32_t w, policy::ClusterIndex from, Fits fits) {
    for (const std::uint32_t task : queues_[from]) {
      if (!fits(hogs_[task])) continue;
      take_away(task);
      ++wakes_[workers_[w].cluster];
      run(task, w);
      return;
    }
  }

  void ask_rebalance(policy::ClusterIndex own) {
    std::vector<policy::RunningForeign> running;
    for (std::uint32_t w = 0; w < workers_.size(); ++w) {
      if (workers_[w].task == kNobody) continue;
      const Hog& hog = hogs_[workers_[w].task];
      if (!foreign(hog, workers_[w].cluster)) continue;
      running.push_back(
          {w, hog.priority, table_.rank(hog.preferred), hog.shared, workers_[w].asked});
    }
    std::uint32_t idle = 0;
    for (const Worker& worker : workers_)
      idle += worker.cluster == own && worker.task == kNobody ? 1 : 0;
    std::vector<std::uint32_t> targets(workers_.size());
    const std::size_t count =
        policy::rebalance_targets(table_, own, idle, running, view(), targets);
    for (std::size_t i = 0; i < count; ++i) workers_[targets[i]].asked = true;
    rebalances_ += static_cast<unsigned>(count);
  }

  policy::EdgeTable table_;
  std::vector<double> speeds_;
  bool stirs_;
  std::vector<policy::ClusterLoad> loads_;
  std::vector<std::deque<std::uint32_t>> queues_;
  std::vector<std::uint32_t> firsts_;
  std::vector<Worker> workers_;
  std::vector<Hog> hogs_;
  std::vector<unsigned> wakes_;
  unsigned rebalances_ = 0;
  policy::ClusterIndex stirred_ = policy::kNoCluster;
  paceline::core::Rng rng_;
  paceline::core::Nanos now_ = 0;
};

}  // namespace paceline_test
