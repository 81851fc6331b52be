// SPDX-License-Identifier: BSL-1.0
#include "sim/worlds/floor.hpp"

#include <algorithm>
#include <cmath>

#include "policy/affinity_rules.hpp"

namespace paceline_sim {

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

/// Mean of start * e^(-t/constant) over from..to.
double mean_decay(double start, double constant, double from, double to) {
  if (to <= from) return start * std::exp(-from / constant);
  return start * constant * (std::exp(-from / constant) - std::exp(-to / constant)) / (to - from);
}

}  // namespace

double CacheModel::speed(double from_ms, double to_ms) {
  return 1 - mean_decay(kLost, kLostMs, from_ms, to_ms);
}

double CacheModel::hit_rate(double from_ms, double to_ms) {
  return kWarmHitRate - mean_decay(kDeficit, kDeficitMs, from_ms, to_ms);
}

Floor::Floor(const MachineView& machine, std::uint64_t seed, const FloorOptions& options)
    : domains_(machine),
      options_(options),
      rng_(seed),
      cores_(machine.cores.size()),
      busy_(machine.cores.size(), 0),
      all_((machine.cores.size() + 63) / 64, ~std::uint64_t{0}),
      loads_(machine.cores.size(), CoreLoad{0, 0, 0}),
      averages_(machine.cores.size()),
      clocks_(machine.cores.size(), BalanceClock(0)),
      plain_loads_(machine.cores.size(), 0) {}

Nanos Floor::about(Nanos mean) {
  const Nanos exact = mean / 2 + static_cast<Nanos>(rng_.below(static_cast<std::uint64_t>(mean)));
  return std::max(options_.tick, exact / options_.tick * options_.tick);
}

void Floor::add(std::uint32_t core, Nanos burst, Nanos pause, std::uint16_t home) {
  FloorTask task{burst, pause, home};
  task.core = core;
  const auto index = static_cast<std::uint32_t>(tasks_.size());
  if (burst != 0) {
    task.state = FloorTask::State::asleep;
    task.wake_at = now_ + static_cast<Nanos>(rng_.below(static_cast<std::uint64_t>(pause)));
  }
  tasks_.push_back(task);
  if (burst == 0) enqueue(index, core);
}

/// The task that the core would run next; its queue must not be empty.
std::uint32_t Floor::pick(const Core& core) const {
  if (options_.order == Order::fifo) return 0;
  std::uint32_t best = 0;
  for (std::uint32_t i = 1; i < core.queue.size(); ++i) {
    if (tasks_[core.queue[i]].virtual_time < tasks_[core.queue[best]].virtual_time) best = i;
  }
  return best;
}

void Floor::refresh(std::uint32_t core) {
  const auto queued = static_cast<std::uint32_t>(cores_[core].queue.size());
  const std::uint32_t running = cores_[core].running == kNobody ? 0 : 1;
  loads_[core] = {averages_[core].value(), queued + running, queued};
}

void Floor::note_move(FloorTask& task, std::uint32_t to) {
  if (task.core == to) return;
  if (task.last_move != kNeverMoved) {
    task.shortest_gap = std::min(task.shortest_gap, now_ - task.last_move);
  }
  // Its place in the order stays what it was, relative to those around it (5.1).
  const std::uint64_t behind = cores_[task.core].least_virtual_time;
  const std::uint64_t lag = task.virtual_time > behind ? task.virtual_time - behind : 0;
  task.virtual_time = cores_[to].least_virtual_time + lag;
  task.core = to;
  task.last_move = now_;
  task.here = 0;
  task.moves += 1;
  moves_ += 1;
  last_move_ = now_;
}

void Floor::enqueue(std::uint32_t index, std::uint32_t to) {
  FloorTask& task = tasks_[index];
  note_move(task, to);
  Core& core = cores_[to];
  task.state = FloorTask::State::ready;
  core.queue.push_back(index);
  const bool preempts = options_.order == Order::fair && core.running != kNobody &&
                        task.virtual_time < tasks_[core.running].virtual_time;
  if (preempts) {
    tasks_[core.running].state = FloorTask::State::ready;
    core.queue.insert(core.queue.begin(), core.running);
    core.running = kNobody;
  }
  refresh(to);
}

std::uint32_t Floor::place(const FloorTask& task) {
  switch (options_.wake) {
    case WakePlace::stay: break;
    case WakePlace::policy: {
      const auto here = static_cast<std::uint32_t>(rng_.below(cores_.size()));
      const WakeCoreVerdict verdict =
          choose_wake_core({loads_[task.core], loads_[here], task.last_move, now_, true, true});
      return verdict.to_previous ? task.core : here;
    }
    case WakePlace::home:
      if (domains_.place(task.core).node == task.home && is_idle(loads_[task.core])) break;
      for (std::size_t i = 0; i < loads_.size(); ++i) plain_loads_[i] = load_of(loads_[i]);
      return choose_by_node_and_load(domains_, task.home, all_, all_, plain_loads_).core;
    case WakePlace::blind: {
      std::uint32_t best = static_cast<std::uint32_t>(rng_.below(cores_.size()));
      for (std::uint32_t k = 1; k < cores_.size(); ++k) {
        const auto core = static_cast<std::uint32_t>((best + k) % cores_.size());
        if (load_of(loads_[core]) < load_of(loads_[best])) best = core;
      }
      return best;
    }
  }
  return task.core;
}

void Floor::wake_due() {
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    FloorTask& task = tasks_[i];
    if (task.state != FloorTask::State::asleep || task.wake_at > now_) continue;
    task.left = about(task.burst);
    task.woken_at = now_;
    const std::uint32_t to = place(task);
    note_move(task, to);
    // A sleeper comes back ahead of others, by at most three slices (5.1).
    const std::uint64_t least = cores_[to].least_virtual_time;
    const auto credit = static_cast<std::uint64_t>(3 * options_.slice);
    task.virtual_time = std::max(task.virtual_time, least > credit ? least - credit : 0);
    enqueue(i, to);
  }
}

bool Floor::pull(std::uint32_t from, std::uint32_t to) {
  Core& source = cores_[from];
  candidates_.clear();
  for (const std::uint32_t index : source.queue) {
    const FloorTask& task = tasks_[index];
    candidates_.push_back({task.last_move, task.virtual_time, kAnyRank, true, false, false, false});
  }
  const TaskVerdict verdict = pick_task(candidates_, domains_.place(to).rank, now_);
  if (verdict.reason != TaskReason::may_move) return false;
  const std::uint32_t index = source.queue[verdict.index];
  source.queue.erase(source.queue.begin() + verdict.index);
  refresh(from);
  enqueue(index, to);
  return true;
}

void Floor::balance(std::uint32_t core) {
  const bool idle = is_idle(loads_[core]);
  if (idle && !cores_[core].was_idle) {
    std::uint32_t from = domains_.place(core).innermost;
    while (from != kNoDomain) {
      const PullVerdict found = search_idle_from(domains_, from, core, loads_);
      if (found.pass.reason != PassReason::found || pull(found.pass.source, core)) break;
      from = domains_.at(found.domain).parent;
    }
  }
  cores_[core].was_idle = idle;
  for (std::uint32_t d = domains_.place(core).innermost; d != kNoDomain;
       d = domains_.at(d).parent) {
    const Domain& domain = domains_.at(d);
    if (!clocks_[core].due(domain.level, now_, !is_idle(loads_[core]))) continue;
    const PassVerdict pass = find_source(domains_, domain, core, loads_);
    const bool moved = pass.reason == PassReason::found && pull(pass.source, core);
    clocks_[core].made(domain.level, now_, moved);
  }
}

void Floor::work(std::uint32_t index) {
  Core& core = cores_[index];
  if (core.running != kNobody && core.stretch >= options_.slice && !core.queue.empty()) {
    tasks_[core.running].state = FloorTask::State::ready;
    core.queue.push_back(core.running);
    core.running = kNobody;
  }
  if (core.running == kNobody && !core.queue.empty()) {
    const std::uint32_t next = pick(core);
    core.running = core.queue[next];
    core.queue.erase(core.queue.begin() + next);
    core.stretch = 0;
    FloorTask& task = tasks_[core.running];
    task.state = FloorTask::State::running;
    core.least_virtual_time = std::max(core.least_virtual_time, task.virtual_time);
  }
  if (core.running != kNobody) {
    FloorTask& task = tasks_[core.running];
    const Nanos tick = options_.tick;
    const bool at_home = domains_.place(index).node == task.home;
    if (options_.recorder != nullptr) {
      options_.recorder->ran({index, now_, now_ + tick, core.running});
    }
    const double from = static_cast<double>(task.here) / 1e6;
    task.worked +=
        static_cast<double>(tick) *
        (task.moves == 0 ? 1.0 : CacheModel::speed(from, from + static_cast<double>(tick) / 1e6));
    task.here += tick;
    task.ran += tick;
    task.ran_at_home += at_home ? tick : 0;
    task.virtual_time += static_cast<std::uint64_t>(tick);
    busy_[index] += tick;
    core.stretch += tick;
    if (task.burst != 0 && (task.left -= tick) <= 0) {
      task.bursts += 1;
      task.bursts_at_home += at_home ? 1 : 0;
      const Nanos response = now_ + tick - task.woken_at;
      task.response_sum += response;
      task.response_max = std::max(task.response_max, response);
      task.state = FloorTask::State::asleep;
      task.wake_at = now_ + tick + about(task.pause);
      core.running = kNobody;
    }
  }
  refresh(index);
}

void Floor::run(Nanos until) {
  while (now_ < until) {
    for (std::uint32_t i = 0; i < cores_.size(); ++i) {
      averages_[i].update(now_, loads_[i].runnable);
      refresh(i);
    }
    wake_due();
    // No core is always the first to look.
    const std::uint64_t first = rng_.below(cores_.size());
    for (std::uint32_t k = 0; options_.balances && k < cores_.size(); ++k) {
      balance(static_cast<std::uint32_t>((first + k) % cores_.size()));
    }
    for (std::uint32_t i = 0; i < cores_.size(); ++i) work(i);
    now_ += options_.tick;
  }
}

}  // namespace paceline_sim
