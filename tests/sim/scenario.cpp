// SPDX-License-Identifier: BSL-1.0
#include "sim/scenario.hpp"

#include <spdlog/fmt/fmt.h>

namespace paceline_sim {

std::span<const Scenario> scenarios() {
  static const Scenario all[] = {
      {"classes", "who runs when on one core, for pairs of classes and for five of them", "1",
       false, run_classes},
      {"hogs40", "as many hogs as cores, started anywhere: how even the cores become", "2x20", true,
       run_hogs},
      {"io_and_cpu", "twenty tasks with bursts of I/O beside twenty hogs on twenty cores", "20",
       false, run_io_and_cpu},
      {"cache", "what moving costs, and what is left of it when balancing decides", "2*4P", false,
       run_cache},
      {"home_node", "tasks on two memory nodes, placed beside their memory", "2x20", false,
       run_home_node},
      {"stir", "as many equal hogs as cores, on fast and slow ones, with and without stirring",
       "4P+4E", true, run_stir},
      {"kinds",
       "the runtime itself on fast and slow cores: turns, and who goes on when cores are free",
       "4P+4E", false, run_kinds},
      {"phone", "what placement by energy saves on a phone, at equal deadlines met",
       "2P@1024+4M@700+2M@400+2L@512", false, run_phone},
      {"cfs_timeline", "virtual time on two big and two little cores, slice by slice",
       "2P@1024+2E@512", false, run_cfs_timeline},
      {"energy_tables", "the printed examples: what a wake costs, and where the least energy is",
       "2E@512+2P@1024", false, run_energy_tables},
      {"clocks", "five classes on one core under clocks that jump or stand still", "1", false,
       run_clocks},
      {"scaling", "the runtime itself with 2 to 256 workers, where cache lines have prices", "256",
       false, run_scaling},
  };
  return all;
}

std::vector<Lane> lanes_of(const paceline::topology& machine) {
  std::vector<Lane> lanes;
  const auto cores = machine.cores();
  for (std::size_t i = 0; i < cores.size(); ++i) {
    const auto& kind = machine.kinds()[machine.clusters()[cores[i].cluster].kind];
    const bool one_kind = machine.kinds().size() == 1;
    lanes.push_back({fmt::format("core {}{}{}", i, one_kind ? "" : " ", one_kind ? "" : kind.name),
                     cores[i].cluster});
  }
  return lanes;
}

}  // namespace paceline_sim
