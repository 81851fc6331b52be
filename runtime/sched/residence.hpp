// SPDX-License-Identifier: BSL-1.0
// Residence: on which kinds of cores tasks of each class really ran, and whether a worker's thread
// is where it was bound to. Of machines with several kinds of cores; others have none.
// Flow room: run (between polls). It must never cost a poll more than one comparison.
// Proof: tests/unit/policy/residency_test.cpp, tests/unit/api/topology_test.cpp.
//
// Writer: the worker, which looks. Readers of the counts: whoever asks for stats, any thread; they
// are counts and publish nothing.
#pragma once

#include <cstdint>
#include <vector>

#include <paceline/topology.hpp>

#include "base/atomic.hpp"
#include "policy/residency.hpp"

namespace paceline::core {

/// The kind of core that a CPU of the system is. One for all workers; empty: all are alike.
class CpuKinds {
 public:
  static constexpr std::uint8_t kUnknown = 0xff;

  CpuKinds() = default;
  /// Throws std::bad_alloc.
  explicit CpuKinds(const topology& machine);

  unsigned count() const noexcept { return count_; }
  std::uint8_t of(int cpu) const noexcept {
    const auto index = static_cast<std::size_t>(cpu);
    return cpu >= 0 && index < kinds_.size() ? kinds_[index] : kUnknown;
  }

 private:
  unsigned count_ = 0;
  std::vector<std::uint8_t> kinds_;  // by the system's number
};

class Residence {
 public:
  /// Of a worker that is meant for cores of kind `own`. `real`: its thread is bound to one, or was
  /// to be; else it stands for such a core, wherever it runs. Throws std::bad_alloc.
  Residence(const CpuKinds& kinds, unsigned own, bool real);

  bool is_due(Nanos now) const noexcept { return is_asked_ && residency_.is_due(now); }
  /// When it is due, after a poll of `class_index`. True: the thread is to be bound once more.
  bool look(Nanos now, unsigned class_index) noexcept;

  /// Looks after a poll of that class that found the worker on that kind. Any thread.
  std::uint64_t count(unsigned class_index, unsigned kind) const noexcept {
    return counts_[class_index * kinds_.count() + kind].load(std::memory_order_relaxed);
  }

 private:
  const CpuKinds& kinds_;
  const std::uint8_t own_;
  const bool is_real_;
  const bool is_asked_;  // there is more than one kind
  policy::Residency residency_;
  std::vector<Atomic<std::uint64_t>> counts_;  // by class, then kind
};

}  // namespace paceline::core
