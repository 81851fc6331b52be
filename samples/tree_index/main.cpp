// SPDX-License-Identifier: BSL-1.0
// tree_index: what is written in your files, found out on every core.
// The walk itself is in walker.cpp; what one file holds, in file_scan.cpp.
#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

#include "interrupt.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "ticker.hpp"
#include "walker.hpp"

namespace {

using namespace tree_index;
using Clock = std::chrono::steady_clock;

enum ExitCode { kDone = 0, kFailed = 1, kBadUsage = 2, kInterrupted = 130 };

Run run_in_parallel(const Options& options) {
  // The runtime comes last: its destructor waits for the tasks that use the others.
  Progress progress;
  paceline::runtime rt({.workers = options.workers.value_or(0), .name = "tree_index"});
  Walk walk(progress, rt.workers());

  auto ticker = rt.spawn(tick(), {.qos = paceline::qos::user_interactive, .name = "ticker"});
  auto shown = rt.spawn(show_progress(progress), {.name = "progress"});

  Run run;
  const auto start = Clock::now();
  run.index = rt.block_on(index_trees(walk, options.paths));
  run.took = Clock::now() - start;

  shown.request_stop();
  ticker.request_stop();
  shown.join();
  run.ticks = ticker.join();
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
  run.files_found = progress.files_found();
  return run;
}

ExitCode index_and_report(const Options& options) {
  catch_interrupts();
  Run run = options.serial ? run_serially(options) : run_in_parallel(options);
  run.interrupted = interrupted();

  if (options.json) {
    print_json(std::cout, run, options.top);
  } else {
    print_summary(std::cout, run, options.top);
  }
  std::cout.flush();
  if (!std::cout) throw std::runtime_error("cannot write the result to standard output");

  if (run.interrupted) return kInterrupted;
  const bool nothing_read = run.index.files + run.index.directories == 0;
  return nothing_read ? kFailed : kDone;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (options.help) {
      std::cout << kHelp;
      return kDone;
    }
    if (options.paths.empty()) options.paths = default_paths();
    if (options.paths.empty()) {
      throw std::invalid_argument("this system has none of the default directories; name one");
    }
    return index_and_report(options);
  } catch (const std::invalid_argument& error) {
    std::cerr << "tree_index: " << error.what() << "\nTry 'tree_index --help'.\n";
    return kBadUsage;
  } catch (const std::exception& error) {
    std::cerr << "tree_index: " << error.what() << '\n';
    return kFailed;
  }
}
