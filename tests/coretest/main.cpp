// SPDX-License-Identifier: BSL-1.0
// coretest: the stress program that users run to see whether Paceline works on their machine.
// Specification: reliability.md section 4. The parent plans, watches and reports; each scenario
// runs in a child process, which is this program again with hidden arguments.
#include <cstdio>
#include <exception>

#include <spdlog/fmt/fmt.h>

#include <paceline/topology.hpp>
#include <paceline/version.hpp>

#include "child.hpp"
#include "options.hpp"
#include "process.hpp"
#include "prove.hpp"
#include "report.hpp"
#include "scenario.hpp"
#include "session.hpp"

namespace coretest {

namespace {

int list_scenarios() {
  for (const Scenario& scenario : scenarios()) {
    std::puts(fmt::format("{}  {:<12} {}", scenario.id, scenario.name, scenario.what).c_str());
  }
  return kPassed;
}

int show_topology(const Options& options) {
  using paceline::topology;
  try {
    const topology machine = options.topology.empty()
                                 ? topology::detect()
                                 : topology::from_file_or_text(options.topology);
    std::fputs(machine.to_table().c_str(), stdout);
  } catch (const std::exception& error) {
    throw UsageError(error.what());
  }
  return kPassed;
}

int run(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  switch (options.mode) {
    case Options::Mode::help: std::fputs(std::string(help_text()).c_str(), stdout); return kPassed;
    case Options::Mode::version:
      std::puts(fmt::format("coretest {}", paceline::library_version()).c_str());
      return kPassed;
    case Options::Mode::list: return list_scenarios();
    case Options::Mode::show_topology: return show_topology(options);
    case Options::Mode::child:
      return run_in_child(from_replay(options.replay), options.wire, options.control);
    case Options::Mode::prove: return run_prove(options);
    case Options::Mode::classic:
    case Options::Mode::run: return run_session(options);
  }
  return kUsage;
}

}  // namespace
}  // namespace coretest

int main(int argc, char** argv) {
  try {
    return coretest::run(argc, argv);
  } catch (const coretest::UsageError& error) {
    std::fprintf(stderr, "coretest: %s\n", error.what());
    return coretest::kUsage;
  } catch (const coretest::Unsuitable& error) {
    std::fprintf(stderr, "coretest: %s\n", error.what());
    return coretest::kUnsuitable;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coretest: %s\n", error.what());
    return coretest::kUnsuitable;
  }
}
