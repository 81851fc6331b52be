// SPDX-License-Identifier: BSL-1.0
#include "sim/timeline.hpp"

#include <algorithm>

namespace paceline_sim {

void Timeline::open(Look look) {
  look_ = std::move(look);
  segments_.clear();
  last_.assign(look_.lanes.size(), ~std::size_t{0});
  end_ = look_.until;
}

void Timeline::ran(const Segment& whole) {
  Segment segment = whole;
  segment.from = std::max(segment.from, look_.from);
  segment.to = std::min(segment.to, end_);
  if (segment.lane >= last_.size() || segment.from >= segment.to) return;
  std::size_t& last = last_[segment.lane];
  if (last < segments_.size()) {
    Segment& before = segments_[last];
    if (before.to == segment.from && before.task == segment.task && before.q == segment.q &&
        before.speed == segment.speed) {
      before.to = segment.to;
      return;
    }
  }
  if (segments_.size() == kMostSegments) {
    // What is shown is whole up to here; later parts of some lanes only would mislead.
    end_ = segment.from;
    for (Segment& kept : segments_) kept.to = std::min(kept.to, end_);
    return;
  }
  last = segments_.size();
  segments_.push_back(segment);
}

}  // namespace paceline_sim
