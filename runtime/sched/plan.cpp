// SPDX-License-Identifier: BSL-1.0
#include "sched/plan.hpp"

#include <algorithm>
#include <cmath>
#include <new>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"
#include "sched/runtime_core.hpp"
#include "trace/log.hpp"

namespace paceline::core {

WorkerPlan plan_workers(std::size_t asked, bool pin, std::vector<int> usable, double quota) {
  WorkerPlan plan;
  std::size_t workers = asked;
  if (workers == 0) {
    workers = std::max<std::size_t>(usable.size(), 1);
    // Compared before it is converted: a quota may be any number.
    if (quota > 0 && quota < static_cast<double>(workers)) {
      workers = static_cast<std::size_t>(std::ceil(quota));
    }
  }
  plan.workers = std::clamp<std::size_t>(workers, 1, kMaxWorkers);
  plan.pin = pin && plan.workers == usable.size();
  plan.cpus = std::move(usable);
  return plan;
}

WorkerPlan plan_for(const runtime_options& options, const topology& machine) {
  std::vector<int> cpus;
  for (const topology::core& core : machine.cores()) cpus.push_back(static_cast<int>(core.cpu));
  if (!machine.is_this_machine()) return plan_workers(options.workers, false, std::move(cpus), 0);
  return plan_workers(options.workers, options.pin, std::move(cpus),
                      machine::cpu_quota().value_or(0));
}

topology machine_for(const runtime_options& options) {
  if (options.topology) return *options.topology;
  try {
    return topology::detect();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    log::write(log::Level::warn,
               fmt::format("runtime '{}': cannot tell the machine's cores apart and takes them as "
                           "alike ({})",
                           options.name, error.what()));
    return machine::homogeneous(machine::usable_cpus());
  }
}

}  // namespace paceline::core
