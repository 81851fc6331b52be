// SPDX-License-Identifier: BSL-1.0
#include "sim/machine/lines.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/atomic.hpp"

namespace paceline::core::simulation {

/// Where the line of that name is, or where it would go.
Lines::Entry& Lines::entry_of(std::uintptr_t name) noexcept {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = name * 0x9e3779b97f4a7c15ull >> 32 & mask;
  while (table_[at].line != nullptr && table_[at].name != name) at = (at + 1) & mask;
  return table_[at];
}

void Lines::grow() {
  table_.assign(2 * table_.size(), {});
  for (Line& line : lines_) {
    const std::uintptr_t name = line.tally.address / kCacheLine;
    entry_of(name) = {name, &line};
  }
}

Lines::Line& Lines::line_of(const void* address) {
  const std::uintptr_t name = reinterpret_cast<std::uintptr_t>(address) / kCacheLine;
  if (const Entry& known = entry_of(name); known.line != nullptr) return *known.line;
  Line& line = lines_.emplace_back();
  line.tally.address = name * kCacheLine;
  line.tally.number = lines_.size();
  if (2 * lines_.size() > table_.size()) {
    grow();
  } else {
    entry_of(name) = {name, &line};
  }
  return line;
}

Nanos Lines::access(Line& line, std::size_t core, Access access, Nanos now, const void* from) {
  const bool writes = access != Access::load;
  const bool hit = is_hit(line, core, access);
  ++line.tally.accesses;
  if (writes) line.written_by.set(core);
  if (!hit) {
    const Nanos start = std::max(now, line.free_at);
    ++line.tally.misses;
    ++line.missed_from[from];
    line.tally.waited += start - now;
    now = start + prices_.miss;
    if (writes || line.writer != kNobody) {  // I1
      line.tally.held += prices_.miss;
      line.free_at = now;
    }
    if (writes) line.holders.reset();
    // Who reads what nobody has may write it as well, unasked.
    line.writer = line.holders.none() ? core : kNobody;
    line.holders.set(core);
  }
  return now + (access == Access::rmw ? prices_.rmw : prices_.access);
}

Tally Lines::take_tally() {
  Tally tally;
  for (Line& line : lines_) {
    LineTally seen = line.tally;
    line.tally = {.address = seen.address, .number = seen.number};
    tally.accesses += seen.accesses;
    tally.misses += seen.misses;
    tally.waited += seen.waited;
    seen.writers = std::exchange(line.written_by, {}).count();
    seen.missed_from = std::exchange(line.missed_from, {});
    if (seen.misses != 0) tally.lines.push_back(std::move(seen));
  }
  std::sort(tally.lines.begin(), tally.lines.end(), [](const LineTally& a, const LineTally& b) {
    return std::tuple(-a.held, a.number) < std::tuple(-b.held, b.number);
  });
  return tally;
}

}  // namespace paceline::core::simulation
