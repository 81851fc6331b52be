// SPDX-License-Identifier: BSL-1.0
// The scenarios of the policy world: worlds in virtual time whose every decision is one of the
// production's policies, what they are expected to show, and a window of what ran.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "sched/machine_data.hpp"
#include "sim/report.hpp"
#include "sim/timeline.hpp"

namespace paceline_sim {

struct Run {
  std::uint64_t seed;
  const paceline::topology& machine;  ///< the scenario's own, unless the user gave another
  Report& report;
  Timeline& timeline;
};

struct Scenario {
  std::string_view name;
  std::string_view what;      ///< in a sentence
  std::string_view topology;  ///< text of its machine
  bool any_machine;           ///< runs on the user's as well
  void (*run)(Run&);          ///< throws std::invalid_argument if the machine does not suit it
};

std::span<const Scenario> scenarios();

// Each scenario, by the file that has it.
void run_classes(Run& run);        // scenarios_core.cpp
void run_cfs_timeline(Run& run);   //
void run_hogs(Run& run);           // scenarios_floor.cpp
void run_io_and_cpu(Run& run);     //
void run_cache(Run& run);          //
void run_home_node(Run& run);      //
void run_stir(Run& run);           // scenarios_kinds.cpp
void run_kinds(Run& run);          //
void run_phone(Run& run);          //
void run_scaling(Run& run);        // scenarios_scaling.cpp
void run_energy_tables(Run& run);  // scenarios_tables.cpp
void run_clocks(Run& run);         //

/// A row for each core: its number and kind.
std::vector<Lane> lanes_of(const paceline::topology& machine);

}  // namespace paceline_sim
