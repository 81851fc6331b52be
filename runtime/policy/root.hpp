// SPDX-License-Identifier: BSL-1.0
// The three levels together: class, group, task. The reference that tests and the simulator drive
// one step at a time; the runtime asks the levels themselves and finds its tasks by their bits.
//
// Called by one thread; works in memory that the caller hands in; never looks at a clock, allocates
// or blocks. Tasks are numbered by their place in that memory. Within a group they are found by
// looking at each, which suits models. Proof: tests/unit/policy/root_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "policy/class_level.hpp"
#include "policy/decay.hpp"
#include "policy/group_level.hpp"

namespace paceline::core::policy {

inline constexpr unsigned kNoTask = ~0u;

/// Which cores a task may use: any that shares the root; this root's only, where idle others do not
/// steal it; this one core only.
enum class Reach : std::uint8_t { free, bound, pinned };

/// Why a running task stops.
enum class StopReason : std::uint8_t { preempted, yielded, blocked };

/// One task. The first four are the owner's, set while the task is blocked.
struct RootTask {
  std::uint32_t group = 0;
  std::uint8_t q = 0;     ///< class index
  std::uint8_t base = 0;  ///< priority
  Reach reach = Reach::free;

  enum class State : std::uint8_t { blocked, queued, running } state = State::blocked;
  bool lent = false;
  std::uint8_t lent_q = 0;
  std::uint8_t lent_priority = 0;
  std::uint32_t next = kNoTask;
  std::int64_t stamp = 0;  ///< order among equals
  Usage usage;
  Quantum quantum{0, false};
  Leftover leftover = kNothingLeft;
  int dispatched_at = 0;
};

struct RootVerdict {
  unsigned task;
  PickReason reason;
  bool operator==(const RootVerdict&) const = default;
};

class Root {
 public:
  struct Memory {
    std::span<RootTask> tasks;
    std::span<GroupEntry> groups;     ///< kClasses for each group
    std::span<std::uint32_t> queues;  ///< as many as `groups`
  };
  Root(const ClassTable& table, Memory memory, unsigned workers) noexcept;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  /// A blocked task becomes ready, at the tail of its equals. False: it is not blocked, or its
  /// group or class is out of range.
  bool wake(unsigned task, Nanos now) noexcept;
  /// The task to run now, taken out of its queue; `current`, which may go on, or kNoTask.
  RootVerdict take(Nanos now, unsigned current = kNoTask) noexcept;
  /// Who would run. If that is not `current`, it should be stopped and somebody taken.
  RootVerdict peek(Nanos now, unsigned current) noexcept;
  /// A running task ran on. True: its quantum is over, and a further one begins if it goes on.
  bool charge(unsigned task, Nanos ran) noexcept;
  /// A running task stops: it is blocked, or queued again.
  void stop(unsigned task, StopReason why, Nanos now) noexcept;
  /// Every ClassTable::tick.
  void tick(Nanos now) noexcept { groups_.tick(now); }

  /// Lets a task run in the class and with the priority of a more important one that waits for it,
  /// until it is given back. A loan that would make it less important changes nothing.
  void lend(unsigned task, unsigned q, int priority, Nanos now) noexcept;
  void give_back(unsigned task, Nanos now) noexcept;

  int effective(unsigned task) noexcept;
  int priority() noexcept;  ///< of the best task, deadlines ignored; kNoPriority if none is queued
  const ClassLevel& classes() const noexcept { return classes_; }
  GroupTable& groups() noexcept { return groups_; }

 private:
  unsigned class_of_task(const RootTask& t) const noexcept { return t.lent ? t.lent_q : t.q; }
  int fixed_part(const RootTask& t) const noexcept { return t.lent ? t.lent_priority : t.base; }
  unsigned bucket(const RootTask& t) const noexcept {
    return bucket_of(class_of_task(t), t.reach == Reach::bound);
  }
  std::uint32_t& queue_of(const RootTask& t) noexcept;
  void enqueue(unsigned task, Place place, Nanos now) noexcept;
  void dequeue(unsigned task, Nanos now) noexcept;
  bool precedes(unsigned a, unsigned b) noexcept;
  unsigned best_in(std::uint32_t queue) noexcept;
  int best_priority(std::uint32_t queue) const noexcept;
  unsigned best_of(unsigned bucket) noexcept;
  unsigned winner(unsigned bucket, unsigned current) noexcept;
  int head_priority(unsigned bucket) noexcept;
  unsigned pinned_winner(unsigned current) noexcept;
  Heads heads(unsigned current) noexcept;
  RootVerdict choose(Nanos now, unsigned current, PickMode mode) noexcept;
  void set_class(unsigned task, bool lent, unsigned q, int priority, Nanos now) noexcept;

  std::span<RootTask> tasks_;
  std::span<std::uint32_t> queues_;
  std::array<std::uint32_t, kClasses> bound_;
  std::uint32_t pinned_ = kNoTask;
  std::int64_t first_stamp_ = 0;
  std::int64_t last_stamp_ = 0;
  ClassTable table_;
  ClassLevel classes_;
  GroupTable groups_;
};

}  // namespace paceline::core::policy
