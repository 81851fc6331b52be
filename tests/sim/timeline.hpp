// SPDX-License-Identifier: BSL-1.0
// A window of what ran, ready to be drawn: equal neighbours are one segment, and there is a limit,
// so that a picture stays one that a person can read and a browser can show.
// Proof: tests/sim/timeline_test.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "sim/recorder.hpp"

namespace paceline_sim {

struct Lane {
  std::string label;
  std::uint32_t group = 0;  ///< its cluster; a line parts neighbours of two groups
};

/// How a timeline looks, said by the scenario before its world runs.
struct Look {
  std::vector<Lane> lanes = {};
  paceline::core::Nanos from = 0;
  paceline::core::Nanos until = 0;
  std::vector<std::string> legend = {};  ///< names of colours; empty: those of the classes
  /// The colour of a segment, an index of the legend; empty: its class.
  std::function<std::size_t(const Segment&)> paint = {};
  bool names_tasks = false;  ///< in segments that have room for it
};

class Timeline final : public Recorder {
 public:
  static constexpr std::size_t kMostSegments = 4000;

  /// Forgets everything; what ran outside the window from now on is not kept.
  void open(Look look);
  void ran(const Segment& segment) override;

  const Look& look() const { return look_; }
  /// In the order in which they began, lane by lane mixed.
  const std::vector<Segment>& segments() const { return segments_; }
  /// Where the picture ends: `until`, or where the limit was reached.
  paceline::core::Nanos end() const { return end_; }

 private:
  Look look_;
  std::vector<Segment> segments_;
  std::vector<std::size_t> last_;  // of each lane, index into segments_
  paceline::core::Nanos end_ = 0;
};

}  // namespace paceline_sim
