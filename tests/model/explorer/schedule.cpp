// SPDX-License-Identifier: BSL-1.0
#include "explorer/schedule.hpp"

#include <charconv>
#include <stdexcept>

#include "explorer/crew.hpp"

namespace model {

Schedule::Schedule(std::string_view text) {
  const auto number = [&](char after) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) throw std::invalid_argument("a schedule is like 0*12,2*3,0*1");
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.empty()) {
      if (text.front() != after) throw std::invalid_argument("a schedule is like 0*12,2*3,0*1");
      text.remove_prefix(1);
    } else if (after == '*') {
      throw std::invalid_argument("a schedule ends with a number of points");
    }
    return value;
  };
  while (!text.empty()) {
    const unsigned thread = number('*');
    const unsigned points = number(',');
    if (thread >= Crew::kMost) throw std::invalid_argument("a schedule names an unknown thread");
    add(thread, points);
  }
}

void Schedule::add(unsigned thread, unsigned points) {
  if (points == 0) return;
  if (!runs_.empty() && runs_.back().thread == thread) {
    runs_.back().points += points;
  } else {
    runs_.push_back({thread, points});
  }
}

std::string Schedule::text() const {
  std::string text;
  for (const Run& run : runs_) {
    if (!text.empty()) text += ',';
    text += std::to_string(run.thread) + '*' + std::to_string(run.points);
  }
  return text;
}

}  // namespace model
