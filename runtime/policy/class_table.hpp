// SPDX-License-Identifier: BSL-1.0
// The constants of the class, group and task levels, and the factor that scales them together.
//
// Sources: [C] XNU e3723e1f, `sched_clutch.c`, `sched_prim.h`, `priority.c` and the Clutch document
// beside them; [P] a choice of Paceline, with its reason. Every policy object reads a ClassTable
// that is made once. Pure data. Proof: tests/unit/policy/class_table_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <paceline/qos.hpp>

#include "policy/scaled.hpp"

namespace paceline::core::policy {

/// Classes by index, `static_cast<std::size_t>(qos)`: smaller is more important.
inline constexpr unsigned kClasses = static_cast<unsigned>(qos_count);
inline constexpr unsigned kFixed = static_cast<unsigned>(qos::urgent);
inline constexpr unsigned kForeground = static_cast<unsigned>(qos::user_interactive);
inline constexpr unsigned kBackground = static_cast<unsigned>(qos::background);

/// The index of a class; a value outside the enum counts as the least important class.
constexpr unsigned class_index(qos q) noexcept {
  const auto index = static_cast<unsigned>(q);
  return index < kClasses ? index : kBackground;
}

/// What one class is given. Times in ns.
struct ClassRow {
  int base;        ///< priority of an ordinary task
  Nanos distance;  ///< of the deadline from the moment work arrives (worst-case execution latency)
  Nanos warp;      ///< how long it may jump ahead of an earlier deadline
  Nanos quantum;   ///< how long a task runs before its peers are asked
  Nanos pending;   ///< waiting that raises a group's score by one, before the load's share
};

/// [C] Deadline distance, warp, quantum and pending delta. Quanta are the documented ones; one
/// shipped configuration gives 10 ms to the four upper classes.
/// [C] Bases: the user-interface, user-initiated, default, utility and throttled priorities. The
/// fixed class spans 47..63; [P] its tasks stand at the top of the span, above any boosted UI task.
inline constexpr std::array<ClassRow, kClasses> kClassRows{{
    {63, kForever, 0, 10 * kMillisecond, 0},
    {46, 0, 8 * kMillisecond, 10 * kMillisecond, 10 * kMillisecond},
    {37, 37'500 * kMicrosecond, 4 * kMillisecond, 8 * kMillisecond, 37'500 * kMicrosecond},
    {31, 75 * kMillisecond, 2 * kMillisecond, 6 * kMillisecond, 75 * kMillisecond},
    {20, 150 * kMillisecond, 1 * kMillisecond, 4 * kMillisecond, 150 * kMillisecond},
    {4, 250 * kMillisecond, 0, 2 * kMillisecond, 250 * kMillisecond},
}};

inline constexpr Nanos kTick = 125 * kMillisecond;     // [C] of the scheduler
inline constexpr Nanos kHistory = 500 * kMillisecond;  // [C] what interactivity looks back on
inline constexpr Nanos kHistoryDivisor = 10;           // [C] of a history that is full
inline constexpr Nanos kLeastRemainder = 250 * kMicrosecond;  // [C] of a quantum worth keeping
inline constexpr int kLowestFixed = 47;                       // [C] of the fixed class
inline constexpr int kPriorities = 128;                       // [C] 0..127
inline constexpr int kTimesharePriorities = 96;               // [C] 0..95
inline constexpr Nanos kFixedQuanta = 100;                    // [C] fixed class without blocking
inline constexpr Nanos kFixedPenalty = 2 * kSecond;           // [C] as an ordinary task after that

/// [P] Bounds of the factor: below, quanta near the cost of a switch; above, waits of minutes.
inline constexpr double kLeastTimeScale = 0.001;
inline constexpr double kMostTimeScale = 100.0;

/// A factor within its bounds; what is not a number counts as 1.
constexpr double clamp_time_scale(double factor) noexcept {
  if (factor != factor) return 1.0;
  return factor < kLeastTimeScale ? kLeastTimeScale
                                  : (factor > kMostTimeScale ? kMostTimeScale : factor);
}

/// The constants of one profile.
struct ClassTable {
  std::array<ClassRow, kClasses> rows;
  Nanos tick;
  Nanos history;

  constexpr const ClassRow& operator[](unsigned q) const noexcept {
    return rows[q < kClasses ? q : kBackground];
  }
};

constexpr Nanos scaled_time(Nanos time, double factor) noexcept {
  if (time == 0 || time == kForever || factor == 1.0) return time;
  const auto halves = static_cast<Nanos>(static_cast<double>(time) * 2 * factor);
  return halves < 2 ? 1 : (halves + 1) / 2;
}

/// All times multiplied by `time_scale` together, so that their ratios stay. [P] 1.0 is the
/// desktop's scale; 0.1 suits servers whose tasks last microseconds. The least remainder is the
/// price of a switch and stays as it is.
constexpr ClassTable class_table(double time_scale = 1.0) noexcept {
  const double factor = clamp_time_scale(time_scale);
  ClassTable table{kClassRows, scaled_time(kTick, factor), scaled_time(kHistory, factor)};
  for (ClassRow& row : table.rows) {
    row.distance = scaled_time(row.distance, factor);
    row.warp = scaled_time(row.warp, factor);
    row.quantum = scaled_time(row.quantum, factor);
    row.pending = scaled_time(row.pending, factor);
  }
  return table;
}

/// [C] The class of a priority: fixed ones from 47, the others by their range.
constexpr unsigned class_of_priority(int priority, bool fixed) noexcept {
  if (fixed && priority >= kLowestFixed) return kFixed;
  constexpr std::array<int, 4> above{37, 31, 20, 4};
  for (unsigned i = 0; i < above.size(); ++i) {
    if (priority > above[i]) return kForeground + i;
  }
  return kBackground;
}

/// [C] The priority of a task that stands `relative` (-15..0, clamped) below the top of its class,
/// but above the next class. The fixed class has no such range.
constexpr int relative_priority(unsigned q, int relative) noexcept {
  const unsigned own = q < kClasses ? q : kBackground;
  const int below = relative > 0 ? 0 : (relative < -15 ? 15 : -relative);
  const int top = kClassRows[own].base;
  if (own == kFixed) return top;
  const int lower = own == kBackground ? 0 : kClassRows[own + 1].base;
  return top - (((top - lower) * below) >> 4);
}

}  // namespace paceline::core::policy
