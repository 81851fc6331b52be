// SPDX-License-Identifier: BSL-1.0
// Schedule: who ran for how many scheduling points, as a printed string and back.
// "0*12,2*3,0*1": thread 0 runs past twelve points, thread 2 past three, thread 0 past one. Every
// access of a thread counts as a point here, so a schedule does not depend on what a search
// skipped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace model {

struct Run {
  unsigned thread = 0;
  unsigned points = 0;
};

class Schedule {
 public:
  Schedule() = default;
  /// Throws std::invalid_argument.
  explicit Schedule(std::string_view text);

  void add(unsigned thread, unsigned points);
  std::string text() const;
  const std::vector<Run>& runs() const noexcept { return runs_; }
  std::vector<Run>& runs() noexcept { return runs_; }
  bool empty() const noexcept { return runs_.empty(); }

 private:
  std::vector<Run> runs_;
};

}  // namespace model
