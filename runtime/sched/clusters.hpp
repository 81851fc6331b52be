// SPDX-License-Identifier: BSL-1.0
// Clusters: the groups of like cores that a runtime's workers sit on, as the Edge policy sees them.
// Flow rooms: spawn (place), run (raid, park), preempt (the controller's steps, by steering.cpp).
// It must never cost anything where there is one cluster: several() is false, nobody asks more.
// Proof: tests/unit/api/clusters_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <paceline/qos.hpp>

#include "base/atomic.hpp"
#include "base/time.hpp"
#include "policy/class_table.hpp"
#include "policy/edge_table.hpp"
#include "policy/idle_search.hpp"
#include "policy/latency.hpp"
#include "policy/place.hpp"
#include "sched/idle.hpp"

namespace paceline::core {

/// Which worker sits where, how long work waits there, and what each class prefers.
///
/// Everything but the two groups below is fixed by arrange(), before a worker runs. The boards are
/// written by whoever claims `refreshing`, one at a time; all others read what was there before.
/// Preferences and advice are written by the controller alone. All of these are numbers for
/// decisions that any answer leaves correct: relaxed. Progress: nobody waits for anybody.
class Clusters {
 public:
  /// Worker i sits on core i, around if there are more. Throws std::bad_alloc, and
  /// std::invalid_argument for a machine that contradicts itself; then there is one cluster.
  void arrange(const policy::MachineView& machine, policy::Profile profile, double time_scale,
               Hub& hub, std::span<Seat* const> seats);

  /// From here on there is one cluster. Before a worker runs.
  void forget() noexcept;

  /// Do workers sit on more than one? If not, none of what follows may be called.
  bool several() const noexcept { return table_.has_value(); }
  std::size_t count() const noexcept { return homes_.size(); }
  policy::ClusterIndex of(unsigned worker) const noexcept { return of_worker_[worker]; }
  /// In the order of their numbers; a cluster may have none.
  std::span<const std::size_t> workers_of(policy::ClusterIndex cluster) const noexcept {
    return homes_[cluster].workers;
  }
  const policy::EdgeTable& table() const noexcept { return *table_; }

  /// Where a new task of class `q` goes. Any thread.
  policy::PlaceVerdict place(qos q) const noexcept {
    return policy::place(*table_, {.q = q, .preferred = preferred(q)}, *this);
  }
  /// Where one goes that takes a turn on the kind of core that it prefers.
  policy::PlaceVerdict place_in_turn(qos q) const noexcept {
    const policy::ClusterIndex last = stirred_[policy::index_of(q)].load(std::memory_order_relaxed);
    return policy::place(*table_,
                         {.q = q, .preferred = preferred(q), .stir = true, .stirred = last}, *this);
  }
  /// One went there. Two at a time may go to the same cluster: a place in the rotation is lost.
  void note_turn(qos q, policy::ClusterIndex where) noexcept {
    stirred_[policy::index_of(q)].store(where, std::memory_order_relaxed);
  }
  policy::ClusterIndex preferred(qos q) const noexcept {
    return preferred_[policy::index_of(q)].load(std::memory_order_relaxed);
  }
  /// Classes that prefer the kind of core that `cluster` is of.
  Word native_classes(policy::ClusterIndex cluster) const noexcept {
    return homes_[cluster].native.load(std::memory_order_relaxed);
  }

  // --- whom to hand a task, and how much there may be to hand; any thread ---

  /// A worker of the cluster that has nothing to do and no mail. Null: none is seen.
  Seat* free_worker(policy::ClusterIndex c) const noexcept;
  /// The worker of the cluster where room is made for a task of class `q` that takes a turn: the
  /// least important runs there, of equals the one that came first. Not where a poll lasts for
  /// longer than `patience`. Null: there is none.
  Seat* where_to_take_turn(policy::ClusterIndex c, qos q, Nanos now, Nanos patience) const noexcept;
  /// How many of those there are.
  std::uint32_t free_workers(policy::ClusterIndex c) const noexcept;
  /// Does a worker sleep whose kind of core one of `classes` prefers?
  bool one_sleeps_for(Word classes) const noexcept;
  /// Does a task run there that is not urgent and prefers another kind of core?
  std::optional<policy::RunningForeign> running_foreign(unsigned worker) const noexcept;

  // --- the controller; one thread ---

  void prefer(qos q, policy::ClusterIndex cluster) noexcept {
    preferred_[policy::index_of(q)].store(cluster, std::memory_order_relaxed);
  }
  void recommend(policy::ClusterIndex cluster, bool yes) noexcept {
    homes_[cluster].recommended.store(yes, std::memory_order_relaxed);
  }
  /// After a change of the two above: what workers and wakers read at their own seats.
  void publish() noexcept;

  // --- what policies ask, in the form of policy::LoadView; any thread ---

  bool recommended(policy::ClusterIndex c) const noexcept {
    return homes_[c].recommended.load(std::memory_order_relaxed);
  }
  /// None where no work is to go: what still wakes up there is for others to take.
  std::uint32_t workers(policy::ClusterIndex c) const noexcept {
    return recommended(c) ? static_cast<std::uint32_t>(homes_[c].workers.size()) : 0;
  }
  /// 0 while one of its workers is seen to be free.
  policy::Load latency(policy::ClusterIndex c, qos q) const noexcept;
  /// No task says that it uses what a cluster shares.
  policy::Load shared(policy::ClusterIndex, policy::SharedUse) const noexcept { return 0; }
  /// Runnable tasks by class, running ones included, pinned ones not; of each worker and class up
  /// to some hundred.
  std::array<std::uint32_t, qos_count> runnable(policy::ClusterIndex c) const noexcept {
    return runnable(homes_[c], kCountAtMost);
  }
  /// Runnable tasks of class `q` or a more important one, counted up to one more than workers.
  std::uint32_t depth(policy::ClusterIndex c, qos q) const noexcept;
  /// Is more runnable there than it has workers, of whatever class, what they stole included?
  bool is_overloaded(policy::ClusterIndex c) const noexcept;
  policy::ClassMask stealable(policy::ClusterIndex c) const noexcept;
  policy::RankMask foreign_queued(policy::ClusterIndex c) const noexcept;
  policy::RankMask foreign_running(policy::ClusterIndex c) const noexcept;

 private:
  // So many ready tasks of a class on one worker are counted; more make no difference to anybody.
  static constexpr unsigned kCountAtMost = 256;

  struct Home {
    std::vector<std::size_t> workers;
    unsigned first_word = 0;    // of Hub::asleep,
    std::vector<Word> members;  // from there on
    Atomic<Word> native{policy::kAllClasses};
    Atomic<bool> recommended{true};
  };
  /// How long work waited on a cluster when somebody last looked.
  struct alignas(kCacheLinePair) Board {
    Atomic<std::uint32_t> refreshing{0};
    Atomic<Nanos> looked_at{-kSecond};
    std::array<Atomic<policy::Load>, qos_count> latency{};
    std::array<policy::ClassLoad, qos_count> classes{};  // of whoever refreshes
  };

  bool one_sleeps(const Home& home) const noexcept;
  template <class Visit>
  bool each_asleep(const Home& home, Visit&& visit) const noexcept;
  bool somebody_is_free(const Home& home) const noexcept;
  void refresh(policy::ClusterIndex c) const noexcept;
  std::array<std::uint32_t, qos_count> runnable(const Home& home, unsigned limit) const noexcept;
  policy::RankMask kinds_preferred_by(Word classes, policy::ClusterIndex but_of) const noexcept;
  std::uint8_t rank_preferred_by(qos q) const noexcept;

  Nanos memory_ = policy::kLatencyMemory;  // of the averages on the boards
  std::optional<policy::EdgeTable> table_;
  std::vector<Home> homes_;
  std::vector<policy::ClusterIndex> of_worker_;
  std::unique_ptr<Board[]> boards_;
  std::vector<Seat*> seats_;
  Hub* hub_ = nullptr;
  std::array<Atomic<policy::ClusterIndex>, qos_count> preferred_{};
  std::array<Atomic<policy::ClusterIndex>, qos_count> stirred_{};  // kNoCluster: nowhere yet
};

}  // namespace paceline::core
