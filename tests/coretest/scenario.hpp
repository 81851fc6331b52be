// SPDX-License-Identifier: BSL-1.0
// The scenarios: what there is, and the one function each consists of.
// A scenario runs in a child process of its own. It returns when its run is over, reports broken
// invariants through the context, and leaves no thread, descriptor or runtime behind.
#pragma once

#include <span>
#include <string_view>

namespace coretest {

class Context;

struct Scenario {
  std::string_view id;     // in reliability.md section 4
  std::string_view name;   // on the command line
  std::string_view what;   // one line: what it does and checks
  unsigned least_workers;  // with fewer it is skipped
  void (*run)(Context&);
};

/// In the order of their ids.
std::span<const Scenario> scenarios() noexcept;
/// Null if there is none of that name.
const Scenario* find_scenario(std::string_view name) noexcept;

}  // namespace coretest
