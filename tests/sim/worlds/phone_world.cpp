// SPDX-License-Identifier: BSL-1.0
#include "sim/worlds/phone_world.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace paceline_sim {

using namespace paceline::core;
using namespace paceline::core::policy;
using paceline::qos;

namespace {

// The outer kinds are those of the example of policies.md 5.5; the two in between lie between them.
const OperatingPoint kBig[] = {{512, 400}, {768, 800}, {1024, 1700}};
const OperatingPoint kMid[] = {{341, 200}, {512, 370}, {700, 850}};
const OperatingPoint kSlowMid[] = {{200, 80}, {400, 220}};
const OperatingPoint kLittle[] = {{170, 50}, {341, 150}, {512, 300}};

ProfileName name_of(PhonePlace place) {
  if (place == PhonePlace::balanced || place == PhonePlace::least_loaded_paced) {
    return ProfileName::balanced;
  }
  if (place == PhonePlace::efficiency) return ProfileName::efficiency;
  return ProfileName::performance;
}

bool is_baseline(PhonePlace place) { return place <= PhonePlace::least_loaded_paced; }

constexpr double kGovernorHeadroom = 1.25;  // policies.md 5.5
constexpr std::uint32_t kSlowMost = 300;    // below 80 % of 400, the slowest core at its best
constexpr std::uint32_t kSlowLeast = 136;   // 170, the lowest point of a slow core, less headroom

}  // namespace

const std::vector<PhoneTask>& phone_workload() {
  constexpr Nanos kMs = kMillisecond;
  static const std::vector<PhoneTask> tasks{
      {qos::user_interactive, 16'666'667, 2'500'000, 16'666'667},  // frames: the application
      {qos::user_interactive, 16'666'667, 1'500'000, 16'666'667},  // frames: the compositor
      {qos::user_interactive, 10 * kMs, 300'000, 10 * kMs},        // sound
      {qos::user_interactive, 60 * kMs, 4 * kMs, 30 * kMs},        // touches
      {qos::user_initiated, 400 * kMs, 40 * kMs, 100 * kMs},       // what a touch starts
      {qos::user_initiated, 1000 * kMs, 100 * kMs, 400 * kMs},     // compiling a page
      {qos::standard, 33'333'333, 5 * kMs, 33'333'333},            // video
      {qos::utility, 50 * kMs, 2 * kMs, 50 * kMs},                 // network
      {qos::utility, 250 * kMs, 20 * kMs, 250 * kMs},              // collecting garbage
      {qos::background, 500 * kMs, 60 * kMs, 500 * kMs},           // synchronising
  };
  return tasks;
}

paceline_test::PolicyMachine PhoneWorld::machine() {
  return paceline_test::PolicyMachine(
      {{0, 1024, 0, 0, 2, 1}, {1, 700, 0, 0, 4, 1}, {2, 400, 0, 0, 2, 1}, {3, 512, 0, 0, 2, 1}});
}

std::vector<ClusterEnergy> PhoneWorld::energy() {
  // The little cores stay awake (8.1 row 18); the others sleep, and pay when woken.
  return {{kBig, 20, 150, 0}, {kMid, 10, 80, 0}, {kSlowMid, 8, 50, 0}, {kLittle, 3, 0, 0}};
}

PhoneWorld::PhoneWorld(std::uint64_t seed, PhonePlace place)
    : machine_(machine()),
      energy_(energy()),
      place_(place),
      profile_(make_profile(name_of(place)).profile),
      controller_(machine_.view(), profile_, 0),
      policy_(machine_.view(), {energy_},
              {.hysteresis_shift = profile_.energy_hysteresis_shift, .headroom_percent = 25}),
      jobs_(seed),
      ties_(~seed),
      cores_(machine_.cores()) {
  for (const ClusterEnergy& cluster : energy_) points_.push_back(&cluster.points.front());
  for (const PhoneTask& what : phone_workload()) {
    Task task{what, static_cast<std::uint32_t>(jobs_.below(machine_.cores())), 0};
    task.next_job = static_cast<Nanos>(jobs_.below(static_cast<std::uint64_t>(what.period)));
    task.expected_work = static_cast<double>(what.work);
    tasks_.push_back(task);
  }
}

std::uint32_t PhoneWorld::runnable(std::uint32_t core) const {
  return static_cast<std::uint32_t>(std::count_if(
      tasks_.begin(), tasks_.end(), [&](const Task& t) { return t.core == core && t.left > 0; }));
}

/// What the core runs: the most important class, then the earliest deadline.
std::uint32_t PhoneWorld::first_of(std::uint32_t core) const {
  std::uint32_t best = kNoCore;
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    const Task& task = tasks_[i];
    if (task.core != core || task.left <= 0) continue;
    if (best != kNoCore) {
      const Task& held = tasks_[best];
      if (task.what.qos_class > held.what.qos_class) continue;
      const bool later = task.came_at + task.what.deadline >= held.came_at + held.what.deadline;
      if (task.what.qos_class == held.what.qos_class && later) continue;
    }
    best = i;
  }
  return best;
}

/// Capacity that ends the longest recent job by its deadline: what those who are waited for ask of
/// the clock, from below and above (W2: fast enough, and no faster).
std::uint32_t PhoneWorld::needed(const Task& task) {
  if (task.what.qos_class > qos::user_initiated) return 0;
  const double share = task.expected_work / static_cast<double>(task.what.deadline);
  return std::min(kFullCapacity, static_cast<std::uint32_t>(share * kFullCapacity));
}

/// Upper clamp: of those who are waited for, what they need; of the rest, what fits a slow core
/// (6.5) or, if the profile says so, its lowest speed (4.8). More than that is neither asked for
/// nor counted as over-utilisation.
std::uint32_t PhoneWorld::most(const Task& task) const {
  if (task.what.qos_class <= qos::user_initiated) return needed(task);
  if (task.what.qos_class < qos::utility) return kFullCapacity;
  return profile_.idles_upkeep ? kSlowLeast : kSlowMost;
}

/// Of each core: what its tasks used lately, or what those that run now are expected to use.
std::vector<std::uint32_t> PhoneWorld::utilisations(bool clamped) const {
  std::vector<double> used(machine_.cores(), 0);
  std::vector<double> expected(machine_.cores(), 0);
  for (const Task& task : tasks_) {
    const double clamp = clamped ? most(task) : kFullCapacity;
    used[task.core] += std::min(clamp, task.utilisation);
    if (task.left > 0) {
      expected[task.core] += std::min(clamp, std::max(task.utilisation, task.expected));
    }
  }
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < used.size(); ++i) {
    all.push_back(static_cast<std::uint32_t>(std::max(used[i], expected[i])));
  }
  return all;
}

std::vector<std::uint64_t> PhoneWorld::mask_for(const Task& task) const {
  std::vector<std::uint64_t> mask(1, 0);
  bool slow_recommended = false;
  for (std::uint32_t c = 1; c < machine_.clusters_.size(); ++c) {
    slow_recommended = slow_recommended || controller_.recommended(c);
  }
  const std::uint16_t preferred =
      machine_.clusters_[controller_.preferred(task.what.qos_class)].rank;
  for (std::uint32_t i = 0; i < machine_.cores(); ++i) {
    const std::uint32_t cluster = machine_.cores_[i].cluster;
    if (!controller_.recommended(cluster)) continue;
    const EligibleVerdict verdict =
        judge_eligible(profile_, {task.what.qos_class, preferred, machine_.clusters_[cluster].rank,
                                  true, controller_.upwards_open(), slow_recommended});
    // Upward edges are about stealing; energy may choose any kind for what is waited for. Upkeep
    // goes up only as far as the profile lets it.
    const bool upkeep = task.what.qos_class >= qos::utility && !profile_.opens_upwards;
    const bool barred = verdict.reason == EligibleReason::background_on_fast ||
                        (upkeep && verdict.reason == EligibleReason::closed_upwards);
    if (!barred) mask[0] |= std::uint64_t{1} << i;
  }
  return mask;
}

std::uint32_t PhoneWorld::place_least(const std::vector<std::uint64_t>& mask) {
  std::vector<CoreLoad> loads;
  for (std::uint32_t i = 0; i < machine_.cores(); ++i) {
    const std::uint32_t n = runnable(i);
    loads.push_back({cores_[i].average.value(), n, n == 0 ? 0 : n - 1});
  }
  std::vector<std::uint32_t> span(machine_.cores());
  std::iota(span.begin(), span.end(), 0u);
  if (place_ == PhonePlace::littles_first) {
    std::reverse(span.begin(), span.end());
  } else {
    std::rotate(span.begin(), span.begin() + static_cast<std::ptrdiff_t>(ties_.below(span.size())),
                span.end());
  }
  return least_loaded(span, loads, mask).core;
}

std::uint32_t PhoneWorld::place(const Task& task) {
  if (is_baseline(place_)) return place_least({~std::uint64_t{0}});
  const std::vector<std::uint64_t> mask = mask_for(task);
  if (controller_.energy_state() == EnergyState::on) {
    const auto demand = static_cast<std::uint32_t>(std::max(task.utilisation, task.expected));
    const EnergyChoice choice =
        policy_.choose({std::min(demand, kFullCapacity), needed(task), most(task), task.core, mask,
                        std::min(most(task), static_cast<std::uint32_t>(task.utilisation))},
                       utilisations(true));
    if (choice.core != kNoCore) return choice.core;
  }
  // Without energy: an idle core of the preferred cluster, else whoever has the least to do.
  const ClusterView& home = machine_.clusters_[controller_.preferred(task.what.qos_class)];
  std::vector<std::uint64_t> idle(1, 0);
  for (std::uint32_t i = home.first; i < std::uint32_t{home.first} + home.count; ++i) {
    if (runnable(i) == 0) idle[0] |= mask[0] & (std::uint64_t{1} << i);
  }
  return place_least(idle[0] != 0 ? idle : mask);
}

void PhoneWorld::begin(std::uint32_t index) {
  Task& task = tasks_[index];
  const auto work = static_cast<std::uint64_t>(task.what.work);
  // Drawn for lost jobs as well, so that every way to place meets the same load.
  const auto job = static_cast<double>(work / 2 + jobs_.below(work));
  task.next_job += task.what.period;
  if (task.left > 0) {  // the last one is not done: this one is lost
    result_.jobs += 1;
    frames_ += index < 2 ? 1 : 0;
    return;
  }
  task.core = place(task);
  task.job = job;
  task.left = task.job;
  task.came_at = now_;
  Core& core = cores_[task.core];
  if (core.asleep) {
    const double wake_mj = energy_[machine_.cores_[task.core].cluster].wake_energy_uj / 1000;
    result_.wake_energy_mj += wake_mj;
    result_.energy_mj += wake_mj;
    core.asleep = false;
  }
}

void PhoneWorld::finish(Task& task) {
  const bool met = now_ + kTick - task.came_at <= task.what.deadline;
  const bool frame = &task - tasks_.data() < 2;
  result_.jobs += 1;
  met_ += met ? 1 : 0;
  frames_ += frame ? 1 : 0;
  frames_met_ += frame && met ? 1 : 0;
  task.expected += (task.utilisation - task.expected) / 4;
  task.expected_work = std::max(task.job, task.expected_work * 31 / 32);
  task.left = 0;
}

/// Each cluster runs at the lowest point for its busiest core.
void PhoneWorld::set_clocks() {
  const std::vector<std::uint32_t> load = utilisations(profile_.paces);
  for (std::uint32_t c = 0; c < machine_.clusters_.size(); ++c) {
    const ClusterView& cluster = machine_.clusters_[c];
    double wanted = 0;
    for (std::uint32_t i = cluster.first; i < std::uint32_t{cluster.first} + cluster.count; ++i) {
      if (runnable(i) == 0) continue;
      double clamp = 0;
      for (const Task& task : tasks_) {
        const bool asks = profile_.paces && task.core == i && task.left > 0;
        if (asks) clamp = std::max<double>(clamp, needed(task));
      }
      wanted = std::max({wanted, kGovernorHeadroom * load[i], kGovernorHeadroom * clamp});
    }
    points_[c] = &lowest_point(energy_[c].points, static_cast<std::uint32_t>(wanted));
  }
}

void PhoneWorld::steer() {
  if (is_baseline(place_) || now_ < next_step_) return;
  const std::vector<std::uint32_t> load = utilisations(true);
  ControllerSnapshot snapshot{now_, load, {}, {}, {}, judge_energy_use({energy_}, machine_.view())};
  for (const Task& task : tasks_) {
    if (task.left > 0) ++snapshot.demand[static_cast<std::size_t>(task.what.qos_class)];
  }
  next_step_ = controller_.step(snapshot).next;
}

void PhoneWorld::tick() {
  for (std::uint32_t i = 0; i < cores_.size(); ++i) cores_[i].average.update(now_, runnable(i));
  steer();
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].next_job <= now_) begin(i);
  }
  set_clocks();
  const double decay = std::exp2(-static_cast<double>(kTick) / (32 * 1.024e6));
  for (Task& task : tasks_) task.utilisation *= decay;
  for (std::uint32_t i = 0; i < cores_.size(); ++i) {
    const std::uint32_t cluster = machine_.cores_[i].cluster;
    const OperatingPoint& point = *points_[cluster];
    double room = static_cast<double>(kTick);
    for (std::uint32_t next = first_of(i); next != kNoCore && room > 0; next = first_of(i)) {
      Task& task = tasks_[next];
      const double takes = std::min(room, task.left * kFullCapacity / point.capacity);
      const Nanos from = now_ + kTick - static_cast<Nanos>(room);
      room -= takes;
      if (recorder_ != nullptr) {
        recorder_->ran({i, from, now_ + kTick - static_cast<Nanos>(room), next,
                        static_cast<std::uint8_t>(task.what.qos_class),
                        static_cast<std::uint16_t>(point.capacity)});
      }
      task.left -= takes * point.capacity / kFullCapacity;
      task.utilisation += (1 - decay) * point.capacity * takes / static_cast<double>(kTick);
      if (task.left < 1) finish(task);
    }
    const double busy = static_cast<double>(kTick) - room;
    result_.energy_mj += busy * point.power_mw / 1e9;  // mW * ns = 1e-9 mJ
    result_.time_share[machine_.clusters_[cluster].rank] += busy;
    Core& core = cores_[i];
    if (busy > 0) core.idle_since = now_ + kTick;
    if (!core.asleep) result_.energy_mj += room * energy_[cluster].idle_power_mw / 1e9;
    const bool sleeps = energy_[cluster].wake_energy_uj > 0 && runnable(i) == 0;
    if (sleeps && now_ + kTick - core.idle_since >= kSleepAfter) core.asleep = true;
  }
  now_ += kTick;
}

PhoneResult PhoneWorld::run(std::uint64_t seed, PhonePlace place, Nanos time, Recorder* recorder) {
  PhoneWorld world(seed, place);
  world.recorder_ = recorder;
  while (world.now_ < time) world.tick();
  PhoneResult result = world.result_;
  result.deadlines_met = static_cast<double>(world.met_) / static_cast<double>(result.jobs);
  result.frames_met = static_cast<double>(world.frames_met_) / static_cast<double>(world.frames_);
  const double busy = std::accumulate(result.time_share.begin(), result.time_share.end(), 0.0);
  for (double& share : result.time_share) share /= busy;
  return result;
}

}  // namespace paceline_sim
