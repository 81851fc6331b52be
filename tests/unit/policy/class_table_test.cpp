// SPDX-License-Identifier: BSL-1.0
// Proves the constants of the classes, their common factor, the priorities of classes, and the
// arithmetic that neither overflows nor runs backwards.
#include "policy/class_table.hpp"

#include <array>
#include <limits>

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

TEST_CASE("the classes have the published deadlines, warps, quanta and pending deltas") {
  constexpr ClassTable table = class_table();
  constexpr std::array<Nanos, kClasses> distance{kForever,   0,           37'500'000,
                                                 75'000'000, 150'000'000, 250'000'000};
  constexpr std::array<Nanos, kClasses> warp{0, 8, 4, 2, 1, 0};
  constexpr std::array<Nanos, kClasses> quantum{10, 10, 8, 6, 4, 2};
  constexpr std::array<Nanos, kClasses> pending{0, 10'000, 37'500, 75'000, 150'000, 250'000};
  for (unsigned q = 0; q < kClasses; ++q) {
    CHECK(table[q].distance == distance[q]);
    CHECK(table[q].warp == warp[q] * kMillisecond);
    CHECK(table[q].quantum == quantum[q] * kMillisecond);
    CHECK(table[q].pending == pending[q] * kMicrosecond);
  }
  CHECK(table.tick == 125 * kMillisecond);
  CHECK(table.history == 500 * kMillisecond);
}

TEST_CASE("one factor multiplies all times of the table and nothing else") {
  const ClassTable table = class_table(0.1);
  for (unsigned q = kForeground; q < kClasses; ++q) {
    CHECK(table[q].distance == kClassRows[q].distance / 10);
    CHECK(table[q].warp == kClassRows[q].warp / 10);
    CHECK(table[q].quantum == kClassRows[q].quantum / 10);
    CHECK(table[q].pending == kClassRows[q].pending / 10);
    CHECK(table[q].base == kClassRows[q].base);
  }
  CHECK(table[kFixed].distance == kForever);
  CHECK(table.tick == kTick / 10);
  CHECK(table.history == kHistory / 10);
}

TEST_CASE("a factor that is out of range or no number is clamped") {
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK(clamp_time_scale(not_a_number) == 1.0);
  CHECK(clamp_time_scale(0) == kLeastTimeScale);
  CHECK(clamp_time_scale(-5) == kLeastTimeScale);
  CHECK(clamp_time_scale(infinite) == kMostTimeScale);
  CHECK(clamp_time_scale(-infinite) == kLeastTimeScale);
  CHECK(clamp_time_scale(0.25) == 0.25);
  CHECK(class_table(0)[kBackground].quantum == 2 * kMicrosecond);
  CHECK(class_table(infinite)[kBackground].distance == 25 * kSecond);
}

TEST_CASE("a class outside the enum counts as background") {
  CHECK(class_index(paceline::qos::urgent) == 0);
  CHECK(class_index(paceline::qos::background) == 5);
  CHECK(class_index(static_cast<paceline::qos>(6)) == kBackground);
  CHECK(class_index(static_cast<paceline::qos>(255)) == kBackground);
  CHECK(class_table()[77].quantum == class_table()[kBackground].quantum);
}

TEST_CASE("every priority belongs to the class of its range") {
  const auto timeshare = [](int priority) { return class_of_priority(priority, false); };
  for (int p = 38; p < 128; ++p) CHECK(timeshare(p) == 1);
  for (int p = 32; p <= 37; ++p) CHECK(timeshare(p) == 2);
  for (int p = 21; p <= 31; ++p) CHECK(timeshare(p) == 3);
  for (int p = 5; p <= 20; ++p) CHECK(timeshare(p) == 4);
  for (int p = -3; p <= 4; ++p) CHECK(timeshare(p) == 5);
  CHECK(class_of_priority(47, true) == kFixed);
  CHECK(class_of_priority(46, true) == kForeground);
}

TEST_CASE("relative priorities span each class and stay above the next one") {
  constexpr std::array<int, kClasses> lowest{63, 38, 32, 21, 5, 1};
  for (unsigned q = 0; q < kClasses; ++q) {
    CHECK(relative_priority(q, 0) == kClassRows[q].base);
    CHECK(relative_priority(q, -15) == lowest[q]);
    CHECK(relative_priority(q, -1000) == lowest[q]);
    CHECK(relative_priority(q, 1000) == kClassRows[q].base);
    for (int rel = -15; q != kFixed && rel <= 0; ++rel) {
      CHECK(class_of_priority(relative_priority(q, rel), false) == q);
    }
  }
  CHECK(relative_priority(99, 0) == kClassRows[kBackground].base);
}

TEST_CASE("time that goes back counts as standing still and differences never overflow") {
  CHECK(elapsed(5, 7) == 2);
  CHECK(elapsed(7, 5) == 0);
  CHECK(elapsed(-kForever, kForever) == kForever);
  CHECK(clamped_sum(kForever, 1) == kForever);
  CHECK(clamped_sum(-kForever, -kForever) == -kForever);
  CHECK(clamped_sum(kForever, -kForever) == 0);
  CHECK(within(-1, 10) == 0);
  CHECK(within(11, 10) == 10);
  Monotonic time;
  CHECK(time.advance(-100) == -100);
  CHECK(time.advance(50) == 50);
  CHECK(time.advance(49) == 50);
  CHECK(time.last() == 50);
}

TEST_CASE("a scaled number is exact while it fits and saturates when it does not") {
  CHECK(scaled(7, 3, 2) == 10);
  CHECK(scaled(-7, 3, 2) == -10);
  CHECK(scaled(kForever, 1, 1) == kForever);
  CHECK(scaled(kForever, 2, 1) == kForever);
  CHECK(scaled(-kForever, 2, 1) == -kForever);
  CHECK(scaled(kForever, kForever, kForever) > kForever / 4 * 3);
  CHECK(scaled(0, kForever, 1) == 0);
}
