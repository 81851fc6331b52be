// SPDX-License-Identifier: BSL-1.0
// What all searches share, the random search, and replays.
#include "explorer/search.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>

#include "explorer/image.hpp"
#include "explorer/sharing.hpp"
#include "explorer/trace.hpp"

namespace model {

namespace {

using Clock = std::chrono::steady_clock;

/// SplitMix64: any seed is a good one.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t roll() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  /// One of the set bits of `mask`.
  unsigned one_of(unsigned mask) noexcept {
    for (std::uint64_t skip = roll() % static_cast<unsigned>(std::popcount(mask)); skip > 0;
         --skip) {
      mask &= mask - 1;
    }
    return static_cast<unsigned>(std::countr_zero(mask));
  }

 private:
  std::uint64_t state_;
};

/// Runs from the present state to the end, switching at random. The schedule so far is kept.
void run_at_random(const Model& model, std::uint64_t seed, const Limits& limits, Schedule& schedule,
                   Result& result) {
  Dice dice(seed);
  // Some runs switch at nearly every point, others seldom: bugs need either.
  const std::uint64_t stay = std::uint64_t{1} << dice.roll() % 6;
  unsigned last = Crew::kNobody;
  unsigned depth = 0;
  while (!verdict().failed()) {
    const unsigned enabled = crew().enabled();
    check_rest(model, enabled);
    const unsigned spurious = crew().may_wake_falsely();
    if (verdict().failed() || (enabled | spurious) == 0) break;
    unsigned next = 0;
    if (enabled == 0 || (spurious != 0 && dice.roll() % 16 == 0)) {
      if (enabled == 0 && dice.roll() % 2 == 0) break;  // none of them has to happen
      next = dice.one_of(spurious);
    } else if (last != Crew::kNobody && (enabled >> last & 1) != 0 && dice.roll() % stay != 0) {
      next = last;
    } else {
      next = dice.one_of(enabled);
    }
    schedule.add(next, crew().step(next));
    last = crew().member(next).gives_way ? Crew::kNobody : next;
    ++result.steps;
    if (++depth > limits.depth) verdict().break_with("every execution comes to its end");
  }
  result.depth = std::max(result.depth, depth);
  ++result.executions;
}

/// Gives the outcome of one execution to the result. True if it failed.
bool conclude(Result& result, const Schedule& schedule) {
  if (!verdict().failed()) return false;
  result.status = Result::Status::failed;
  result.broken = verdict().broken();
  result.schedule = schedule;
  return true;
}

}  // namespace

void set_up(const Model& model, const Variant& variant) {
  arena().begin();
  crew().begin();
  verdict().clear();
  trace::forget_names();
  {
    const FromArena on(true);
    model.set_up(variant);
  }
  arena().seal();
}

void learn_sharing(const Model& model, const Variant& variant) {
  // Until so many in a row have shown nothing new, and no more than these in all.
  constexpr unsigned kRuns = 2000;
  verdict().begin();
  set_up(model, variant);
  std::vector<char> initial;
  image::save(initial);
  crew().stop_everywhere(true);
  unsigned quiet = 0;
  for (unsigned seed = 0; seed < kRuns && quiet < model.learning; ++seed) {
    Result ignored;
    Schedule schedule;
    run_at_random(model, seed, Limits{}, schedule, ignored);
    if (verdict().failed()) break;  // the search will find it again
    image::restore(initial.data());
    ++quiet;
    if (!sharing().surprised()) continue;
    sharing().adopt();
    quiet = 0;
  }
  crew().stop_everywhere(false);
}

void check_rest(const Model& model, unsigned enabled) {
  if (enabled == 0) {
    if (!arena().left_out_intact()) verdict().break_with("what was left out does not change");
    verdict().check(model.at_end);
  } else if (model.at_stall != nullptr && (enabled & ~crew().stallable()) == 0) {
    verdict().check(model.at_stall);
  }
}

Result search_random(const Model& model, const Variant& variant, std::uint64_t seed,
                     std::uint64_t runs, const Limits& limits) {
  const auto start = Clock::now();
  Result result;
  sharing().forget();
  learn_sharing(model, variant);
  sharing().adopt();
  verdict().begin();
  set_up(model, variant);
  std::vector<char> initial;
  image::save(initial);
  for (std::uint64_t i = 0; i < runs; ++i) {
    Schedule schedule;
    run_at_random(model, seed + i, limits, schedule, result);
    if (conclude(result, schedule)) break;
    // A word that turns out to be shared is a point from the next execution on.
    if (sharing().surprised()) sharing().adopt();
    image::restore(initial.data());
    if (std::chrono::duration<double>(Clock::now() - start).count() > limits.seconds) break;
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.outcomes = verdict().outcomes();
  if (result.status == Result::Status::passed) result.unreached = verdict().unreached();
  return result;
}

namespace {

// How far a trace goes on after its schedule. A livelock has no other end.
constexpr unsigned kTraceTail = 300;

/// From the initial state. False if the schedule does not fit the model.
bool run_schedule(const Model& model, const Schedule& schedule, bool lenient, Schedule& ran,
                  Result& result, bool trace_on) {
  const auto go = [&](unsigned thread) {
    ran.add(thread, crew().step(thread));
    ++result.steps;
    if (trace_on) trace::line(thread);
    if (!verdict().failed()) check_rest(model, crew().enabled());
  };
  const auto can = [&](unsigned thread) {
    return ((crew().enabled() | crew().may_wake_falsely()) >> thread & 1) != 0;
  };
  for (const Run& run : schedule.runs()) {
    for (unsigned points = 0; points < run.points && !verdict().failed(); ++points) {
      if (run.thread >= crew().size() || !can(run.thread)) {
        if (!lenient) return false;
        break;
      }
      go(run.thread);
    }
  }
  for (unsigned depth = 0; !verdict().failed(); ++depth) {
    const unsigned enabled = crew().enabled();
    if (enabled == 0) break;
    if (trace_on && depth == kTraceTail) {
      std::printf("  and so on\n");
      break;
    }
    if (depth > Limits{}.depth) {
      verdict().break_with("every execution comes to its end");
      break;
    }
    const unsigned last = ran.empty() ? Crew::kNobody : ran.runs().back().thread;
    const bool stay = last != Crew::kNobody && (enabled >> last & 1) != 0;
    go(stay ? last : static_cast<unsigned>(std::countr_zero(enabled)));
  }
  result.executions = 1;
  return true;
}

}  // namespace

Result replay(const Model& model, const Variant& variant, const Schedule& schedule, bool trace_on) {
  Result result;
  verdict().begin();
  sharing().forget();
  set_up(model, variant);
  crew().stop_everywhere(true);
  trace::enable(trace_on);
  Schedule ran;
  const bool fits = run_schedule(model, schedule, false, ran, result, trace_on);
  trace::enable(false);
  crew().stop_everywhere(false);
  if (!fits) verdict().break_with("the schedule fits the model");
  conclude(result, ran);
  return result;
}

Schedule shrink(const Model& model, const Variant& variant, const Schedule& schedule,
                const std::string& broken) {
  constexpr unsigned kTries = 3000;
  verdict().begin();
  sharing().forget();
  set_up(model, variant);
  std::vector<char> initial;
  image::save(initial);
  crew().stop_everywhere(true);
  Schedule best = schedule;
  bool smaller = true;
  unsigned tries = 0;
  while (smaller) {
    smaller = false;
    // Leave one run out, or merge two runs of a thread; what is left over runs at the end.
    for (std::size_t i = 0; i < best.runs().size() && tries < kTries; ++i, ++tries) {
      Schedule candidate;
      for (std::size_t k = 0; k < best.runs().size(); ++k) {
        if (k != i) candidate.add(best.runs()[k].thread, best.runs()[k].points);
      }
      verdict().clear();
      image::restore_after_failure(initial.data());
      Schedule ran;
      Result ignored;
      run_schedule(model, candidate, true, ran, ignored, false);
      if (!verdict().failed() || broken != verdict().broken()) continue;
      if (ran.runs().size() >= best.runs().size()) continue;
      best = ran;
      smaller = true;
    }
  }
  crew().stop_everywhere(false);
  verdict().clear();
  return best;
}

}  // namespace model
