// SPDX-License-Identifier: BSL-1.0
#include "sim/machine/simulation.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "sim/machine/world.hpp"

namespace paceline::core::simulation {

World* world = nullptr;
constinit thread_local bool takes_part = false;

void make_ready(Thread& thread, Nanos at) noexcept {
  std::erase(world->blocked, &thread);
  if (thread.stands_at != Point::sleep) thread.blocked_for += at - thread.blocked_since;
  thread.waits_for = nullptr;
  thread.deadline = kForever;
  world->ready.push_back(&thread);
  if (world->pricing) world->pricing->agenda.put(thread.number, at, world->rng.next());
}

void take_interruption(Thread& self) noexcept {
  while (self.interruption != nullptr && !self.interrupted) {
    self.interrupted = true;
    std::exchange(self.interruption, nullptr)();
    self.interrupted = false;
  }
}

void give_up(const std::string& reason) noexcept {
  static constexpr const char* kPoints[] = {"probe", "lock", "park",  "wake", "spin",
                                            "start", "end",  "sleep", "line"};
  std::vector<std::string> lines;
  for (const auto& thread : world->threads) {
    if (thread == nullptr || thread->ended) continue;
    lines.push_back(fmt::format("thread {} {}: {} at {}{}", thread->number, thread->name,
                                thread->waits_for != nullptr ? "blocked" : "can run",
                                kPoints[static_cast<unsigned>(thread->stands_at)],
                                thread->deadline == kForever
                                    ? ""
                                    : fmt::format(" for {} ns", thread->deadline - world->time)));
  }
  takes_part = false;  // whoever reports runs alone
  if (world->setup.stuck != nullptr) world->setup.stuck(reason, lines);
  std::fprintf(stderr, "simulation: %s, seed %#llx\n", reason.c_str(),
               static_cast<unsigned long long>(world->setup.seed));
  for (const std::string& line : lines) std::fprintf(stderr, "  %s\n", line.c_str());
  std::abort();
}

namespace {

// What a step of a busy wait costs everybody who waits so; twice as much after each kPatience
// rounds in which nothing else happened, up to kLongestSpin: a long wait need not be many steps.
constexpr Nanos kSpin = 100;
constexpr Nanos kLongestSpin = kMillisecond;
constexpr unsigned kPatience = 1024;
// A thread that asks for the time so often without a scheduler point waits for time to pass.
constexpr unsigned kLooksAtTheClock = 1000;
// Time is to move within so many steps of busy waits, or the run goes nowhere.
constexpr std::uint64_t kSpinsWithoutEvent = 50'000'000;
// Somebody who always has something to do would keep time from moving. So decisions count for so
// much: once those of one moment add up to the next deadline, or to kLongestSpin, time moves there.
constexpr Nanos kDecision = 10;

void note(const Thread& next, Point kind, unsigned detail) noexcept {
  Facts& facts = world->facts;
  ++facts.decisions;
  const std::uint64_t what =
      next.number << 16 | std::uint64_t{static_cast<unsigned>(kind)} << 8 | detail;
  facts.trace_hash = Rng(facts.trace_hash ^ what).next();
  world->looks = 0;
}

void something_happened() noexcept {
  world->spins = 0;
  world->idle_rounds = 0;
}

/// Moves time to `to`, and wakes whom it is time for.
void move_time(Nanos to) noexcept {
  world->time = to;
  world->moment_began = world->facts.decisions;
  ++world->round;
  world->spinners = 0;
  for (std::size_t i = 0; i < world->blocked.size();) {
    Thread& thread = *world->blocked[i];
    if (thread.deadline <= to) {
      make_ready(thread, to);
    } else {
      ++i;
    }
  }
}

Nanos earliest_deadline() noexcept {
  Nanos earliest = kForever;
  for (const Thread* thread : world->blocked) earliest = std::min(earliest, thread->deadline);
  return earliest;
}

void hand_over(Thread& next) noexcept {
  Thread& from = *world->running;
  if (&next != &from) {
    ++world->facts.switches;
    world->running = &next;
    from.strand.switch_to(next.strand, from.ended);
  }
  take_interruption(from);
}

/// One of those that can run. Time moves if there is nobody.
Thread& choose() noexcept {
  if (world->pricing) return earliest();
  if (world->ready.empty()) {
    const Nanos next = earliest_deadline();
    if (next == kForever) give_up("deadlock: every thread waits, and nothing will wake one");
    something_happened();
    move_time(next);
  } else {
    const auto decisions = static_cast<Nanos>(world->facts.decisions - world->moment_began);
    const Nanos to = std::min(world->time + kLongestSpin, earliest_deadline());
    if (to - world->time <= decisions * kDecision) move_time(to);
  }
  return *world->ready[world->rng.below(world->ready.size())];
}

}  // namespace

void leave() noexcept {
  Thread& self = *world->running;
  self.ended = true;
  self.stands_at = Point::end;
  std::erase(world->ready, &self);
  if (self.spun_in == world->round) --world->spinners;
  wake(&self, true);
  Thread& next = choose();
  note(next, Point::end, 0);
  hand_over(next);
  std::abort();  // for good
}

void stop() noexcept { takes_part = false; }

void begin(const Setup& setup) {
  if (world != nullptr) throw std::logic_error("a process has one simulated machine");
  world = new World(setup);
  auto first = std::make_unique<Thread>(1);
  first->name = "main";
  first->start = kStart;
  world->running = first.get();
  world->ready.push_back(first.get());
  world->threads.push_back(std::move(first));
  world->facts.threads = 1;
  takes_part = true;
}

Facts facts() noexcept {
  if (world == nullptr) return {};
  Facts facts = world->facts;
  facts.elapsed = world->time - kStart;
  return facts;
}

Nanos now() noexcept {
  if (world == nullptr) return kStart;
  if (world->pricing) {
    spend(world->pricing->prices.clock);
    return world->time;
  }
  if (takes_part && ++world->looks > kLooksAtTheClock) spin();
  return world->time;
}

bool chance(std::uint64_t rate) noexcept { return takes_part && world->rng.below(rate) == 0; }

bool strikes(Mutant mutant) noexcept {
  if (!takes_part || world->setup.mutant != mutant) return false;
  if (world->strike_rng.below(world->setup.mutant_rate) != 0) return false;
  if (!std::exchange(world->struck, true) && world->setup.struck != nullptr) world->setup.struck();
  return true;
}

void point(Point kind, unsigned detail) noexcept {
  if (!takes_part) return;
  Thread& self = *world->running;
  self.stands_at = kind;
  something_happened();
  if (world->pricing && !falls_behind(self)) return;
  Thread& next = choose();
  note(next, kind, detail);
  hand_over(next);
}

void spin() noexcept {
  if (!takes_part) return;
  if (world->pricing) {
    spend(world->pricing->prices.relax);
    return;
  }
  Thread& self = *world->running;
  self.stands_at = Point::spin;
  if (self.spun_in != world->round) {
    self.spun_in = world->round;
    ++world->spinners;
  }
  if (++world->spins > kSpinsWithoutEvent) give_up("livelock: everybody spins for ever");
  if (world->spinners == world->ready.size()) {
    const unsigned doublings = std::min(world->idle_rounds++ / kPatience, 16u);
    const Nanos step = std::min(kSpin << doublings, kLongestSpin);
    move_time(std::min(world->time + step, earliest_deadline()));
  }
  // One that has made no step in this round; the others wait for time or for such a one.
  std::size_t at = world->rng.below(world->ready.size());
  while (world->ready[at]->spun_in == world->round) at = (at + 1) % world->ready.size();
  Thread& next = *world->ready[at];
  note(next, Point::spin, 0);
  hand_over(next);
}

void block(const void* word, Nanos deadline, Point kind) noexcept {
  if (!takes_part || deadline <= world->time) return;
  Thread& self = *world->running;
  self.stands_at = kind;
  self.waits_for = word;
  self.deadline = deadline;
  self.blocked_since = world->time;
  std::erase(world->ready, &self);
  if (self.spun_in == world->round) --world->spinners;
  self.spun_in = 0;
  world->blocked.push_back(&self);
  if (world->pricing) world->pricing->agenda.put(self.number, deadline, world->rng.next());
  something_happened();
  Thread& next = choose();
  note(next, kind, 1);
  hand_over(next);
}

void wake(const void* word, bool all) noexcept {
  if (!takes_part) return;
  const bool priced = world->pricing.has_value();
  const Nanos at = priced ? world->time + world->pricing->prices.wake_run : world->time;
  for (;;) {
    std::vector<Thread*>& blocked = world->blocked;
    const auto waits = [word](const Thread* thread) { return thread->waits_for == word; };
    const auto waiters =
        static_cast<std::uint64_t>(std::count_if(blocked.begin(), blocked.end(), waits));
    if (waiters == 0) return;
    std::uint64_t skip = all ? 0 : world->rng.below(waiters);
    const auto chosen = std::find_if(blocked.begin(), blocked.end(), [&](const Thread* thread) {
      return waits(thread) && skip-- == 0;
    });
    make_ready(**chosen, at);
    if (priced) world->time += world->pricing->prices.wake_call;
    if (!all) return;
  }
}

void pass(Nanos duration) noexcept {
  if (!takes_part) return;
  if (world->pricing) {
    spend(duration);
    return;
  }
  const Nanos until = world->time + duration;
  while (world->time < until) block(&world->running->record, until, Point::sleep);
}

}  // namespace paceline::core::simulation
