// SPDX-License-Identifier: BSL-1.0
// How the system is asked to treat worker threads: by the kind of core they are bound to,
// whenever a thread is bound for a worker, never for a task.
// It must never insist: a system that refuses three times is not asked again.
// Proof: tests/unit/machine/thread_class_test.cpp.
#pragma once

#include <cstdint>
#include <optional>

#include <paceline/qos.hpp>
#include <paceline/topology.hpp>

#include "base/atomic.hpp"
#include "base/mutex.hpp"

namespace paceline::core::machine {

/// The classes of macOS by their values in <sys/qos.h>.
enum class AppleClass : std::uint32_t {
  unspecified = 0x00,
  background = 0x09,
  utility = 0x11,
  standard = 0x15,
  user_initiated = 0x19,
  user_interactive = 0x21,
};

/// What a thread is wanted to be, for every system; each takes what it understands.
struct ThreadClass {
  std::uint32_t util_min = 0;     ///< Linux: clock as for a load of at least this, 0..1024
  std::uint32_t util_max = 1024;  ///< and at most this; choose a core by it
  bool batch = false;             ///< Linux: SCHED_BATCH, no haste after a wake
  AppleClass apple = AppleClass::standard;

  friend bool operator==(const ThreadClass&, const ThreadClass&) = default;
};

/// Of the worker on a core, by its kind: the fastest, the slowest, or between. None on a machine of
/// one kind, or whose kinds nobody can rank: the system's own choice is best there.
std::optional<ThreadClass> class_of_core(const topology& machine, std::size_t core);

/// Of a thread that serves one class of tasks only.
AppleClass apple_class_of(qos wanted) noexcept;

/// Asks for classes and stops asking. Any thread; blocks on lock `runtime` while the system is
/// asked.
class ThreadClasses {
 public:
  using Set = int (*)(const ThreadClass&) noexcept;
  static constexpr unsigned kTries = 3;  // policies.md 6.4

  /// `set` as machine::set_thread_class, which is the default.
  ThreadClasses() noexcept;
  explicit ThreadClasses(Set set) noexcept : set_(set) {}

  /// For the calling thread. True if the system agreed.
  bool ask(const ThreadClass& wanted) noexcept;
  /// So often it refused.
  std::uint64_t refusals() const noexcept { return refusals_.load(std::memory_order_relaxed); }

 private:
  const Set set_;
  Mutex lock_{LockRank::runtime};
  Atomic<std::uint32_t> refusals_{0};  // written under lock_; a count for reports elsewhere
};

}  // namespace paceline::core::machine
