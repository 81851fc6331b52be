// SPDX-License-Identifier: BSL-1.0
#include "sched/plan.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <stdexcept>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"
#include "policy/profile.hpp"
#include "sched/machine_data.hpp"
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

namespace {

policy::ProfileName name_of(profile chosen) noexcept {
  switch (chosen) {
    case profile::performance: return policy::ProfileName::performance;
    case profile::efficiency: return policy::ProfileName::efficiency;
    case profile::balanced: break;
  }
  return policy::ProfileName::balanced;
}

policy::Profile edges_of(profile chosen) noexcept {
  switch (chosen) {
    case profile::performance: return policy::Profile::performance;
    case profile::efficiency: return policy::Profile::efficiency;
    case profile::balanced: break;
  }
  return policy::Profile::balanced;
}

}  // namespace

void check_profile(const runtime_options& options) {
  if (options.profile != profile::performance && options.profile != profile::balanced &&
      options.profile != profile::efficiency) {
    throw std::invalid_argument(
        "runtime_options.profile is neither performance nor balanced nor efficiency");
  }
  const auto verdict = policy::make_profile(name_of(options.profile), options.time_scale);
  if (verdict.fault != policy::ProfileFault::none) {
    throw std::invalid_argument(fmt::format("runtime_options.time_scale is {}; use {} to {}",
                                            options.time_scale, policy::kLeastProfileScale,
                                            policy::kMostProfileScale));
  }
}

/// Which worker sits on which cluster. One that the system moves about sits nowhere.
void RuntimeCore::settle_clusters() {
  if (!plan_.pin && machine_.is_this_machine()) return;
  cpu_kinds_ = CpuKinds(machine_);
  const MachineData data(machine_);
  try {
    clusters_.arrange(data.view(), edges_of(options_.profile), options_.time_scale, *hub_, seats_);
    if (!clusters_.several()) return;
    auto settings = policy::make_profile(name_of(options_.profile), options_.time_scale).profile;
    // Without a monitor nobody would notice that cores which rest are wanted again.
    if (options_.preemption == preemption_mode::off) settings.packs = false;
    steering_.begin(data.view(), settings, clusters_, seats_);
  } catch (const std::invalid_argument& error) {
    clusters_.forget();
    log::write(log::Level::warn,
               fmt::format("runtime '{}': takes its machine's cores as alike ({})", options_.name,
                           error.what()));
  }
}

Worker::Plan RuntimeCore::plan_worker(unsigned index) const {
  const auto count = static_cast<unsigned>(plan_.workers);
  Worker::Plan plan;
  plan.index = index;
  plan.cpu = plan_.pin ? plan_.cpus[index] : -1;
  if (plan_.pin) plan.thread_class = machine::class_of_core(machine_, index);
  const topology::core& own = machine_.cores()[index % machine_.cores().size()];
  plan.kind = machine_.clusters()[own.cluster].kind;
  plan.stack_bytes = options_.stack_size;
  // Nearest first; among equals the next index first, so that thieves spread. Workers that the
  // system moves about are near to nobody.
  const bool placed = plan_.pin || !machine_.is_this_machine();
  const std::size_t cores = machine_.cores().size();
  std::vector<unsigned> distance(count, 0);
  for (unsigned v = 0; placed && v < count; ++v) {
    distance[v] = machine_.distance(index % cores, v % cores);
  }
  // A cluster is as near as the nearest in it, and together.
  std::vector<unsigned> to_cluster(clusters_.count(), ~0u);
  const auto cluster = [&](unsigned v) -> unsigned {
    return clusters_.several() ? clusters_.of(v) : 0;
  };
  for (unsigned v = 0; clusters_.several() && v < count; ++v) {
    to_cluster[cluster(v)] = std::min(to_cluster[cluster(v)], distance[v]);
  }
  const auto rank = [&](unsigned v) {
    const unsigned far = clusters_.several() ? to_cluster[cluster(v)] : 0;
    return std::tuple(far, cluster(v), distance[v], (v + count - index) % count);
  };
  for (unsigned step = 1; step < count; ++step) plan.victims.push_back((index + step) % count);
  std::sort(plan.victims.begin(), plan.victims.end(),
            [&](unsigned a, unsigned b) { return rank(a) < rank(b); });
  plan.of_cluster.resize(clusters_.count());
  for (unsigned at = 0; clusters_.several() && at < plan.victims.size(); ++at) {
    Worker::Range& range = plan.of_cluster[cluster(plan.victims[at])];
    if (range.last == 0) range.first = at;
    range.last = at + 1;
  }
  return plan;
}

}  // namespace paceline::core
