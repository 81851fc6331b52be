// SPDX-License-Identifier: BSL-1.0
// Image: one state of an execution as bytes - saved, put back, and reduced to a key.
//
// A virtual thread is deterministic and all it knows is on its stack, so two states with the same
// bytes have the same future. A key has 96 bits of hash over them; the chance that any two of 10^8
// states share one is below 10^-12, so merging by key is exact for every practical purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace model {

struct Key {
  std::uint64_t high = 0;
  std::uint32_t low = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

namespace image {

/// Appends the present state; returns where it begins.
std::size_t save(std::vector<char>& to);
/// Makes a saved state the present one.
void restore(const char* from) noexcept;
/// The same when the present state is that of a failed execution, whose stacks are in any shape.
void restore_after_failure(const char* from) noexcept;
/// The present state's key. `salt` tells states apart that differ in what the search knows of them.
Key key(std::uint64_t salt) noexcept;
/// Bytes of the present state.
std::size_t bytes() noexcept;

}  // namespace image
}  // namespace model
