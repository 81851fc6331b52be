// SPDX-License-Identifier: BSL-1.0
#include "explorer/sharing.hpp"

#include <algorithm>

namespace model {

Sharing& sharing() noexcept {
  static Sharing one;
  return one;
}

Sharing::Sharing() : uses_(kCovered / kGrain) {}

void Sharing::forget() noexcept {
  std::fill(uses_.begin(), uses_.end(), Use{});
  surprised_ = false;
}

void Sharing::adopt() noexcept {
  for (Use& use : uses_) use.shared = is_shared(use);
  surprised_ = false;
}

void Sharing::ignore(const void* begin, std::size_t bytes) noexcept {
  const std::size_t at = Arena::heap_offset(begin) / kGrain;
  for (std::size_t i = 0; i < bytes / kGrain; ++i) uses_[at + i].ignored = true;
}

bool Sharing::note(const void* address, Access access, unsigned by) noexcept {
  // Memory of the program itself may be looked at, as nobody writes it during an execution.
  if (!arena().in_heap(address)) {
    require(access == Access::load, "an execution changes only memory of the arena");
    return false;
  }
  const std::size_t at = Arena::heap_offset(address) / kGrain;
  require(at < uses_.size(), "the memory that threads share is within the covered part");
  Use& use = uses_[at];
  if (use.ignored) {
    require(access == Access::rmw, "a statistic is counted, never looked at");
    return false;
  }
  use.users |= static_cast<std::uint8_t>(1u << by);
  if (access != Access::load) use.writers |= static_cast<std::uint8_t>(1u << by);
  if (!use.shared && is_shared(use)) surprised_ = true;
  return use.shared;
}

}  // namespace model
