// SPDX-License-Identifier: BSL-1.0
// What an access to memory costs on a machine with many cores: cache lines that are in as many
// caches as read them, and in one that writes them. Pure; a caller has the clocks.
// Proof: tests/sim/lines_test.cpp.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/time.hpp"
#include "sim/machine/prices.hpp"
#include "sim/machine/touch.hpp"

namespace paceline::core::simulation {

/// A line is held by nobody, by readers, or by one core that may write it. What a core holds is a
/// hit. Everything else is a miss, and is waited for:
/// I1: whoever takes a line from others to write it, and whoever reads one that another core may
///     have written, has it to itself for the time of the miss; the next one that misses waits
///     until then.
/// I2: readers of a line that nobody writes do not wait for each other.
/// All cores are equally far from each other, and caches are never full.
class Lines {
 public:
  static constexpr std::size_t kMostCores = 384;

  struct Line;

  explicit Lines(const Prices& prices) : prices_(prices), table_(kFirstTable) {}

  /// The line that has `address`. The reference stays good.
  Line& line_of(const void* address);
  /// Does `core` hold the line as this access needs it?
  static bool is_hit(const Line& line, std::size_t core, Access access) noexcept;
  /// The time at which the access that `core` begins `now`, in the code at `from`, is done.
  Nanos access(Line& line, std::size_t core, Access access, Nanos now, const void* from = nullptr);

  /// What was seen since the last time.
  Tally take_tally();

 private:
  using Cores = std::bitset<kMostCores>;
  static constexpr std::size_t kNobody = ~std::size_t{0};
  static constexpr std::size_t kFirstTable = 1024;

  struct Entry {
    std::uintptr_t name = 0;
    Line* line = nullptr;
  };

  Entry& entry_of(std::uintptr_t name) noexcept;
  void grow();

  const Prices prices_;
  std::deque<Line> lines_;    // in the order of their first accesses
  std::vector<Entry> table_;  // of them by name, where it belongs or behind that
};

struct Lines::Line {
  Cores holders;
  std::size_t writer = kNobody;  // the one holder, if it may write
  Nanos free_at = 0;             // until then it is on its way to somebody
  Cores written_by;
  LineTally tally;
  std::map<const void*, std::uint64_t> missed_from;
};

inline bool Lines::is_hit(const Line& line, std::size_t core, Access access) noexcept {
  return access == Access::load ? line.holders.test(core) : line.writer == core;
}

}  // namespace paceline::core::simulation
