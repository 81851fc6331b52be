// SPDX-License-Identifier: BSL-1.0
// A floor of simulated cores: tasks that compute and pause, queues, ticks of virtual time, and the
// production's domains and balancer deciding who moves. Everything follows from the seed.
//
// It is the stage of the worlds beside it, not a model of the whole scheduler: within a core tasks
// are ordered by virtual runtime (policies.md 5.1) or first come, first served, and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/rng.hpp"
#include "policy/balance.hpp"
#include "policy/domains.hpp"
#include "sim/recorder.hpp"

namespace paceline_sim {

using paceline::core::Nanos;

/// The cache model of policies.md 4.7: what a task loses after it came to a new core.
struct CacheModel {
  static constexpr double kLost = 0.766;    // of its speed, at first
  static constexpr double kLostMs = 5.42;   // until it is down to 1/e
  static constexpr double kDeficit = 83.0;  // points of L1 hit rate, at first
  static constexpr double kDeficitMs = 4.82;
  static constexpr double kWarmHitRate = 95.0;

  /// Share of full speed, on average over the time from..to on a core.
  static double speed(double from_ms, double to_ms);
  /// L1 hits in percent, likewise.
  static double hit_rate(double from_ms, double to_ms);
};

enum class Order : std::uint8_t {
  fair,  ///< least virtual runtime first, and a woken task may preempt
  fifo,  ///< first come, first served, slice by slice
};

enum class WakePlace : std::uint8_t {
  stay,    ///< where it ran last
  policy,  ///< choose_wake_core: previous or the waking core (a random one)
  home,    ///< an idle previous core at home, else the least loaded of its home node
  blind,   ///< the least loaded of all cores, a random one of equals
};

struct FloorOptions {
  Nanos tick = paceline::core::kMillisecond;
  Nanos slice = 6 * paceline::core::kMillisecond;  // quantum of `standard`, policies.md 2.1
  Order order = Order::fair;
  WakePlace wake = WakePlace::policy;
  bool balances = true;
  Recorder* recorder = nullptr;  ///< is told of every tick of every task, if there is one
};

struct FloorTask {
  // What it is.
  Nanos burst;  ///< it computes for about so long; 0: for ever
  Nanos pause;  ///< then it waits for about so long
  std::uint16_t home;
  // Where it stands.
  enum class State : std::uint8_t { ready, running, asleep } state = State::ready;
  std::uint32_t core = 0;
  std::uint64_t virtual_time = 0;
  Nanos left = 0;     ///< of the burst
  Nanos wake_at = 0;  ///< while asleep
  Nanos woken_at = 0;
  Nanos here = 0;  ///< run on this core since it came
  // What it went through.
  Nanos last_move = paceline::core::policy::kNeverMoved;
  Nanos shortest_gap = paceline::core::kForever;  ///< between two moves
  std::uint64_t moves = 0;
  Nanos ran = 0;
  Nanos ran_at_home = 0;
  double worked = 0;  ///< nanoseconds of full speed, by the cache model
  std::uint64_t bursts = 0;
  std::uint64_t bursts_at_home = 0;
  Nanos response_sum = 0;  ///< from wake to the end of the burst
  Nanos response_max = 0;
};

class Floor {
 public:
  Floor(const paceline::core::policy::MachineView& machine, std::uint64_t seed,
        const FloorOptions& options);

  /// A task that computes for `burst` and pauses for `pause`, both half to one and a half times;
  /// burst 0 is a hog. It starts on `core`, asleep for a part of its pause.
  void add(std::uint32_t core, Nanos burst, Nanos pause, std::uint16_t home = 0);
  void run(Nanos until);

  Nanos now() const { return now_; }
  std::uint64_t moves() const { return moves_; }
  Nanos last_move() const { return last_move_; }
  const std::vector<FloorTask>& tasks() const { return tasks_; }
  /// Time each core was busy since the start.
  const std::vector<Nanos>& busy() const { return busy_; }
  paceline::core::Rng& rng() { return rng_; }

 private:
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  struct Core {
    std::uint32_t running = kNobody;
    std::vector<std::uint32_t> queue;
    std::uint64_t least_virtual_time = 0;  // never falls
    Nanos stretch = 0;
    bool was_idle = false;
  };

  Nanos about(Nanos mean);
  std::uint32_t pick(const Core& core) const;
  void refresh(std::uint32_t core);
  void wake_due();
  std::uint32_t place(const FloorTask& task);
  void enqueue(std::uint32_t index, std::uint32_t core);
  void note_move(FloorTask& task, std::uint32_t to);
  void balance(std::uint32_t core);
  bool pull(std::uint32_t from, std::uint32_t to);
  void work(std::uint32_t core);

  paceline::core::policy::Domains domains_;
  FloorOptions options_;
  paceline::core::Rng rng_;
  Nanos now_ = 0;
  Nanos last_move_ = 0;
  std::uint64_t moves_ = 0;
  std::vector<FloorTask> tasks_;
  std::vector<Core> cores_;
  std::vector<Nanos> busy_;
  std::vector<std::uint64_t> all_;  // mask of all cores
  std::vector<paceline::core::policy::CoreLoad> loads_;
  std::vector<paceline::core::policy::LoadAverage> averages_;
  std::vector<paceline::core::policy::BalanceClock> clocks_;
  std::vector<paceline::core::policy::BalanceTask> candidates_;
  std::vector<std::uint64_t> plain_loads_;
};

}  // namespace paceline_sim
