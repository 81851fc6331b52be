// SPDX-License-Identifier: BSL-1.0
// tree_index: what is written in your files, found out on every core.
// The walk itself is in walker.cpp; what one file holds, in file_scan.cpp.
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "comparison.hpp"
#include "interrupt.hpp"
#include "job.hpp"
#include "options.hpp"
#include "report.hpp"

namespace {

using namespace tree_index;

enum ExitCode { kDone = 0, kFailed = 1, kBadUsage = 2, kInterrupted = 130 };

void flush_or_throw() {
  std::cout.flush();
  if (!std::cout) throw std::runtime_error("cannot write the result to standard output");
}

ExitCode compare_and_report(const Options& options) {
  const bool something_read = compare(std::cout, options);
  flush_or_throw();
  if (interrupted()) return kInterrupted;
  return something_read ? kDone : kFailed;
}

ExitCode index_and_report(const Options& options) {
  const Run run = options.serial ? run_serially(options) : run_in_parallel(options);
  if (options.json) {
    print_json(std::cout, run, options.top);
  } else {
    print_summary(std::cout, run, options.top);
  }
  flush_or_throw();

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
    catch_interrupts();
    return options.compare ? compare_and_report(options) : index_and_report(options);
  } catch (const std::invalid_argument& error) {
    std::cerr << "tree_index: " << error.what() << "\nTry 'tree_index --help'.\n";
    return kBadUsage;
  } catch (const std::exception& error) {
    std::cerr << "tree_index: " << error.what() << '\n';
    return kFailed;
  }
}
