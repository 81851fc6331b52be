// SPDX-License-Identifier: BSL-1.0
// Balancing between the cores of a domain: when, from where, which task, and where woken or new
// work goes. Flow room: policy (the slow level; per-wake choice between clusters is Edge's). Called
// by a worker for itself, with snapshots; holds nothing but the clock each core keeps for its own
// passes. It must never allocate or look at anything that was not handed in.
// Proof: tests/unit/policy/balance_test.cpp (statements 52-54), tests/sim (57, 59).
// Source: policies.md 4.2-4.4 for every rule and number; what that page leaves open is marked.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/time.hpp"
#include "policy/domains.hpp"

namespace paceline::core::policy {

/// Load of one task that is ready or runs all the time (policies.md 4.4).
inline constexpr std::uint64_t kTaskLoad = 1024;

/// The busiest part must have more than this many percent of the local load (4.2).
inline constexpr std::uint64_t kImbalancePercent = 125;

/// Least time between two moves of one task (4.4).
inline constexpr Nanos kMinResidency = 10 * kMillisecond;

/// "Was never moved".
inline constexpr Nanos kNeverMoved = -kForever;

/// Average of kTaskLoad times the tasks of a core; halves every 32 periods of 1.024 ms (5.5).
class LoadAverage {
 public:
  /// The tasks were `tasks` since the last update. A clock that goes back counts as standing still.
  void update(Nanos now, std::uint32_t tasks) noexcept;
  std::uint64_t value() const noexcept { return value_ >> kFraction; }

 private:
  static constexpr unsigned kFraction = 10;
  std::uint64_t value_ = 0;
  Nanos last_ = 0;
  bool started_ = false;
};

/// One core as the balancer sees it.
struct CoreLoad {
  std::uint64_t average;   ///< LoadAverage, or any other of the same scale
  std::uint32_t runnable;  ///< ready tasks and the one that runs
  std::uint32_t queued;    ///< of these, the ones that do not run
};

constexpr std::uint64_t load_of(const CoreLoad& core) noexcept {
  return core.average + kTaskLoad * core.runnable;
}

constexpr bool is_idle(const CoreLoad& core) noexcept { return core.runnable == 0; }

enum class MoveReason : std::uint8_t {
  move,
  no_benefit,       ///< the destination has as much load
  cost_exceeds,     ///< benefit <= cost of the way
  would_oscillate,  ///< one task fewer at the source: the move only swaps the two
};

struct MoveVerdict {
  MoveReason reason;
  std::uint64_t benefit;
  std::uint64_t cost;
};

/// Whether moving one task pays: benefit = half of the difference, against the cost of the way.
/// The raw rule alone lets two tasks against one oscillate; tasks must differ by two, or the
/// destination be idle.
MoveVerdict judge_move(const CoreLoad& src, const CoreLoad& dst, DomainLevel way) noexcept;

enum class PassReason : std::uint8_t {
  found,
  balanced,        ///< no part is busier than the limit
  nothing_queued,  ///< the busiest part has only running tasks
  does_not_pay,    ///< see the last MoveReason
};

/// Where a pass would take a task from.
struct PassVerdict {
  PassReason reason;
  std::uint32_t source;  ///< core; kNoCore unless found
  MoveVerdict move;
};

/// One pass of `core` over `domain`, which must have it in its span. `loads` is indexed by core.
/// A busy core compares its group with the busiest other group, per capacity, then takes the first
/// busiest core there. An idle core takes the first busiest core of all other groups: with nothing
/// to do, the sums of its neighbours do not matter. O(span).
PassVerdict find_source(const Domains& domains, const Domain& domain, std::uint32_t core,
                        std::span<const CoreLoad> loads) noexcept;

/// A task of the source as the balancer sees it.
struct BalanceTask {
  Nanos last_move;               ///< kNeverMoved if it never was
  std::uint64_t virtual_time;    ///< of its fair order; greatest has the longest wait before it
  std::uint16_t preferred_rank;  ///< of clusters; kAnyRank if it has none
  bool allowed;                  ///< its affinity has the destination
  bool running;
  bool hot;    ///< its cache lines are still on the source, says the caller
  bool fixed;  ///< of the urgent class, bound to a cluster, or a shared-resource task
};

inline constexpr std::uint16_t kAnyRank = 0xffff;

enum class TaskReason : std::uint8_t {
  may_move,
  no_task,
  forbidden,  ///< by affinity
  running,
  fixed,
  too_recent,  ///< moved within kMinResidency
  hot,
  would_be_foreign,  ///< it prefers the source's kind of core, or at least not the destination's
};

TaskReason judge_task(const BalanceTask& task, std::uint16_t dst_rank, Nanos now) noexcept;

struct TaskVerdict {
  TaskReason reason;    ///< may_move, or what spoke against the first task, or no_task
  std::uint32_t index;  ///< into the tasks given; valid with may_move
};

/// Of the tasks that may move, the one with the greatest virtual time; ties: the first (8.1 row 7).
TaskVerdict pick_task(std::span<const BalanceTask> tasks, std::uint16_t dst_rank,
                      Nanos now) noexcept;

/// When a core makes its passes. One for each core, written by that core only.
class BalanceClock {
 public:
  struct Level {
    Nanos last;
    Nanos interval;
    std::uint32_t failures;  ///< in a row
    std::uint64_t passes;
    std::uint64_t moved;
  };

  explicit BalanceClock(Nanos now) noexcept;

  /// Whether a periodic pass is due. A busy core waits twice as long.
  bool due(DomainLevel level, Nanos now, bool busy) const noexcept;
  /// A pass was made: a useless one doubles the interval, up to 8 times the least; success resets
  /// it.
  void made(DomainLevel level, Nanos now, bool moved) noexcept;
  const Level& at(DomainLevel level) const noexcept {
    return levels_[static_cast<std::size_t>(level)];
  }

 private:
  Level levels_[kDomainLevels];
};

/// The search of a core that goes idle: its domains from the inside out, to the first source.
struct PullVerdict {
  PassVerdict pass;      ///< of the domain it stopped at, or of the outermost
  std::uint32_t domain;  ///< kNoDomain if the core has none
  std::uint32_t looked;  ///< domains that were looked at
};
PullVerdict search_idle(const Domains& domains, std::uint32_t core,
                        std::span<const CoreLoad> loads) noexcept;
/// The same, going on with the domain `from` after a source whose tasks could not move.
PullVerdict search_idle_from(const Domains& domains, std::uint32_t from, std::uint32_t core,
                             std::span<const CoreLoad> loads) noexcept;

enum class WakeCoreReason : std::uint8_t {
  previous_free,   ///< at most one task runs there
  this_is_busier,  ///< load here above twice the load there
  this_is_lighter,
  stays_resident,  ///< moved within kMinResidency
  previous_forbidden,
  this_forbidden,
};

struct WakeCoreInputs {
  CoreLoad previous;
  CoreLoad here;  ///< the core that wakes
  Nanos last_move;
  Nanos now;
  bool previous_allowed;  ///< online and in the mask; one of the two must be
  bool here_allowed;
};

struct WakeCoreVerdict {
  WakeCoreReason reason;
  bool to_previous;
};

/// Previous or waking core (4.3). The residency guard of 4.4 holds for wakes as well.
WakeCoreVerdict choose_wake_core(const WakeCoreInputs& inputs) noexcept;

enum class LeastLoadedReason : std::uint8_t { chosen, nobody_allowed };

struct LeastLoadedVerdict {
  LeastLoadedReason reason;
  std::uint32_t core;
};

/// New work: the least loaded core of `span` that is in `allowed`; ties: the first.
LeastLoadedVerdict least_loaded(std::span<const std::uint32_t> span,
                                std::span<const CoreLoad> loads, CoreMask allowed) noexcept;

/// What a core can take: capacity - min(capacity, utilisation).
constexpr std::uint32_t spare_capacity(std::uint32_t capacity, std::uint32_t utilisation) noexcept {
  return capacity - (utilisation < capacity ? utilisation : capacity);
}

}  // namespace paceline::core::policy
