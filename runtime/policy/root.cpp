// SPDX-License-Identifier: BSL-1.0
#include "policy/root.hpp"

#include <algorithm>
#include <bit>

namespace paceline::core::policy {

Root::Root(const ClassTable& table, Memory memory, unsigned workers) noexcept
    : tasks_(memory.tasks),
      queues_(memory.queues),
      table_(table),
      classes_(table),
      groups_(table, memory.groups.first(std::min(memory.groups.size(), memory.queues.size())),
              workers) {
  std::fill(queues_.begin(), queues_.end(), kNoTask);
  bound_.fill(kNoTask);
}

std::uint32_t& Root::queue_of(const RootTask& t) noexcept {
  if (t.reach == Reach::pinned) return pinned_;
  if (t.reach == Reach::bound) return bound_[class_of_task(t)];
  return queues_[t.group * kClasses + class_of_task(t)];
}

int Root::effective(unsigned task) noexcept {
  RootTask& t = tasks_[task];
  age(t.usage, groups_.ticks());
  return effective_priority(t.usage, fixed_part(t), groups_.shift(t.group, class_of_task(t)));
}

bool Root::precedes(unsigned a, unsigned b) noexcept {
  const int x = effective(a);
  const int y = effective(b);
  return x != y ? x > y : tasks_[a].stamp < tasks_[b].stamp;
}

unsigned Root::best_in(std::uint32_t queue) noexcept {
  unsigned best = queue;
  for (std::uint32_t task = queue; task != kNoTask; task = tasks_[task].next) {
    if (precedes(task, best)) best = task;
  }
  return best;
}

/// The group's part in its priority: decay does not count.
int Root::best_priority(std::uint32_t queue) const noexcept {
  int best = kNoPriority;
  for (std::uint32_t task = queue; task != kNoTask; task = tasks_[task].next) {
    best = std::max(best, fixed_part(tasks_[task]));
  }
  return best;
}

void Root::enqueue(unsigned task, Place place, Nanos now) noexcept {
  RootTask& t = tasks_[task];
  std::uint32_t& queue = queue_of(t);
  t.state = RootTask::State::queued;
  t.stamp = place == Place::head ? --first_stamp_ : ++last_stamp_;
  t.next = queue;
  queue = task;
  if (t.reach == Reach::pinned) return;
  if (t.reach == Reach::free) {
    groups_.put(t.group, class_of_task(t), best_priority(queue), place, now);
  }
  classes_.fill(bucket(t), now);
}

void Root::dequeue(unsigned task, Nanos now) noexcept {
  RootTask& t = tasks_[task];
  std::uint32_t& queue = queue_of(t);
  std::uint32_t* link = &queue;
  while (*link != task) link = &tasks_[*link].next;
  *link = t.next;
  t.next = kNoTask;
  if (t.reach == Reach::pinned) return;
  const unsigned q = class_of_task(t);
  bool empty = queue == kNoTask;
  if (t.reach == Reach::free) {
    groups_.take(t.group, q, best_priority(queue), now);
    empty = groups_.pick(q) == kNoGroup;
  }
  if (empty) classes_.drain(bucket(t), now);
}

bool Root::wake(unsigned task, Nanos now) noexcept {
  if (task >= tasks_.size() || tasks_[task].state != RootTask::State::blocked) return false;
  RootTask& t = tasks_[task];
  if (!groups_.wake(t.group, class_of_task(t), now)) return false;
  enqueue(task, Place::tail, now);
  return true;
}

unsigned Root::best_of(unsigned bucket) noexcept {
  const unsigned q = policy::class_of(bucket);
  if (is_bound(bucket)) return best_in(bound_[q]);
  const unsigned group = groups_.pick(q);
  return group == kNoGroup ? kNoTask : best_in(queues_[group * kClasses + q]);
}

int Root::head_priority(unsigned bucket) noexcept {
  const unsigned task = best_of(bucket);
  return task == kNoTask ? kNoPriority : effective(task);
}

Heads Root::heads(unsigned current) noexcept {
  Heads all;
  all.fixed = {head_priority(kFixed), groups_.priority(kFixed)};
  all.foreground = {head_priority(kForeground), groups_.priority(kForeground)};
  all.bound_fixed = head_priority(bucket_of(kFixed, true));
  all.bound_foreground = head_priority(bucket_of(kForeground, true));
  all.current = current == kNoTask ? kNoPriority : effective(current);
  return all;
}

int Root::priority() noexcept {
  const BucketMask queued = classes_.queued();
  if (queued == 0) return kNoPriority;
  if ((queued & (kFixedBuckets | kFixedBuckets << kForeground)) != 0) {
    int best = std::max(head_priority(bucket_of(kFixed, true)),
                        head_priority(bucket_of(kForeground, true)));
    const bool foreground = groups_.priority(kForeground) > groups_.priority(kFixed);
    return std::max(best, head_priority(foreground ? kForeground : kFixed));
  }
  const unsigned q = static_cast<unsigned>(std::countr_zero((queued | queued >> kBoundAt) & 0xff));
  return std::max(head_priority(bucket_of(q, false)), head_priority(bucket_of(q, true)));
}

/// Between the best queued task of a bucket and the running one, which belongs to it.
unsigned Root::winner(unsigned bucket, unsigned current) noexcept {
  const unsigned queued = best_of(bucket);
  if (current == kNoTask || queued == kNoTask) return queued == kNoTask ? current : queued;
  const RootTask& mine = tasks_[current];
  const RootTask& other = tasks_[queued];
  const unsigned q = policy::class_of(bucket);
  if (!is_bound(bucket) && mine.group != other.group) {
    const int own = fixed_part(mine) + groups_.score(mine.group, q);
    return goes_on(mine.quantum, own, groups_.priority(q)) ? current : queued;
  }
  return goes_on(mine.quantum, effective(current), effective(queued)) ? current : queued;
}

/// The pinned task that precedes all others, or kNoTask.
unsigned Root::pinned_winner(unsigned current) noexcept {
  unsigned best = best_in(pinned_);
  if (current != kNoTask && tasks_[current].reach == Reach::pinned &&
      (best == kNoTask || goes_on(tasks_[current].quantum, effective(current), effective(best)))) {
    best = current;
  }
  if (best == kNoTask || effective(best) < priority()) return kNoTask;
  const bool other_runs = current != kNoTask && tasks_[current].reach != Reach::pinned;
  const bool yields =
      !other_runs || !goes_on(tasks_[current].quantum, effective(current), effective(best));
  return yields ? best : kNoTask;
}

RootVerdict Root::choose(Nanos now, unsigned current, PickMode mode) noexcept {
  if (current >= tasks_.size() || tasks_[current].state != RootTask::State::running) {
    current = kNoTask;
  }
  const unsigned pinned = pinned_winner(current);
  if (pinned != kNoTask) return {pinned, PickReason::fixed};
  if (current != kNoTask && tasks_[current].reach == Reach::pinned) current = kNoTask;
  const unsigned own = current == kNoTask ? kNoBucket : bucket(tasks_[current]);
  const ClassVerdict verdict = classes_.select(now, own, mode, heads(current));
  if (verdict.bucket == kNoBucket) return {kNoTask, verdict.reason};
  return {winner(verdict.bucket, verdict.bucket == own ? current : kNoTask), verdict.reason};
}

RootVerdict Root::peek(Nanos now, unsigned current) noexcept {
  return choose(now, current, PickMode::peek);
}

RootVerdict Root::take(Nanos now, unsigned current) noexcept {
  const PickMode mode = current == kNoTask ? PickMode::take : PickMode::take_or_keep;
  const RootVerdict verdict = choose(now, current, mode);
  if (verdict.task == kNoTask || verdict.task == current) return verdict;
  dequeue(verdict.task, now);
  RootTask& t = tasks_[verdict.task];
  t.state = RootTask::State::running;
  t.dispatched_at = effective(verdict.task);
  t.quantum = begin_quantum(class_of_task(t), t.leftover, table_);
  t.leftover = kNothingLeft;
  return verdict;
}

bool Root::charge(unsigned task, Nanos ran) noexcept {
  RootTask& t = tasks_[task];
  const unsigned q = class_of_task(t);
  groups_.charge(t.group, q, ran);
  age(t.usage, groups_.ticks());
  policy::charge(t.usage, ran, groups_.shift(t.group, q), table_);
  if (!spend(t.quantum, ran)) return false;
  t.quantum = next_quantum(q, table_);
  return true;
}

void Root::stop(unsigned task, StopReason why, Nanos now) noexcept {
  RootTask& t = tasks_[task];
  if (t.state != RootTask::State::running) return;
  t.leftover = switch_out(t.quantum, t.dispatched_at, effective(task));
  if (why == StopReason::blocked) {
    t.state = RootTask::State::blocked;
    groups_.block(t.group, class_of_task(t), now);
    return;
  }
  const bool resumes = why == StopReason::preempted && t.quantum.first && !t.leftover.expired;
  enqueue(task, resumes ? Place::head : Place::tail, now);
}

void Root::set_class(unsigned task, bool lent, unsigned q, int priority, Nanos now) noexcept {
  RootTask& t = tasks_[task];
  const bool queued = t.state == RootTask::State::queued;
  const bool counts = t.state != RootTask::State::blocked;
  if (queued) dequeue(task, now);
  if (counts) groups_.block(t.group, class_of_task(t), now);
  t.lent = lent;
  t.lent_q = static_cast<std::uint8_t>(q);
  t.lent_priority = static_cast<std::uint8_t>(priority);
  if (counts) groups_.wake(t.group, class_of_task(t), now);
  if (queued) enqueue(task, Place::tail, now);
}

void Root::lend(unsigned task, unsigned q, int priority, Nanos now) noexcept {
  if (task >= tasks_.size() || q >= kClasses) return;
  const RootTask& t = tasks_[task];
  priority = std::clamp(priority, 0, kPriorities - 1);
  if (q > class_of_task(t) || (q == class_of_task(t) && priority <= fixed_part(t))) return;
  set_class(task, true, q, priority, now);
}

void Root::give_back(unsigned task, Nanos now) noexcept {
  if (task < tasks_.size() && tasks_[task].lent) set_class(task, false, 0, 0, now);
}

}  // namespace paceline::core::policy
