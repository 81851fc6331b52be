// SPDX-License-Identifier: BSL-1.0
// The choice among the workers of one cluster.
// Flow room: spawn, wake. Any thread. It must never look beyond the cluster.
// Proof: tests/unit/policy/worker_choice_test.cpp.
#include "policy/worker_choice.hpp"

namespace paceline::core::policy {

namespace {

/// Who has not answered a request yet gets no second one.
bool askable(const WorkerView& worker, const WorkerAsk& ask) noexcept {
  return !worker.asked_urgent && (ask.urgent || !worker.asked_preempt);
}

WorkerVerdict choose_idle(std::span<const WorkerView> workers, const WorkerAsk& ask) noexcept {
  const auto fits = [&](const WorkerView& w) { return w.idle && askable(w, ask); };
  if (ask.last < workers.size() && fits(workers[ask.last]))
    return {WorkerWhat::wake, ask.last, WorkerReason::last};
  std::uint32_t unflagged = kNoWorker;
  std::uint32_t any = kNoWorker;
  for (std::uint32_t i = 0; i < workers.size(); ++i) {
    if (!fits(workers[i])) continue;
    if (workers[i].favoured) return {WorkerWhat::wake, i, WorkerReason::favoured};
    if (any == kNoWorker) any = i;
    if (unflagged == kNoWorker && !workers[i].rotating) unflagged = i;
  }
  if (unflagged != kNoWorker) return {WorkerWhat::wake, unflagged, WorkerReason::idle};
  return {WorkerWhat::wake, any, WorkerReason::rotating};
}

/// Who runs the least important task. Of equals the one that has run for longest, so that stirring
/// takes turns.
std::uint32_t least_important(std::span<const WorkerView> workers, const WorkerAsk& ask) noexcept {
  std::uint32_t least = kNoWorker;
  for (std::uint32_t i = 0; i < workers.size(); ++i) {
    if (workers[i].idle || !askable(workers[i], ask)) continue;
    if (least == kNoWorker || workers[i].priority < workers[least].priority ||
        (workers[i].priority == workers[least].priority &&
         workers[i].since < workers[least].since)) {
      least = i;
    }
  }
  return least;
}

std::uint32_t least_queued(std::span<const WorkerView> workers, Rng& rng) noexcept {
  std::uint32_t least = 0;
  if (workers.size() > kCompareAll) {
    // Two different ones.
    least = static_cast<std::uint32_t>(rng.below(workers.size()));
    auto other = static_cast<std::uint32_t>(rng.below(workers.size() - 1));
    if (other >= least) ++other;
    return workers[other].queued < workers[least].queued ? other : least;
  }
  for (std::uint32_t i = 1; i < workers.size(); ++i) {
    if (workers[i].queued < workers[least].queued) least = i;
  }
  return least;
}

}  // namespace

std::string_view to_string(WorkerWhat what) noexcept {
  switch (what) {
    case WorkerWhat::wake: return "wake";
    case WorkerWhat::preempt: return "preempt";
    case WorkerWhat::queue: return "queue";
  }
  return "invalid";
}

std::string_view to_string(WorkerReason reason) noexcept {
  switch (reason) {
    case WorkerReason::last: return "last";
    case WorkerReason::favoured: return "favoured";
    case WorkerReason::idle: return "idle";
    case WorkerReason::rotating: return "rotating";
    case WorkerReason::outranked: return "outranked";
    case WorkerReason::forced: return "forced";
    case WorkerReason::least_queued: return "least_queued";
    case WorkerReason::nobody: return "nobody";
  }
  return "invalid";
}

WorkerVerdict choose_worker(std::span<const WorkerView> workers, const WorkerAsk& ask,
                            Rng& rng) noexcept {
  if (workers.empty()) return {WorkerWhat::queue, kNoWorker, WorkerReason::nobody};
  if (const WorkerVerdict idle = choose_idle(workers, ask); idle.where != kNoWorker) return idle;
  const std::uint32_t least = least_important(workers, ask);
  if (least != kNoWorker) {
    if (workers[least].priority < ask.priority)
      return {WorkerWhat::preempt, least, WorkerReason::outranked};
    if (ask.force) return {WorkerWhat::preempt, least, WorkerReason::forced};
  }
  return {WorkerWhat::queue, least_queued(workers, rng), WorkerReason::least_queued};
}

Nanos wake_delay(const EdgeTable& table, ClusterIndex target, ClusterIndex preferred,
                 std::uint32_t exec_us) noexcept {
  target = table.known(target);
  const bool at_once = table.rank(target) == 0 || table.same_kind(target, table.known(preferred)) ||
                       exec_us >= kLongSliceUs;
  return at_once ? 0 : kWakeDelay;
}

}  // namespace paceline::core::policy
