// SPDX-License-Identifier: BSL-1.0
#include "exec/lock_checks.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "exec/names.hpp"
#include "machine/lock_detector.hpp"
#include "machine/unwind.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

std::string report_of(const machine::HeldLock* held, unsigned count) {
  char name[256];
  const std::string_view task(name, describe_this_task(name, sizeof name));
  std::string text =
      fmt::format("{} is about to be parked in the middle of its run, and holds", task);
  machine::Symbols symbols;
  for (unsigned i = 0; i < count; ++i) {
    text += fmt::format("\n    {} ({}), taken in {}", held[i].kind, held[i].object,
                        symbols.describe(held[i].taken_at));
  }
  text += "\n  No other task of its thread could get that. Release it first, or keep the stretch";
  text += " in a nopreempt guard.";
  return text;
}

}  // namespace

void stop_if_locks_held(const Slot& task) noexcept {
  constexpr unsigned kMost = 8;
  machine::HeldLock held[kMost];
  const unsigned count = machine::held_locks(task, held, kMost);
  if (count == 0) return;
  log::report(report_of(held, count));
  std::abort();
}

}  // namespace paceline::core
