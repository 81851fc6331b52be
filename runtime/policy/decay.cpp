// SPDX-License-Identifier: BSL-1.0
#include "policy/decay.hpp"

namespace paceline::core::policy {

void charge(Usage& task, Nanos ran, int shift, const ClassTable& table) noexcept {
  if (shift == kNoDecay) return;
  task.usage = clamped_sum(task.usage, scaled(within(ran, table.history), kTick, table.tick));
}

void age(Usage& task, std::uint32_t tick) noexcept {
  const std::uint32_t missed = tick - task.tick;  // wraps as ticks do
  if (missed > kForever >> 32) return;            // went back
  task.tick = tick;
  if (missed >= kOldTicks) task.usage = 0;
  for (std::uint32_t i = 0; i < missed && task.usage != 0; ++i) {
    task.usage = (task.usage >> 1) + (task.usage >> 3);
  }
}

int effective_priority(const Usage& task, int base, int shift) noexcept {
  if (base >= kTimesharePriorities) return base < kPriorities ? base : kPriorities - 1;
  if (shift < 0) return base < 0 ? 0 : base;
  const Nanos lost = task.usage >> (shift < 63 ? shift : 63);
  return lost >= base ? 0 : base - static_cast<int>(lost);
}

Quantum begin_quantum(unsigned q, Leftover from, const ClassTable& table) noexcept {
  const Nanos full = table[q].quantum;
  const Nanos left = within(from.left, full);
  return {from.expired ? full + left : left, true};
}

bool spend(Quantum& quantum, Nanos ran) noexcept {
  ran = within(ran, kForever);
  quantum.left = quantum.left > ran ? quantum.left - ran : 0;
  return quantum.left == 0;
}

Quantum next_quantum(unsigned q, const ClassTable& table) noexcept {
  return {table[q].quantum, false};
}

Leftover switch_out(const Quantum& quantum, int dispatched_at, int priority) noexcept {
  if (!quantum.first || priority < dispatched_at) return kNothingLeft;
  return {within(quantum.left, kForever), quantum.left < kLeastRemainder};
}

bool FixedGuard::charge(Nanos ran, Nanos now, const ClassTable& table) noexcept {
  if (stepped_down(now)) return false;
  down_ = false;
  const Nanos most = scaled(table[kFixed].quantum, kFixedQuanta, 1);
  ran_ = clamped_sum(ran_, within(ran, most));
  if (ran_ < most) return false;
  ran_ = 0;
  down_ = true;
  since_ = now;
  penalty_ = scaled(kFixedPenalty, table.tick, kTick);
  return true;
}

}  // namespace paceline::core::policy
