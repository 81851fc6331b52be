// SPDX-License-Identifier: BSL-1.0
#include "child.hpp"

#include <atomic>
#include <exception>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <csignal>

#include "context.hpp"
#include "interference.hpp"
#include "memory.hpp"
#include "scenario.hpp"
#include "support/alive.hpp"

namespace coretest {

namespace {

// Often enough for a watchdog of a second, seldom enough to disturb nobody.
constexpr int kBeatMs = 100;

/// Sends a heartbeat and waits for orders. A plain thread: it works while every worker hangs.
class Control {
 public:
  Control(Context& context, const Wire& wire, int descriptor)
      : context_(context), wire_(wire), descriptor_(descriptor), thread_([this] { serve(); }) {}
  ~Control() {
    stopping_.store(true, std::memory_order_relaxed);
    thread_.join();
  }
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

 private:
  void serve() {
    while (!stopping_.load(std::memory_order_relaxed)) {
      wire_.send(fact::beat, std::to_string(context_.ops()));
      pollfd orders{descriptor_, POLLIN, 0};
      if (::poll(&orders, 1, kBeatMs) <= 0) continue;
      char order = 0;
      if (::read(descriptor_, &order, 1) != 1) ::_exit(1);
      context_.dump();
      wire_.send(fact::dumped, "");
    }
  }

  Context& context_;
  const Wire& wire_;
  const int descriptor_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

void send_number(const Wire& wire, std::string_view name, std::uint64_t value) {
  wire.send(fact::value, fmt::format("{}\t{}", name, value));
}

void run(const Scenario& scenario, Context& context, const Wire& wire) {
  try {
    if (context.settings().workers != 0 && context.settings().workers < scenario.least_workers) {
      throw Skip{fmt::format("needs at least {} workers", scenario.least_workers)};
    }
    interference::begin(context.settings(), wire);
    scenario.run(context);
  } catch (const Skip& skip) {
    wire.send(fact::skip, skip.reason);
  } catch (const std::exception& error) {
    context.fail(fact::broken, "exception",
                 fmt::format("{} threw: {}", scenario.name, error.what()));
  }
  interference::end();
  context.stop_canary();
}

}  // namespace

int run_in_child(const Settings& settings, int wire_fd, int control_fd) {
  // Whatever happens to the parent, no child stays behind.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);
  const Wire wire(wire_fd);
  const Scenario* scenario = find_scenario(settings.scenario);
  if (scenario == nullptr) return 2;
  if (settings.sabotage.mutant != Mutant::none) {
    // It is meant to crash; nobody wants the core.
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }
  // ThreadSanitizer starts a thread of its own beside the first one: before the count, not after.
  std::thread([] {}).join();
  const std::size_t threads = paceline_test::thread_count();
  const std::size_t descriptors = paceline_test::descriptor_count();
  Context context(settings, wire);
  {
    const Control control(context, wire, control_fd);
    run(*scenario, context, wire);
    context.send_results();
  }
  send_number(wire, "threads_begin", threads);
  send_number(wire, "descriptors_begin", descriptors);
  const bool threads_ended = paceline_test::threads_fall_to(threads);
  const std::size_t threads_left = paceline_test::thread_count();
  const std::size_t descriptors_left = paceline_test::descriptor_count();
  send_number(wire, "threads_end", threads_left);
  send_number(wire, "descriptors_end", descriptors_left);
  if (!time_is_virtual()) {  // a report of virtual time has nothing in it that varies
    send_number(wire, "rss_peak_bytes", peak_resident_bytes());
    send_number(wire, "rss_end_bytes", paceline_test::resident_bytes());
  }
  context.check_bound(threads_ended, "threads", "{} threads at the start, {} at the end", threads,
                      threads_left);
  context.check_bound(descriptors_left == descriptors, "descriptors",
                      "{} descriptors at the start, {} at the end", descriptors, descriptors_left);
  wire.send(fact::done, "");
  return 0;
}

}  // namespace coretest
