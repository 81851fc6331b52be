// SPDX-License-Identifier: BSL-1.0
// The scenarios of unequal cores: equal progress by stirring (policies.md 3.8, statement 45), of
// the policies and of the shipped runtime, and energy on a phone (5).
#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "sim/cores_run.hpp"
#include "sim/scenario.hpp"
#include "sim/worlds/phone_world.hpp"
#include "unit/policy/edge_world.hpp"

namespace paceline_sim {

using namespace paceline::core;
using paceline_test::EdgeWorld;

namespace {

constexpr int kQuanta = 100;
constexpr int kShownQuanta = 24;

std::uint32_t capacity_of(const policy::MachineView& machine, std::size_t core) {
  return machine.clusters[machine.cores[core].cluster].capacity;
}

struct Progress {
  double ratio;            ///< of the hog that got furthest to the last one, after 100 quanta
  std::uint32_t idle = 0;  ///< most cores that idled at the end of a quantum
};

Progress play_hogs(const policy::MachineView& machine, bool stirs, std::uint64_t seed,
                   Recorder* recorder) {
  std::vector<double> speeds(machine.clusters.size(), 1);
  for (const policy::ClusterView& cluster : machine.clusters) {
    speeds[cluster.rank] = static_cast<double>(cluster.capacity) / policy::kFullCapacity;
  }
  std::uint32_t idle = 0;
  EdgeWorld world(machine, policy::Profile::balanced, speeds, stirs, seed);
  for (std::size_t i = 0; i < machine.cores.size(); ++i) world.spawn({});
  for (int quantum = 0; quantum < kQuanta; ++quantum) {
    for (std::uint32_t task = 0; task < world.hogs() && recorder != nullptr; ++task) {
      const std::uint32_t core = world.hog(task).worker;
      if (core == paceline_test::kNobody) continue;
      const Nanos from = quantum * paceline_test::kQuantum;
      recorder->ran({core, from, from + paceline_test::kQuantum, task, 3,
                     static_cast<std::uint16_t>(capacity_of(machine, core))});
    }
    world.tick();
    idle = std::max(idle, world.idle_workers());
  }
  double least = world.hog(0).progress;
  double most = least;
  for (std::uint32_t task = 1; task < world.hogs(); ++task) {
    least = std::min(least, world.hog(task).progress);
    most = std::max(most, world.hog(task).progress);
  }
  return {most / least, idle};
}

/// The polls of a task that follow each other on a core, as one.
class Joined final : public Recorder {
 public:
  explicit Joined(Recorder& recorder) : recorder_(recorder) {}
  void ran(const Segment& poll) override {
    constexpr Nanos kBetweenPolls = 10 * kMicrosecond;
    Segment& last = last_[poll.lane];
    if (last.task != poll.task || poll.from - last.to > kBetweenPolls) {
      if (last.to != 0) recorder_.ran(last);
      last = poll;
    }
    last.to = poll.to;
  }
  void finish() {
    for (const auto& [lane, last] : last_) recorder_.ran(last);
  }

 private:
  Recorder& recorder_;
  std::map<std::uint32_t, Segment> last_;
};

std::map<std::string, double> run_cores(const std::string& workload, unsigned workers,
                                        std::uint64_t seed, const std::string& machine) {
  return CoresRun(fmt::format("{} {} {} {}", workload, workers, seed, machine)).finish();
}

// Seeds that each case of the runtime is played with.
constexpr std::uint64_t kCoresSeeds = 4;

constexpr unsigned kPhoneRuns = 8;

struct Phone {
  double energy_mj = 0;
  double deadlines_met = 0;
  double frames_met = 0;
};

/// Means over several loads; the first of them may be recorded.
Phone mean_of(PhonePlace place, std::uint64_t seed, Recorder* recorder = nullptr) {
  Phone mean;
  for (unsigned i = 0; i < kPhoneRuns; ++i) {
    const PhoneResult result =
        PhoneWorld::run(seed * kPhoneRuns + i, place, 20 * kSecond, i == 0 ? recorder : nullptr);
    mean.energy_mj += result.energy_mj / kPhoneRuns;
    mean.deadlines_met += result.deadlines_met / kPhoneRuns;
    mean.frames_met += result.frames_met / kPhoneRuns;
  }
  return mean;
}

}  // namespace

void run_stir(Run& run) {
  const MachineData data(run.machine);
  const policy::MachineView machine = data.view();
  std::uint32_t fastest = 0;
  std::uint32_t slowest = policy::kFullCapacity;
  for (const policy::ClusterView& cluster : machine.clusters) {
    fastest = std::max<std::uint32_t>(fastest, cluster.capacity);
    slowest = std::min<std::uint32_t>(slowest, cluster.capacity);
  }
  Look look{.lanes = lanes_of(run.machine),
            .until = kShownQuanta * paceline_test::kQuantum,
            .names_tasks = true};
  const std::size_t colours = std::min<std::size_t>(machine.cores.size(), 12);
  for (std::size_t i = 0; i < colours; ++i) look.legend.push_back(fmt::format("hog {}", i));
  if (machine.cores.size() > colours) look.legend.back() += " and so on";
  look.paint = [colours](const Segment& s) -> std::size_t { return s.task % colours; };
  run.timeline.open(std::move(look));
  const Progress without = play_hogs(machine, false, run.seed, nullptr);
  const Progress with = play_hogs(machine, true, run.seed, &run.timeline);
  run.report.at_most("progress_ratio", with.ratio, 1.05);
  run.report.at_most("idle_cores", std::max(with.idle, without.idle), 0);
  // Each stays where it started.
  const double speeds = static_cast<double>(fastest) / slowest;
  run.report.equal("progress_ratio_without_stirring", without.ratio, speeds, 0.01);
}

void run_kinds(Run& run) {
  Report& report = run.report;
  constexpr std::size_t kShownHogs = 8;
  Look look{.lanes = lanes_of(paceline::topology::synthetic("4P+4E")),
            .until = kShownQuanta * paceline_test::kQuantum,
            .paint = [](const Segment& s) -> std::size_t { return s.task % kShownHogs; },
            .names_tasks = true};
  for (std::size_t i = 0; i < kShownHogs; ++i) look.legend.push_back(fmt::format("hog {}", i));
  run.timeline.open(std::move(look));
  Joined shown(run.timeline);
  CoresRun(fmt::format("hogs {} {} 4P+4E bodies", kShownHogs, run.seed)).finish(&shown);
  shown.finish();
  for (const auto& [machine, workers] :
       {std::pair("4P+4E", 8u), std::pair("2P+4E", 6u), std::pair("4P+2E", 6u)}) {
    double ratio = 0;
    double lost = 0;
    double stirred = -1;
    for (std::uint64_t i = 0; i < kCoresSeeds; ++i) {
      const std::uint64_t seed = run.seed * kCoresSeeds + i;
      auto hogs = run_cores("hogs", workers, seed, machine);
      auto bound = run_cores("bound_hogs", workers, seed, machine);
      ratio = std::max(ratio, hogs.at("progress_most") / hogs.at("progress_least"));
      // To change places costs a little; that a core has nobody would cost more.
      lost = std::max(lost, 1 - hogs.at("bodies") / bound.at("bodies"));
      stirred = stirred < 0 ? hogs.at("stirred") : std::min(stirred, hogs.at("stirred"));
    }
    const auto bound = run_cores("bound_hogs", workers, run.seed, machine);
    report.at_most(fmt::format("progress_ratio_{}", machine), ratio, 1.05);
    report.equal(fmt::format("progress_ratio_without_stirring_{}", machine),
                 bound.at("progress_most") / bound.at("progress_least"), 2.5, 0.01);
    report.at_most(fmt::format("work_lost_{}", machine), lost, 0.02);
    report.at_least(fmt::format("turns_{}", machine), stirred, 100);
  }
  // Four end on fast cores; the other four are there soon: within a poll, or, where somebody tried
  // a moment before, when it tries again, an eighth of a quantum later.
  double slow_us = 0;
  double rebalanced = 1e9;
  for (std::uint64_t i = 0; i < kCoresSeeds; ++i) {
    auto leaving = run_cores("leaving_hogs", 8, run.seed * kCoresSeeds + i, "4P+4E");
    slow_us = std::max(slow_us, leaving.at("slow_until_ns") / 1000);
    rebalanced = std::min(rebalanced, leaving.at("rebalanced"));
  }
  constexpr double kSoonUs = 250 + 6000 / 8.0;
  report.at_most("last_poll_on_slow_cores_us", slow_us, kSoonUs);
  report.at_least("rebalanced", rebalanced, 1);
}

void run_phone(Run& run) {
  Look look{.from = kSecond, .until = kSecond + 200 * kMillisecond};
  const auto machine = PhoneWorld::machine();
  for (std::size_t i = 0; i < machine.cores_.size(); ++i) {
    const std::uint32_t cluster = machine.cores_[i].cluster;
    look.lanes.push_back(
        {fmt::format("core {}, capacity {}", i, machine.clusters_[cluster].capacity), cluster});
  }
  run.timeline.open(std::move(look));
  const Phone efficiency = mean_of(PhonePlace::efficiency, run.seed, &run.timeline);
  const Phone balanced = mean_of(PhonePlace::balanced, run.seed);
  const Phone baseline = mean_of(PhonePlace::least_loaded, run.seed);
  run.report.figure("least_loaded_energy_mj", baseline.energy_mj);
  run.report.figure("least_loaded_deadlines_met", baseline.deadlines_met);
  constexpr double kNoFewer = 0.001;  // jobs are whole: one more or less is chance
  for (const auto& [name, ours, share] :
       {std::tuple("efficiency", efficiency, 0.8), std::tuple("balanced", balanced, 0.9)}) {
    const std::string what = name;
    run.report.figure(what + "_energy_mj", ours.energy_mj);
    run.report.at_most(what + "_share_of_least_loaded_energy", ours.energy_mj / baseline.energy_mj,
                       share);
    run.report.at_least(what + "_deadlines_met", ours.deadlines_met,
                        baseline.deadlines_met - kNoFewer);
    run.report.at_least(what + "_frames_met", ours.frames_met, baseline.frames_met - kNoFewer);
  }
}

}  // namespace paceline_sim
