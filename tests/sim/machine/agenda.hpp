// SPDX-License-Identifier: BSL-1.0
// When each of many threads goes on, and who does first. A winner tree: an entry costs as many
// comparisons as the number of threads has digits in base two, the first one none.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "base/time.hpp"

namespace paceline::core::simulation {

class Agenda {
 public:
  /// `who` goes on at `at`; among those of one time the least `lot` is first.
  void put(std::size_t who, Nanos at, std::uint64_t lot) {
    if (who >= turns_.size()) grow(who + 1);
    turns_[who] = {at, lot};
    for (std::size_t node = (turns_.size() + who) / 2; node != 0; node /= 2) settle(node);
  }
  void strike(std::size_t who) { put(who, kForever, 0); }

  /// kForever: nobody.
  Nanos earliest() const noexcept { return turns_.empty() ? kForever : turns_[first()].at; }
  /// Whose turn that is; if there is somebody.
  std::size_t first() const noexcept { return winners_[1]; }

 private:
  struct Turn {
    Nanos at = kForever;
    std::uint64_t lot = 0;
  };

  // Node n's children are 2n and 2n + 1; the leaf of `who` is number turns_.size() + who.
  void settle(std::size_t node) noexcept {
    const std::size_t left = winners_[2 * node];
    const std::size_t right = winners_[2 * node + 1];
    const auto key = [this](std::size_t who) { return std::tie(turns_[who].at, turns_[who].lot); };
    winners_[node] = key(right) < key(left) ? right : left;
  }
  void grow(std::size_t count) {
    turns_.resize(std::bit_ceil(count));
    winners_.resize(2 * turns_.size());
    for (std::size_t who = 0; who < turns_.size(); ++who) winners_[turns_.size() + who] = who;
    for (std::size_t node = turns_.size() - 1; node != 0; --node) settle(node);
  }

  std::vector<Turn> turns_;
  std::vector<std::size_t> winners_;
};

}  // namespace paceline::core::simulation
