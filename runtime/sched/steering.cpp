// SPDX-License-Identifier: BSL-1.0
#include "sched/steering.hpp"

#include <algorithm>
#include <utility>

#include "machine/machine.hpp"

namespace paceline::core {

namespace {

/// How long a worker has slept so far, the sleep under way included.
Nanos rest_of(const Seat& seat, Nanos now) noexcept {
  // Two words, read while they change: off by one sleep at worst, and only in a figure.
  const Nanos since = seat.rests_since.load(std::memory_order_relaxed);
  const Nanos before = seat.rested.load(std::memory_order_relaxed);
  return since != 0 && now > since ? before + (now - since) : before;
}

}  // namespace

void Steering::begin(const policy::MachineView& machine, const policy::ProfileSettings& profile,
                     Clusters& clusters, std::vector<Seat*> seats) {
  utilisation_.resize(machine.cores.size());
  capacity_.reserve(machine.cores.size());
  for (const policy::CoreView& core : machine.cores) {
    capacity_.push_back(machine.clusters[core.cluster].capacity);
  }
  latency_.resize(machine.clusters.size() * qos_count);
  rested_.resize(seats.size());
  health_.reserve(machine.clusters.size());
  for (std::size_t c = 0; c < machine.clusters.size(); ++c) {
    // Nobody tells us of heat. A cluster without workers is not there for us.
    const bool online = !clusters.workers_of(static_cast<policy::ClusterIndex>(c)).empty();
    health_.push_back({.online = online, .hot = false});
  }
  looked_at_ = machine::now();
  next_ = looked_at_ + policy::kLeastStep;
  controller_.emplace(machine, profile, looked_at_ - policy::kLeastStep);
  // So that nothing prefers a cluster that is not there for us.
  controller_->step({.now = looked_at_,
                     .utilisation = utilisation_,
                     .latency_us = latency_,
                     .health = health_,
                     .demand = {},
                     .energy = policy::EnergyUse::bad_model});
  clusters_ = &clusters;
  seats_ = std::move(seats);
  hand_on();
}

void Steering::note_utilisation(Nanos now) noexcept {
  std::fill(utilisation_.begin(), utilisation_.end(), 0u);
  const Nanos over = std::max<Nanos>(now - looked_at_, 1);
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const Nanos rested = rest_of(*seats_[i], now);
    const Nanos busy = std::clamp<Nanos>(over - (rested - rested_[i]), 0, over);
    rested_[i] = rested;
    const std::size_t core = i % utilisation_.size();
    const auto used = static_cast<std::uint32_t>(busy * capacity_[core] / over);
    utilisation_[core] = std::min(utilisation_[core] + used, capacity_[core]);
  }
  looked_at_ = now;
}

Nanos Steering::step(Nanos now) noexcept {
  if (!controller_) return kForever;
  if (now < next_) return next_;
  note_utilisation(now);
  policy::ControllerSnapshot seen{.now = now,
                                  .utilisation = utilisation_,
                                  .latency_us = latency_,
                                  .health = health_,
                                  .demand = {},
                                  // Nobody tells us what the cores take.
                                  .energy = policy::EnergyUse::bad_model};
  for (std::size_t c = 0; c < health_.size(); ++c) {
    const auto cluster = static_cast<policy::ClusterIndex>(c);
    const auto runnable = clusters_->runnable(cluster);
    for (std::size_t q = 0; q < qos_count; ++q) {
      latency_[c * qos_count + q] = clusters_->latency(cluster, static_cast<qos>(q));
      seen.demand[q] += runnable[q];
    }
  }
  const policy::ControllerChanges changes = controller_->step(seen);
  if (changes.any()) {
    hand_on();
    call_sleepers();
  }
  next_ = changes.next;
  steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return next_;
}

/// Whoever went to sleep by the old words may be of help by the new ones.
void Steering::call_sleepers() noexcept {
  for (Seat* seat : seats_) {
    if ((seat->classes.load(std::memory_order_seq_cst) & Port::kClasses) == 0) continue;  // M9
    if (Hub* hub = seat->hub.load(std::memory_order_acquire)) {                           // M10
      call_helper(*hub, seat->index.load(std::memory_order_relaxed));
    }
  }
}

void Steering::hand_on() noexcept {
  for (std::size_t q = 0; q < qos_count; ++q) {
    clusters_->prefer(static_cast<qos>(q), controller_->preferred(static_cast<qos>(q)));
  }
  for (std::size_t c = 0; c < health_.size(); ++c) {
    const auto cluster = static_cast<policy::ClusterIndex>(c);
    clusters_->recommend(cluster, controller_->recommended(static_cast<std::uint32_t>(c)));
  }
  clusters_->publish();
}

}  // namespace paceline::core
