// SPDX-License-Identifier: BSL-1.0
#include "policy/balance.hpp"

#include <algorithm>
#include <array>

namespace paceline::core::policy {

namespace {

constexpr Nanos kPeriod = 1'024'000;  // policies.md 5.5: about 1 ms; 2^10 us
constexpr unsigned kHalfLife = 32;    // periods (5.5)

/// 2^(-i/32) as 0.32 fixed point. The factor for one period is the 32nd root of 1/2.
constexpr std::array<std::uint64_t, kHalfLife> decay_table() {
  constexpr double kRoot = 0.97857206208770013451;
  std::array<std::uint64_t, kHalfLife> table{};
  double factor = 1.0;
  for (auto& entry : table) {
    entry = static_cast<std::uint64_t>(factor * 4294967296.0);
    factor *= kRoot;
  }
  return table;
}
constexpr auto kDecay = decay_table();

std::uint64_t decayed(std::uint64_t value, std::uint64_t periods) noexcept {
  const std::uint64_t halvings = periods / kHalfLife;
  if (halvings >= 64) return 0;
  const std::uint64_t factor = kDecay[periods % kHalfLife];
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(value >> halvings) * factor) >>
                                    32);
}

struct GroupLoad {
  std::uint64_t sum;
  std::uint32_t queued;
};

GroupLoad load_of_group(const Domains& domains, const DomainGroup& group,
                        std::span<const CoreLoad> loads) noexcept {
  GroupLoad total{0, 0};
  for (const std::uint32_t core : domains.members(group.first, group.count)) {
    total.sum += load_of(loads[core]);
    total.queued += loads[core].queued;
  }
  return total;
}

/// Load of a core of full capacity that is as busy as the group: groups differ in size and speed.
std::uint64_t per_capacity(std::uint64_t sum, std::uint64_t capacity) noexcept {
  return sum * kFullCapacity / capacity;
}

/// The first most loaded core of a group that has something queued, if it beats `best`.
void better_core(const Domains& domains, const DomainGroup& group, std::span<const CoreLoad> loads,
                 std::uint32_t& best, std::uint64_t& most) noexcept {
  for (const std::uint32_t core : domains.members(group.first, group.count)) {
    if (loads[core].queued == 0 || load_of(loads[core]) <= most) continue;
    best = core;
    most = load_of(loads[core]);
  }
}

PassVerdict judge_source(const Domains& domains, std::uint32_t source, std::uint32_t core,
                         std::span<const CoreLoad> loads) noexcept {
  const MoveVerdict move =
      judge_move(loads[source], loads[core], domains.level_between(source, core));
  if (move.reason != MoveReason::move) return {PassReason::does_not_pay, kNoCore, move};
  return {PassReason::found, source, move};
}

/// A move that seems to lie ahead, after a clock went back, holds nobody.
constexpr bool moved_lately(Nanos last_move, Nanos now) noexcept {
  return last_move != kNeverMoved && now >= last_move && now - last_move < kMinResidency;
}

constexpr MoveVerdict kNotJudged{MoveReason::no_benefit, 0, 0};

}  // namespace

void LoadAverage::update(Nanos now, std::uint32_t tasks) noexcept {
  if (!started_ || now < last_) {
    started_ = true;
    last_ = now;
    return;
  }
  if (now < last_ + kPeriod) return;
  const auto periods = static_cast<std::uint64_t>((now - last_) / kPeriod);
  last_ += static_cast<Nanos>(periods) * kPeriod;  // the rest of a period is not lost
  const std::uint64_t target = (kTaskLoad * tasks) << kFraction;
  // Towards the target from either side, by the share that has decayed.
  value_ = value_ >= target ? target + decayed(value_ - target, periods)
                            : target - decayed(target - value_, periods);
}

MoveVerdict judge_move(const CoreLoad& src, const CoreLoad& dst, DomainLevel way) noexcept {
  const std::uint64_t cost = move_cost(way);
  const std::uint64_t from = load_of(src);
  const std::uint64_t to = load_of(dst);
  const std::uint64_t benefit = from > to ? (from - to) / 2 : 0;
  if (benefit == 0) return {MoveReason::no_benefit, benefit, cost};
  if (benefit <= cost) return {MoveReason::cost_exceeds, benefit, cost};
  if (!is_idle(dst) && src.runnable < dst.runnable + 2) {
    return {MoveReason::would_oscillate, benefit, cost};
  }
  return {MoveReason::move, benefit, cost};
}

PassVerdict find_source(const Domains& domains, const Domain& domain, std::uint32_t core,
                        std::span<const CoreLoad> loads) noexcept {
  const std::span<const DomainGroup> groups = domains.groups(domain);
  const auto parts = static_cast<std::uint32_t>(groups.size());
  const std::uint32_t local = domains.local_group(domain, core);
  const bool idle = is_idle(loads[core]);
  std::uint32_t source = kNoCore;
  std::uint64_t most = 0;
  if (idle) {
    for (std::uint32_t k = 1; k < parts; ++k) {
      better_core(domains, groups[(local + k) % parts], loads, source, most);
    }
    if (source == kNoCore) return {PassReason::nothing_queued, kNoCore, kNotJudged};
    return judge_source(domains, source, core, loads);
  }
  std::uint32_t busiest = local;
  std::uint32_t queued = 0;
  std::uint64_t busiest_load = 0;
  for (std::uint32_t k = 1; k < parts; ++k) {
    const std::uint32_t g = (local + k) % parts;
    const GroupLoad load = load_of_group(domains, groups[g], loads);
    const std::uint64_t comparable = per_capacity(load.sum, groups[g].capacity);
    if (comparable <= busiest_load) continue;
    busiest = g;
    busiest_load = comparable;
    queued = load.queued;
  }
  const std::uint64_t local_load =
      per_capacity(load_of_group(domains, groups[local], loads).sum, groups[local].capacity);
  // 4.4 gives no number for its threshold: below twice the cost no single move would pay. The
  // difference is taken as a sum over a group as large as the local one.
  const std::uint64_t surplus = busiest_load > local_load ? busiest_load - local_load : 0;
  const bool beyond =
      surplus * groups[local].capacity / kFullCapacity > 2 * move_cost(domain.level) &&
      busiest_load * 100 > local_load * kImbalancePercent;
  if (!beyond) return {PassReason::balanced, kNoCore, kNotJudged};
  if (queued == 0) return {PassReason::nothing_queued, kNoCore, kNotJudged};
  better_core(domains, groups[busiest], loads, source, most);
  return judge_source(domains, source, core, loads);
}

TaskReason judge_task(const BalanceTask& task, std::uint16_t dst_rank, Nanos now) noexcept {
  if (!task.allowed) return TaskReason::forbidden;
  if (task.running) return TaskReason::running;
  if (task.fixed) return TaskReason::fixed;
  if (moved_lately(task.last_move, now)) {
    return TaskReason::too_recent;
  }
  if (task.hot) return TaskReason::hot;
  if (task.preferred_rank != kAnyRank && task.preferred_rank != dst_rank) {
    return TaskReason::would_be_foreign;
  }
  return TaskReason::may_move;
}

TaskVerdict pick_task(std::span<const BalanceTask> tasks, std::uint16_t dst_rank,
                      Nanos now) noexcept {
  TaskVerdict best{TaskReason::no_task, 0};
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    const TaskReason reason = judge_task(tasks[i], dst_rank, now);
    const bool first = best.reason != TaskReason::may_move;
    if (reason == TaskReason::may_move) {
      if (first || tasks[i].virtual_time > tasks[best.index].virtual_time) best = {reason, i};
    } else if (best.reason == TaskReason::no_task) {
      best = {reason, i};
    }
  }
  return best;
}

BalanceClock::BalanceClock(Nanos now) noexcept {
  for (std::size_t i = 0; i < kDomainLevels; ++i) levels_[i] = {now, kDomainInterval[i], 0, 0, 0};
}

bool BalanceClock::due(DomainLevel level, Nanos now, bool busy) const noexcept {
  const Level& own = at(level);
  return now < own.last ||  // the clock went back
         now > saturating_add(own.last, busy ? 2 * own.interval : own.interval);
}

void BalanceClock::made(DomainLevel level, Nanos now, bool moved) noexcept {
  const auto index = static_cast<std::size_t>(level);
  Level& own = levels_[index];
  own.last = now;
  own.passes += 1;
  if (moved) {
    own.moved += 1;
    own.failures = 0;
    own.interval = kDomainInterval[index];
  } else {
    own.failures += 1;
    own.interval = std::min(own.interval * 2, 8 * kDomainInterval[index]);
  }
}

PullVerdict search_idle(const Domains& domains, std::uint32_t core,
                        std::span<const CoreLoad> loads) noexcept {
  return search_idle_from(domains, domains.place(core).innermost, core, loads);
}

PullVerdict search_idle_from(const Domains& domains, std::uint32_t from, std::uint32_t core,
                             std::span<const CoreLoad> loads) noexcept {
  PullVerdict verdict{{PassReason::balanced, kNoCore, kNotJudged}, kNoDomain, 0};
  for (std::uint32_t d = from; d != kNoDomain; d = domains.at(d).parent) {
    if ((domains.at(d).flags & kDomainPullsWhenIdle) == 0) continue;
    verdict = {find_source(domains, domains.at(d), core, loads), d, verdict.looked + 1};
    if (verdict.pass.reason == PassReason::found) break;
  }
  return verdict;
}

WakeCoreVerdict choose_wake_core(const WakeCoreInputs& in) noexcept {
  if (!in.previous_allowed) return {WakeCoreReason::previous_forbidden, false};
  if (!in.here_allowed) return {WakeCoreReason::this_forbidden, true};
  if (moved_lately(in.last_move, in.now)) {
    return {WakeCoreReason::stays_resident, true};
  }
  if (in.previous.runnable <= 1) return {WakeCoreReason::previous_free, true};
  if (load_of(in.here) > 2 * load_of(in.previous)) return {WakeCoreReason::this_is_busier, true};
  return {WakeCoreReason::this_is_lighter, false};
}

LeastLoadedVerdict least_loaded(std::span<const std::uint32_t> span,
                                std::span<const CoreLoad> loads, CoreMask allowed) noexcept {
  LeastLoadedVerdict best{LeastLoadedReason::nobody_allowed, kNoCore};
  std::uint64_t least = 0;
  for (const std::uint32_t core : span) {
    if (!has_core(allowed, core)) continue;
    if (best.core != kNoCore && load_of(loads[core]) >= least) continue;
    best = {LeastLoadedReason::chosen, core};
    least = load_of(loads[core]);
  }
  return best;
}

}  // namespace paceline::core::policy
