// SPDX-License-Identifier: BSL-1.0
// A hub with its seats and no workers: the tests play the workers.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/idle.hpp"
#include "sched/seats.hpp"

namespace paceline_test {

namespace core = paceline::core;

class House {
 public:
  explicit House(unsigned workers) : hub_(core::acquire_hub(workers)) {
    for (unsigned i = 0; i < workers; ++i) {
      seats_.push_back(core::acquire_seat(*hub_, i));
      seats_.back()->poll_ns = 0;  // what the last tenant's polls took
    }
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;
  ~House() {
    for (core::Seat* seat : seats_) core::recycle_seat(seat);
    core::recycle_hub(hub_);
  }

  core::Hub& hub() { return *hub_; }
  core::Seat& seat(unsigned index) { return *seats_[index]; }

  /// What a worker publishes before it sleeps and after it woke up.
  void sleep(unsigned index) { core::detail_park::publish_asleep(*hub_, seat(index)); }
  std::uint32_t wake_up(unsigned index) {
    return core::detail_park::publish_awake(*hub_, seat(index));
  }

  /// Nobody sleeps, nobody searches, no word says otherwise.
  bool at_rest() {
    bool quiet = hub_->sleepers == 0 && hub_->searching == 0;
    for (auto& word : hub_->asleep) quiet = quiet && word == 0;
    for (core::Seat* seat : seats_) quiet = quiet && seat->park == core::Seat::kAwake;
    return quiet;
  }

 private:
  core::Hub* hub_;
  std::vector<core::Seat*> seats_;
};

}  // namespace paceline_test
