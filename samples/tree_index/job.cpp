// SPDX-License-Identifier: BSL-1.0
// Start-up, measurement and end of a run.
#include "job.hpp"

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "hogs.hpp"
#include "interrupt.hpp"
#include "progress.hpp"
#include "ticker.hpp"
#include "walker.hpp"

namespace tree_index {

namespace {

using Clock = std::chrono::steady_clock;

/// Ends a walk early. A plain thread: a task might wait for the very hogs that make the walk long.
std::jthread end_early(Walk& walk, std::chrono::nanoseconds after) {
  return std::jthread([&walk, after](const std::stop_token& walk_is_over) {
    std::mutex lock;
    std::condition_variable_any nobody_notifies;
    std::unique_lock held(lock);
    nobody_notifies.wait_for(held, walk_is_over, after, [] { return false; });
    walk.enough.store(true, std::memory_order_relaxed);
  });
}

}  // namespace

Run run_in_parallel(const Options& options, const Load& load) {
  // The runtime comes last: its destructor waits for the tasks that use the others.
  Progress progress;
  Hogs hogs(load.rude);
  paceline::runtime rt({.workers = options.workers.value_or(0),
                        .name = "tree_index",
                        .preemption = load.preemption});
  Walk walk(progress, rt.workers());

  hogs.start(rt, load.hogs_per_worker);
  auto ticker = rt.spawn(tick(), {.qos = paceline::qos::user_interactive, .name = "ticker"});
  std::vector<paceline::join_handle<void>> helpers;
  if (load.shows_progress) {
    helpers.push_back(rt.spawn(show_progress(progress), {.name = "progress"}));
  }
  std::jthread timer;
  if (load.at_most) timer = end_early(walk, *load.at_most);

  Run run;
  const auto start = Clock::now();
  run.index = rt.block_on(index_trees(walk, options.paths));
  run.took = Clock::now() - start;
  run.interrupted = walk.over();
  timer.request_stop();

  for (auto& helper : helpers) helper.request_stop();
  ticker.request_stop();
  for (auto& helper : helpers) helper.join();
  run.ticks = ticker.join();
  run.hog_steps = hogs.end();
  run.files_found = progress.files_found();
  run.stats = rt.stats();
  return run;
}

Run run_serially(const Options& options) {
  Progress progress;
  Run run;
  const auto start = Clock::now();
  run.index = index_trees_serially(progress, options.paths);
  run.took = Clock::now() - start;
  progress.clear();
  run.interrupted = interrupted();
  run.files_found = progress.files_found();
  return run;
}

}  // namespace tree_index
