// SPDX-License-Identifier: BSL-1.0
// Which task next, within a group: priorities that fall with use, and quanta. Level three of the
// Clutch policy, as pure functions on plain data that the caller owns.
//
// Flow room: pick and charge. Called by whoever drives a core, for executors and tasks alike.
// Proof: tests/unit/policy/decay_test.cpp.
#pragma once

#include <cstdint>

#include "policy/class_table.hpp"

namespace paceline::core::policy {

inline constexpr int kNoDecay = -1;        ///< shift of a group that is no wider than the machine
inline constexpr int kFixedShift = 23;     // [C] for times in ns
inline constexpr unsigned kMostLoad = 95;  // [C] length of the load table
inline constexpr unsigned kOldTicks = 32;  // [C] after these nothing is left of any use

/// [C] How much wider than the machine a group is: 0 if each of its `active` tasks has a core.
constexpr unsigned width_load(std::uint64_t active, unsigned workers) noexcept {
  if (active == 0) return 0;
  const std::uint64_t load = (active - 1) / (workers == 0 ? 1 : workers);
  return load > kMostLoad ? kMostLoad : static_cast<unsigned>(load);
}

/// [C] How far use is shifted before it is taken off the priority; the wider, the less.
constexpr int decay_shift(unsigned load) noexcept {
  if (load == 0) return kNoDecay;
  int shift = kFixedShift;
  for (unsigned rest = load > kMostLoad ? kMostLoad : load; rest > 1; rest /= 2) --shift;
  return shift;
}

/// What one task has used up. `usage` is in ns of a table with time_scale 1: [P] the factor divides
/// out, so that a tick costs as much priority at every scale.
struct Usage {
  Nanos usage = 0;
  std::uint32_t tick = 0;  ///< up to which it is aged
};

/// The task ran. Uncounted while its group does not decay. Negative times count as 0, long ones as
/// one history.
void charge(Usage& task, Nanos ran, int shift, const ClassTable& table) noexcept;

/// [C] 5/8 for each tick since the last; a tick that went back changes nothing.
void age(Usage& task, std::uint32_t tick) noexcept;

/// [C] Base priority less use, 0..95; of a fixed task (base above that) the base.
int effective_priority(const Usage& task, int base, int shift) noexcept;

/// The stretch in which a task may run before its peers are asked.
struct Quantum {
  Nanos left;
  bool first;  ///< since it was dispatched; a task that goes on begins further ones
};

/// What a task takes along when it is switched out.
struct Leftover {
  Nanos left;    ///< of its quantum
  bool expired;  ///< true: it adds to a new quantum; false: it is all that it gets next time
};

/// A fresh quantum of a class, or what is left over.
Quantum begin_quantum(unsigned q, Leftover from, const ClassTable& table) noexcept;
inline constexpr Leftover kNothingLeft{0, true};

/// The task ran. True: its quantum is over. An overrun ends it, however long.
bool spend(Quantum& quantum, Nanos ran) noexcept;

/// The task goes on after its quantum.
Quantum next_quantum(unsigned q, const ClassTable& table) noexcept;

/// [C] What is left of a first quantum is kept if the task's priority has not fallen since it was
/// dispatched; a remainder too small to be useful is added to the next one. A direct hand-off
/// passes the Quantum itself on.
Leftover switch_out(const Quantum& quantum, int dispatched_at, int priority) noexcept;

/// [C] Does the running task go on although `waiting` is queued? Between equals in its first
/// quantum only.
constexpr bool goes_on(const Quantum& quantum, int running, int waiting) noexcept {
  return running > waiting || (running == waiting && quantum.first && quantum.left > 0);
}

/// [C] Keeps a task of the fixed class from having a core for ever: after 100 quanta without
/// blocking it is an ordinary one for 2 s.
class FixedGuard {
 public:
  /// It ran until `now`. True: it has to step down now.
  bool charge(Nanos ran, Nanos now, const ClassTable& table) noexcept;
  void block() noexcept { ran_ = 0; }
  bool stepped_down(Nanos now) const noexcept { return down_ && elapsed(since_, now) < penalty_; }

 private:
  Nanos ran_ = 0;
  Nanos since_ = 0;
  Nanos penalty_ = 0;
  bool down_ = false;
};

}  // namespace paceline::core::policy
