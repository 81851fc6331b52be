// SPDX-License-Identifier: BSL-1.0
#include "sched/residence.hpp"

#include <paceline/qos.hpp>

#include "machine/machine.hpp"

namespace paceline::core {

CpuKinds::CpuKinds(const topology& machine) {
  // Kinds beyond what a byte can name are not told apart here.
  const auto kinds = machine.kinds();
  if (kinds.size() < 2 || kinds.size() >= kUnknown) return;
  count_ = static_cast<unsigned>(kinds.size());
  for (const topology::core& core : machine.cores()) {
    if (core.cpu >= kinds_.size()) kinds_.resize(core.cpu + 1, kUnknown);
    kinds_[core.cpu] = static_cast<std::uint8_t>(machine.clusters()[core.cluster].kind);
  }
}

Residence::Residence(const CpuKinds& kinds, unsigned own, bool real)
    : kinds_(kinds),
      own_(static_cast<std::uint8_t>(own)),
      is_real_(real),
      is_asked_(kinds.count() != 0),
      counts_(std::size_t{qos_count} * kinds.count()) {}

bool Residence::look(Nanos now, unsigned class_index) noexcept {
  const int cpu = is_real_ ? machine::current_cpu() : -1;
  const std::uint8_t found = cpu >= 0 ? kinds_.of(cpu) : own_;  // who cannot know is at home
  if (found != CpuKinds::kUnknown && class_index < qos_count) {
    Atomic<std::uint64_t>& count = counts_[class_index * kinds_.count() + found];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  return residency_.look(now, found == own_);
}

}  // namespace paceline::core
