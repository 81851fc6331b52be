// SPDX-License-Identifier: BSL-1.0
#include "context.hpp"

#include <algorithm>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>
#include <cstdlib>

#include "base/probe.hpp"
#include "interference.hpp"

namespace coretest {

namespace {

// A dump of a million tasks helps nobody; this many lines of each runtime are sent.
constexpr std::size_t kDumpLines = 400;

}  // namespace

Context::Context(const Settings& settings, const Wire& wire) : settings_(settings), wire_(wire) {}

bool Context::more() noexcept {
  const bool first = rounds_ == 0;
  const bool in_rounds = settings_.iterations == 0 || rounds_ < settings_.iterations;
  const bool in_time =
      settings_.duration_s <= 0 ||
      static_cast<double>(now_ns() - start_) < settings_.duration_s * static_cast<double>(kSecond);
  const bool bounded = settings_.iterations != 0 || settings_.duration_s > 0;
  if (!first && (!in_rounds || !in_time || !bounded)) return false;
  ++rounds_;
  return true;
}

double Context::elapsed() const noexcept {
  if (settings_.duration_s > 0) {
    return std::min(1.0, static_cast<double>(now_ns() - start_) /
                             (settings_.duration_s * static_cast<double>(kSecond)));
  }
  if (settings_.iterations == 0) return 1;
  return static_cast<double>(rounds_) / static_cast<double>(settings_.iterations);
}

std::int64_t Context::late_bound_ns() const noexcept {
  return 600 * kMilli * kSlowness + 3 * hiccup_.worst_ns() + interference::allowance();
}

Goal& Context::goal(std::string_view name) {
  const std::lock_guard lock(lock_);
  for (Goal& known : goals_) {
    if (known.name() == name) return known;
  }
  return goals_.emplace_back(std::string(name));
}

void Context::expect_forced_demotions() {
  if (settings_.chaos != Chaos::heavy) return;
  goal("a safepoint preempted a task for nobody").reach_if(interference::forced_demotions() > 0);
}

void Context::metric(std::string_view name, double value) {
  const std::lock_guard lock(lock_);
  for (auto& [known, old] : metrics_) {
    if (known != name) continue;
    old = value;
    return;
  }
  metrics_.emplace_back(std::string(name), value);
}

void Context::enlist(paceline::runtime& live) {
  const std::lock_guard lock(lock_);
  live_.push_back(&live);
}

void Context::delist(paceline::runtime& live) noexcept {
  const std::lock_guard lock(lock_);
  std::erase(live_, &live);
}

void Context::add(const paceline::runtime_stats& stats) noexcept {
  const std::lock_guard lock(lock_);
  const paceline::worker_stats& t = stats.total;
  total_.spawned += t.spawned;
  total_.completed += t.completed;
  total_.polls += t.polls;
  total_.wakes += t.wakes;
  total_.coalesced_wakes += t.coalesced_wakes;
  total_.stale_wakes += t.stale_wakes;
  total_.steals += t.steals;
  total_.tasks_stolen += t.tasks_stolen;
  total_.parks += t.parks;
  total_.unparks += t.unparks;
  total_.unhandled += t.unhandled;
}

void Context::dump() noexcept {
  // Not under our lock while the runtime is asked: a hung runtime may hang the dump as well.
  std::vector<paceline::runtime*> live;
  if (lock_.try_lock()) {
    live = live_;
    lock_.unlock();
  }
  wire_.send(fact::dump, fmt::format("{} operations in round {}, {} live runtimes", ops(), rounds_,
                                     live.size()));
  for (paceline::runtime* runtime : live) {
    const paceline::runtime_stats stats = runtime->stats();
    wire_.send(fact::dump, fmt::format("runtime: {} workers, {} live, {} spawned, {} completed",
                                       stats.workers.size(), stats.live, stats.total.spawned,
                                       stats.total.completed));
    for (std::size_t i = 0; i < stats.workers.size(); ++i) {
      const paceline::worker_stats& w = stats.workers[i];
      wire_.send(
          fact::dump,
          fmt::format("  worker {}: {} polls, {} wakes ({} coalesced, {} stale), {} steals of "
                      "{} tasks, {} parks, {} unparks",
                      i, w.polls, w.wakes, w.coalesced_wakes, w.stale_wakes, w.steals,
                      w.tasks_stolen, w.parks, w.unparks));
    }
    std::stringstream text;
    runtime->dump_tasks(text);
    std::string line;
    std::string last;
    std::size_t lines = 0;
    while (std::getline(text, line)) {
      last = line;
      if (++lines <= kDumpLines) wire_.send(fact::dump, line);
    }
    if (lines > kDumpLines) {
      wire_.send(fact::dump,
                 fmt::format("... {} lines not shown; the last: {}", lines - kDumpLines, last));
    }
  }
}

void Context::send_results() {
  const std::lock_guard lock(lock_);
  const auto number = [&](std::string_view name, auto value) {
    wire_.send(fact::value, fmt::format("{}\t{}", name, value));
  };
  number("ops", ops());
  number("rounds", rounds_);
  number("spawned", total_.spawned);
  number("completed", total_.completed);
  number("wakes", total_.wakes);
  number("coalesced", total_.coalesced_wakes);
  number("stale", total_.stale_wakes);
  number("runs", total_.polls);
  number("steals", total_.steals);
  number("stolen", total_.tasks_stolen);
  number("parks", total_.parks);
  number("unparks", total_.unparks);
  number("unhandled", total_.unhandled);
  const auto quantiles = [&](std::string_view name, const Delays& delays) {
    if (delays.count() == 0) return;
    number(fmt::format("{}_count", name), delays.count());
    number(fmt::format("{}_p50_ns", name), delays.quantile(0.50));
    number(fmt::format("{}_p99_ns", name), delays.quantile(0.99));
    number(fmt::format("{}_p999_ns", name), delays.quantile(0.999));
    number(fmt::format("{}_max_ns", name), delays.max());
  };
  quantiles("wake_to_run", delays_);
  quantiles("lateness", lateness_);
  number("machine_hiccup_ns", hiccup_.worst_ns());
  number("disturbances", interference::disturbances());
  number("forced_demotions", interference::forced_demotions());
  if (settings_.sabotage.mutant != Mutant::none) number("planted_chances", interference::chances());
  for (const auto& [name, value] : metrics_) number(name, fmt::format("{:.9g}", value));
  for (const Goal& goal : goals_) {
    wire_.send(fact::goal, fmt::format("{}\t{}", goal.name(), goal.reached() ? 1 : 0));
  }
}

void Context::fail(std::string_view kind, std::string_view code, const std::string& text) {
  // The first to fail reports; the others wait for the end it brings.
  if (failing_.exchange(true)) {
    for (;;) ::pause();
  }
  interference::freeze();
  wire_.send(kind, fmt::format("{}\t{}", code, text));
  wire_.send(fact::value, fmt::format("ops\t{}", ops()));
  dump();
  wire_.send(fact::dumped, "");
  ::_exit(1);
}

// --- LiveRuntime ---

LiveRuntime::LiveRuntime(Context& context, paceline::runtime_options options) : context_(context) {
  if (options.workers == 0) options.workers = context.settings().workers;
  if (const std::string& machine = context.settings().topology; !machine.empty()) {
    options.topology = paceline::topology::from_file_or_text(machine);
  }
  // The runtime itself owns no descriptor, so this sabotage is ours: a start-up that leaks one.
  if (paceline::core::planted(Mutant::leak_descriptor)) {
    [[maybe_unused]] const int leaked = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  runtime_.emplace(std::move(options));
  context_.enlist(*runtime_);
}

LiveRuntime::~LiveRuntime() {
  context_.add(runtime_->stats());
  paceline::runtime& gone = *runtime_;
  // Listed until it is gone, so that a shutdown that hangs can be dumped.
  runtime_.reset();
  context_.delist(gone);
}

void LiveRuntime::settle() {
  runtime_->wait_idle();
  const paceline::runtime_stats stats = runtime_->stats();
  context_.check(stats.live == 0 && stats.total.spawned == stats.total.completed, "conservation",
                 "idle, but {} tasks were spawned, {} ended and {} live", stats.total.spawned,
                 stats.total.completed, stats.live);
}

}  // namespace coretest
