// SPDX-License-Identifier: BSL-1.0
// What the program does: explores the members of the models, plants the mistakes, replays.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/sites.hpp"
#include "explorer/search.hpp"

namespace model {

struct Options {
  bool quick = false;
  std::string model;   // empty: all
  std::string member;  // empty: all
  paceline::core::Mutant mutant = paceline::core::Mutant::none;
  std::optional<unsigned> bound;        // of preemptions, instead of each member's own
  std::optional<std::uint64_t> states;  // where a search is cut off
  std::uint64_t seed = 1;               // of the random searches
  std::optional<std::uint64_t> random;  // only random searches, of so many schedules
  std::optional<std::string> schedule;  // replay it
};

/// The mistakes that the models must find, by name. Null if there is none of that name.
struct NamedMutant {
  const char* name;
  paceline::core::Mutant mutant;
  const char* model = nullptr;  // look there first
};
const NamedMutant* find_mutant(std::string_view name);

void list();
/// Each returns the program's exit code: 0 all is well, 1 something was found, 2 nothing matches.
int run_job(const Options& options);
int run_replay(const Options& options);

}  // namespace model
