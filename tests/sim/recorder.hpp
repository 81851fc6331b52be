// SPDX-License-Identifier: BSL-1.0
// What a world tells of its cores: who ran where, from when to when. One thread, virtual time.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace paceline_sim {

/// One task on one core, without a gap.
struct Segment {
  std::uint32_t lane;  ///< the core; a row of the picture
  paceline::core::Nanos from;
  paceline::core::Nanos to;
  std::uint32_t task;
  std::uint8_t q = 3;          ///< class index; `standard` where a world has no classes
  std::uint16_t speed = 1024;  ///< of the core at that time, of 1024 for the machine's fastest
};

class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual void ran(const Segment& segment) = 0;
};

}  // namespace paceline_sim
