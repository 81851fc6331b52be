// SPDX-License-Identifier: BSL-1.0
// Sharing: which words of the arena more than one virtual thread uses.
//
// An access to a word that only one thread ever uses, or that nobody ever writes, commutes with
// every step of every other thread, so the explorer need not switch there. What is shared is not
// declared but learned, from random runs before a search; a word that turns out to be shared during
// the search makes the search start again. So the saving is exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "explorer/arena.hpp"
#include "explorer/point.hpp"

namespace model {

class Sharing {
 public:
  Sharing();

  /// A new model: nothing is known.
  void forget() noexcept;
  /// What is known to be shared now is where the search switches.
  void adopt() noexcept;
  /// Has an access since `adopt` shown a word to be shared that was not?
  bool surprised() const noexcept { return surprised_; }

  /// Statistics: accesses to them are no points.
  void ignore(const void* begin, std::size_t bytes) noexcept;

  /// Notes an access of thread `by`. True if the search must switch there.
  bool note(const void* address, Access access, unsigned by) noexcept;

 private:
  struct Use {
    std::uint8_t users = 0;  // a bit per thread
    std::uint8_t writers = 0;
    bool shared = false;  // as of adopt()
    bool ignored = false;
  };
  static bool is_shared(const Use& use) noexcept {
    // Somebody writes it, and somebody else uses it.
    return use.writers != 0 && (use.users & (use.users - 1)) != 0;
  }

  static constexpr std::size_t kGrain = 4;
  static constexpr std::size_t kCovered = 2 * 1024 * 1024;
  std::vector<Use> uses_;
  bool surprised_ = false;
};

Sharing& sharing() noexcept;

}  // namespace model
