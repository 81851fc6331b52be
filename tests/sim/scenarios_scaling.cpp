// SPDX-License-Identifier: BSL-1.0
// The scenario of many cores: not policies alone but the shipped runtime, with 2 to 256 workers on
// the simulated machine where cache lines have prices (policies.md 4.7, table B; decision 0022).
// Each case is a run of paceline-sim-cores, as a process has one simulated machine.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "sim/cores_run.hpp"
#include "sim/scenario.hpp"

namespace paceline_sim {

using paceline::core::kMillisecond;
using paceline::core::Nanos;

namespace {

constexpr unsigned kWorkers[] = {2, 4, 8, 16, 32, 64, 128, 256};
constexpr unsigned kMost = 256;
constexpr unsigned kBase = 4;     // the workers to which table B compares
constexpr unsigned kTarget = 16;  // and those of its last column
constexpr unsigned kShown = 8;    // in the picture
// So many cases at once.
constexpr std::size_t kAtOnce = 2;

/// A case: what it was and what it printed.
class Case {
 public:
  Case(std::string its_workload, unsigned its_workers, std::uint64_t seed, Recorder* recorder)
      : workload(std::move(its_workload)),
        workers(its_workers),
        run_(fmt::format("{} {} {}{}", workload, workers, seed,
                         recorder != nullptr ? " bodies" : "")),
        recorder_(recorder) {}

  /// Waits for its end.
  void finish() { figures_ = run_.finish(recorder_); }

  double figure(const std::string& name) const { return figures_.at(name); }
  double per_task(const std::string& name) const { return figure(name) / figure("bodies"); }
  /// How much of its time a worker spent on bodies.
  double share() const {
    return figure("bodies") * figure("body_ns") / figure("window_ns") / figure("busy_workers");
  }
  double busiest_line_percent() const { return 100 * figure("busiest_ns") / figure("window_ns"); }

  const std::string workload;
  const unsigned workers;

 private:
  CoresRun run_;
  Recorder* recorder_;
  std::map<std::string, double> figures_;
};

using Cases = std::map<std::pair<std::string, unsigned>, std::unique_ptr<Case>>;

/// What ran, each body another task.
class Bodies final : public Recorder {
 public:
  void ran(const Segment& body) override {
    all.push_back(body);
    all.back().task = static_cast<std::uint32_t>(all.size());
  }
  std::vector<Segment> all;
};

Cases run_all(std::uint64_t seed, Recorder& recorder) {
  Cases cases;
  std::vector<Case*> running;
  const auto finish_first = [&] {
    running.front()->finish();
    running.erase(running.begin());
  };
  for (const char* workload : {"yield", "spawn", "ring", "steal", "burst", "outside", "counter"}) {
    for (const unsigned workers : kWorkers) {
      if (running.size() == kAtOnce) finish_first();
      const bool shown = workload == std::string("steal") && workers == kShown;
      auto& made = cases[{workload, workers}];
      made = std::make_unique<Case>(workload, workers, seed, shown ? &recorder : nullptr);
      running.push_back(made.get());
    }
  }
  while (!running.empty()) finish_first();
  return cases;
}

}  // namespace

void run_scaling(Run& run) {
  Bodies ran;
  const Cases cases = run_all(run.seed, ran);
  const auto at = [&](const std::string& workload, unsigned workers) -> const Case& {
    return *cases.at({workload, workers});
  };
  // Throughput per worker, of that with four.
  const auto percent = [&](const std::string& workload, unsigned workers) {
    return 100 * at(workload, workers).share() / at(workload, kBase).share();
  };
  Report& report = run.report;
  for (const auto& [key, done] : cases) {
    if (done->workers != kBase || done->workload == "burst") continue;
    for (const unsigned workers : kWorkers) {
      report.figure(fmt::format("{}_{}_percent", done->workload, workers),
                    percent(done->workload, workers));
    }
  }
  for (const char* workload : {"steal", "outside"}) {
    for (const unsigned workers : {kTarget, 64u, kMost}) {
      report.figure(fmt::format("{}_misses_per_task_{}", workload, workers),
                    at(workload, workers).per_task("misses"));
      report.figure(fmt::format("{}_busiest_line_percent_{}", workload, workers),
                    at(workload, workers).busiest_line_percent());
    }
  }
  // How long it takes until each worker has something of what one task spawns.
  for (const unsigned workers : kWorkers) {
    report.figure(fmt::format("burst_{}_ramp_us", workers),
                  at("burst", workers).figure("ramp_ns") / 1000);
  }
  // Table B, the row of the lock-free queue.
  for (const char* workload : {"yield", "spawn", "ring", "steal", "outside"}) {
    report.at_least(fmt::format("{}_16_of_4_percent", workload), percent(workload, kTarget), 92);
  }
  // No global step: as many misses for a task on 256 workers as on 16, none of them on a line that
  // more than eight write, and no line that is at work for long.
  for (const char* workload : {"yield", "spawn", "ring"}) {
    const std::string name = workload;
    const Case& many = at(name, kMost);
    report.at_least(name + "_256_of_4_percent", percent(name, kMost), 92);
    report.at_most(name + "_misses_per_task_256", many.per_task("misses"),
                   1.25 * at(name, kTarget).per_task("misses") + 0.02);
    report.at_most(name + "_shared_misses_per_task_256", many.per_task("shared_misses"), 0.01);
    report.at_most(name + "_busiest_line_percent_256", many.busiest_line_percent(),
                   name == "ring" ? 25 : 5);
  }
  // What one looks like: the figures above must be able to tell.
  report.at_most("counter_16_of_4_percent", percent("counter", kTarget), 92);
  report.at_least("counter_shared_misses_per_task_256",
                  at("counter", kMost).per_task("shared_misses"), 0.9);
  report.at_least("counter_busiest_line_percent_256", at("counter", kMost).busiest_line_percent(),
                  90);

  Look look{.until = 2 * kMillisecond,
            .legend = {"a body", "the next", "and so on"},
            .paint = [](const Segment& s) -> std::size_t { return s.task % 3; }};
  for (unsigned worker = 0; worker < kShown; ++worker) {
    look.lanes.push_back({fmt::format("worker {}", worker)});
  }
  run.timeline.open(std::move(look));
  for (const Segment& segment : ran.all) run.timeline.ran(segment);
}

}  // namespace paceline_sim
