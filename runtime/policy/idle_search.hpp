// SPDX-License-Identifier: BSL-1.0
// In which order a worker without work looks for some, and whom it asks to hand work back.
//
// Flow room: idle. Each worker asks for itself. It proposes, one step at a time; the worker tries
// and asks for the next step when somebody else was faster. The rules are the reference's sections
// 3.6 and 3.7 (XNU's sched_edge processor idle path).
// Proof: tests/unit/policy/idle_search_test.cpp, tests/unit/policy/edge_world_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bits.hpp"
#include "policy/edge_table.hpp"
#include "policy/latency.hpp"

namespace paceline::core::policy {

enum class IdleWhat : std::uint8_t {
  own,           ///< poll what is queued on the own cluster, or pinned here
  take_foreign,  ///< the most important queued task of `where` that prefers the own kind
  steal,         ///< the most important unbound task of `where` in the classes `classes`
  rebalance,     ///< ask workers of `where` to give up tasks that prefer the own kind, park lightly
  park,
};
std::string_view to_string(IdleWhat what) noexcept;

enum class IdleReason : std::uint8_t {
  own_work,
  wants_this_kind,  ///< it sits, or runs, on another kind only for want of a core
  native,           ///< the victim is of the own kind
  overloaded,       ///< of another kind, with more runnable tasks than workers
  nothing,          ///< no cluster has anything for this one
  not_recommended,  ///< the own cluster is to take no work
};
std::string_view to_string(IdleReason reason) noexcept;

struct IdleVerdict {
  IdleWhat what;
  ClusterIndex where;
  ClassMask classes;  ///< of a steal
  IdleReason reason;

  friend bool operator==(const IdleVerdict&, const IdleVerdict&) = default;
};

/// The first class, from the most important one that is queued downwards, that a thief of another
/// kind may take from `victim`: more of it is runnable than the victim has workers.
template <class Loads>
ClassMask overloaded_class(const Loads& loads, ClusterIndex victim, ClassMask allowed) noexcept {
  const std::uint32_t workers = loads.workers(victim);
  for (Word left = loads.stealable(victim) & allowed; left != 0; left = without_lowest(left)) {
    const auto q = static_cast<qos>(lowest(left));
    if (loads.depth(victim, q) > workers) return class_bit(q);
  }
  return kNoClass;
}

/// One idle worker's search, resumable: each call of next() goes on behind the last proposal.
class IdleSearch {
 public:
  IdleSearch(const EdgeTable& table, ClusterIndex own) noexcept
      : table_(&table), own_(table.known(own)) {}

  template <class Loads>
  IdleVerdict next(const Loads& loads, bool own_ready) noexcept {
    if (step_ == Step::own) {
      enter(Step::foreign_queued);
      if (own_ready) return {IdleWhat::own, own_, kAllClasses, IdleReason::own_work};
    }
    if (!loads.recommended(own_))
      return {IdleWhat::park, own_, kNoClass, IdleReason::not_recommended};
    for (; step_ != Step::park; enter(static_cast<Step>(static_cast<unsigned>(step_) + 1))) {
      const std::span<const Candidate> visited = step_ == Step::steal_native ? table_->natives(own_)
                                                 : step_ == Step::steal_any
                                                     ? table_->candidates(own_)
                                                     : table_->foreigners(own_);
      while (at_ < visited.size()) {
        const IdleVerdict verdict = look(visited[at_++], loads);
        if (verdict.what != IdleWhat::park) return verdict;
      }
    }
    return {IdleWhat::park, own_, kNoClass, IdleReason::nothing};
  }

 private:
  // The order of 3.6.
  enum class Step : std::uint8_t {
    own,
    foreign_queued,
    steal_native,
    foreign_running,
    steal_any,
    park
  };

  void enter(Step step) noexcept {
    step_ = step;
    at_ = 0;
  }

  /// What the present step makes of a cluster; park: nothing.
  template <class Loads>
  IdleVerdict look(const Candidate& victim, const Loads& loads) const noexcept {
    const ClusterIndex c = victim.cluster;
    const IdleVerdict nothing{IdleWhat::park, c, kNoClass, IdleReason::nothing};
    const RankMask mine = rank_bit(table_->rank(own_));
    switch (step_) {
      case Step::foreign_queued:
        if (!loads.recommended(c) || (loads.foreign_queued(c) & mine) == 0) return nothing;
        return {IdleWhat::take_foreign, c, kAllClasses, IdleReason::wants_this_kind};
      case Step::foreign_running:
        if ((loads.foreign_running(c) & mine) == 0) return nothing;
        return {IdleWhat::rebalance, c, kNoClass, IdleReason::wants_this_kind};
      case Step::steal_native:
      case Step::steal_any: {
        const ClassMask allowed =
            victim.steal_from == kNoClass ? kNoClass : loads.stealable(c) & victim.steal_from;
        if (allowed == kNoClass) return nothing;
        if (victim.native) return {IdleWhat::steal, c, allowed, IdleReason::native};
        const ClassMask taken = overloaded_class(loads, c, allowed);
        if (taken == kNoClass) return nothing;
        return {IdleWhat::steal, c, taken, IdleReason::overloaded};
      }
      default: return nothing;
    }
  }

  const EdgeTable* table_;
  std::size_t at_ = 0;
  ClusterIndex own_;
  Step step_ = Step::own;
};

/// Where a worker of `own` looks first.
template <class Loads>
IdleVerdict idle_search(const EdgeTable& table, ClusterIndex own, bool own_ready,
                        const Loads& loads) noexcept {
  return IdleSearch(table, own).next(loads, own_ready);
}

/// Whether a worker that gave way would find something else to do.
template <class Loads>
bool should_yield(const EdgeTable& table, ClusterIndex own, bool own_ready,
                  const Loads& loads) noexcept {
  return idle_search(table, own, own_ready, loads).what != IdleWhat::park;
}

extern template IdleVerdict idle_search(const EdgeTable&, ClusterIndex, bool,
                                        const LoadView&) noexcept;

/// A worker whose running task is unbound, not urgent, and prefers another kind of core.
struct RunningForeign {
  std::uint32_t worker;
  std::uint16_t priority;  ///< higher is more important
  std::uint8_t prefers;    ///< rank of the kind
  SharedUse shared;
  bool asked;  ///< has a REBALANCE request that it has not answered
};

/// Writes to `targets` the workers that get a REBALANCE request so that `idle` workers of cluster
/// `own` find work, most important first, and returns how many. At most as many requests are
/// outstanding as workers idle, those counted that were asked before. A shared task is called only
/// to a cluster that has none of its sort.
template <class Loads>
std::size_t rebalance_targets(const EdgeTable& table, ClusterIndex own, std::uint32_t idle,
                              std::span<const RunningForeign> running, const Loads& loads,
                              std::span<std::uint32_t> targets) noexcept {
  own = table.known(own);
  const auto may_come = [&](const RunningForeign& task) {
    return task.prefers == table.rank(own) &&
           (task.shared == SharedUse::none || loads.shared(own, task.shared) == 0);
  };
  std::size_t outstanding = 0;
  for (const RunningForeign& task : running) outstanding += task.asked && may_come(task) ? 1 : 0;
  // Each turn finds the next in the order of priority, then of place: k x m steps, no memory.
  std::size_t count = 0;
  const RunningForeign* last = nullptr;
  while (outstanding + count < idle && count < targets.size()) {
    const RunningForeign* best = nullptr;
    for (const RunningForeign& task : running) {
      if (task.asked || !may_come(task)) continue;
      if (last != nullptr &&
          (task.priority > last->priority || (task.priority == last->priority && &task <= last)))
        continue;
      if (best == nullptr || task.priority > best->priority) best = &task;
    }
    if (best == nullptr) break;
    targets[count++] = best->worker;
    last = best;
  }
  return count;
}

}  // namespace paceline::core::policy
