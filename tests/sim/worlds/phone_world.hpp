// SPDX-License-Identifier: BSL-1.0
// A phone of ten cores (2 + 4 + 2 + 2) under a mixed load of frames, sound, touches, video, network
// and upkeep: what placement by energy saves against placement on the least loaded core, with the
// same governor of clock speeds, and how many deadlines each meets (policies.md 5).
//
// Capacities and powers are configuration: those of the example of policies.md 5.5 for the outer
// kinds, values between them for the other two; no chip was measured. Energy is that of the cores:
// running, idling awake, and waking.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/rng.hpp"
#include "policy/balance.hpp"
#include "policy/controller.hpp"
#include "policy/energy.hpp"
#include "sim/recorder.hpp"
#include "support/policy_machine.hpp"

namespace paceline_sim {

using paceline::core::Nanos;

enum class PhonePlace : std::uint8_t {
  least_loaded,        ///< of all cores, a random one of equals; clocks follow utilisation alone
  littles_first,       ///< the same, equals taken from the slow end
  least_loaded_paced,  ///< placed like the first, with the clock requests of `balanced`
  performance,         ///< the production's profiles and controller, and what they ask of clocks
  balanced,
  efficiency,
};

struct PhoneResult {
  double energy_mj;
  double wake_energy_mj;  ///< of that, for waking cores
  double deadlines_met;   ///< share of all jobs
  double frames_met;      ///< share of the jobs of the two frame tasks
  std::uint64_t jobs;
  std::array<double, 4> time_share;  ///< of busy time, by rank
};

/// One kind of job that comes again and again.
struct PhoneTask {
  paceline::qos qos_class;
  Nanos period;
  Nanos work;  ///< on the fastest core at full speed; each job half to one and a half of it
  Nanos deadline;
};

/// Ten tasks, together about 15 % of the machine.
const std::vector<PhoneTask>& phone_workload();

class PhoneWorld {
 public:
  static PhoneResult run(std::uint64_t seed, PhonePlace place,
                         Nanos time = 20 * paceline::core::kSecond, Recorder* recorder = nullptr);

  /// The machine and its model, for whoever wants to try them.
  static paceline_test::PolicyMachine machine();
  static std::vector<paceline::core::policy::ClusterEnergy> energy();

 private:
  static constexpr Nanos kTick = 250 * paceline::core::kMicrosecond;
  static constexpr Nanos kSleepAfter = paceline::core::kMillisecond;  // of idling

  struct Task {
    PhoneTask what;
    std::uint32_t core;
    Nanos next_job;
    Nanos came_at = 0;
    double left = 0;  // nanoseconds at full speed; 0: waits
    double job = 0;
    double utilisation = 0;    // average, halves in 32 ms
    double expected = 0;       // utilisation at the ends of jobs
    double expected_work = 0;  // of the longest recent job
  };
  struct Core {
    Nanos idle_since = 0;
    bool asleep = false;
    paceline::core::policy::LoadAverage average;
  };

  PhoneWorld(std::uint64_t seed, PhonePlace place);
  void tick();
  void steer();
  void begin(std::uint32_t index);
  void finish(Task& task);
  std::uint32_t place(const Task& task);
  std::uint32_t place_least(const std::vector<std::uint64_t>& mask);
  std::vector<std::uint64_t> mask_for(const Task& task) const;
  static std::uint32_t needed(const Task& task);
  std::uint32_t most(const Task& task) const;
  std::vector<std::uint32_t> utilisations(bool clamped) const;
  std::uint32_t runnable(std::uint32_t core) const;
  std::uint32_t first_of(std::uint32_t core) const;
  void set_clocks();

  paceline_test::PolicyMachine machine_;
  std::vector<paceline::core::policy::ClusterEnergy> energy_;
  PhonePlace place_;
  Recorder* recorder_ = nullptr;
  paceline::core::policy::ProfileSettings profile_;
  paceline::core::policy::Controller controller_;
  paceline::core::policy::EnergyPolicy policy_;
  paceline::core::Rng jobs_;  // two of them: placement must not change the load
  paceline::core::Rng ties_;
  Nanos now_ = 0;
  Nanos next_step_ = 0;
  std::vector<Task> tasks_;
  std::vector<Core> cores_;
  std::vector<const paceline::core::policy::OperatingPoint*> points_;  // by cluster
  PhoneResult result_{};
  std::uint64_t met_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t frames_met_ = 0;
};

}  // namespace paceline_sim
