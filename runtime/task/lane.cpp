// SPDX-License-Identifier: BSL-1.0
#include "task/lane.hpp"

#include <memory>
#include <new>
#include <utility>

namespace paceline::core {

namespace {

static_assert(qos_count == 6, "a sweep for each class");

}  // namespace

Lane::Lane(Port& port, unsigned task_group) noexcept
    : sweeps{Sweep(collections[0]), Sweep(collections[1]), Sweep(collections[2]),
             Sweep(collections[3]), Sweep(collections[4]), Sweep(collections[5])} {
  for (unsigned c = 0; c < qos_count; ++c) {
    collections[c].attach(port, c, port.collections[0].source(), task_group);
  }
}

Lane* lane_at(Port& port, unsigned task_group) noexcept {
  Atomic<Lane*>& place = port.lanes[task_group];
  Lane* lane = place.load(std::memory_order_acquire);  // M81
  if (lane != nullptr) return lane;
  std::unique_ptr<Lane> fresh(new (std::nothrow) Lane(port, task_group));
  if (fresh == nullptr) return nullptr;
  // Release publishes the new lane; acquire, if another spawner was faster, its lane to us.
  if (place.compare_exchange_strong(lane, fresh.get(), std::memory_order_acq_rel,  // M81
                                    std::memory_order_acquire)) {
    return fresh.release();
  }
  return lane;
}

}  // namespace paceline::core
