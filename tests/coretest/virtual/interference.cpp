// SPDX-License-Identifier: BSL-1.0
// Interference on the simulated machine: the seed decides who runs next, and mistakes may be
// planted. A deadlock is seen when it happens, and reported with where every thread stands.
#include "interference.hpp"

#include <cstdlib>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include <unistd.h>

#include "clock.hpp"
#include "sim/machine/simulation.hpp"

namespace coretest::interference {

namespace simulation = paceline::core::simulation;

namespace {

const Wire* report_to = nullptr;

void send_facts() {
  if (report_to == nullptr) return;  // nothing has begun
  const simulation::Facts facts = simulation::facts();
  const auto send = [](std::string_view name, const std::string& value) {
    report_to->send(fact::value, fmt::format("{}\t{}", name, value));
  };
  send("virtual_ns", fmt::format("{}", facts.elapsed));
  send("virtual_decisions", fmt::format("{}", facts.decisions));
  send("virtual_switches", fmt::format("{}", facts.switches));
  send("virtual_threads", fmt::format("{}", facts.threads));
  send("virtual_trace", fmt::format("\"{:#018x}\"", facts.trace_hash));
}

[[noreturn]] void report_stuck(const std::string& reason, const std::vector<std::string>& threads) {
  report_to->send(fact::broken, fmt::format("stuck\t{}", reason));
  send_facts();
  const simulation::Facts facts = simulation::facts();
  report_to->send(fact::dump, fmt::format("after {} decisions, at virtual time {} ns",
                                          facts.decisions, facts.elapsed));
  for (const std::string& thread : threads) report_to->send(fact::dump, thread);
  report_to->send(fact::dumped, "");
  ::_exit(1);
}

}  // namespace

Parks linked() noexcept { return Parks::simulated; }

void begin(const Settings& settings, const Wire& wire) {
  if (settings.chaos != Chaos::off) throw std::logic_error("chaos needs the probed program");
  report_to = &wire;
  simulation::begin({.seed = split(settings.seed, 78),
                     .mutant = settings.sabotage.mutant,
                     .mutant_rate = settings.sabotage.rate,
                     .struck = [] { report_to->send(fact::planted, ""); },
                     .stuck = &report_stuck});
}

void end() noexcept { send_facts(); }

void freeze() noexcept {
  simulation::stop();
  send_facts();
}

std::int64_t allowance() noexcept { return 0; }
std::uint64_t disturbances() noexcept { return 0; }
std::uint64_t forced_demotions() noexcept { return 0; }
std::uint64_t chances() noexcept { return 0; }

}  // namespace coretest::interference
