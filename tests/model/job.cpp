// SPDX-License-Identifier: BSL-1.0
#include "job.hpp"

#include <algorithm>
#include <cstdio>

#include "base/probe.hpp"
#include "litmus.hpp"
#include "models.hpp"

namespace model {

namespace {

using paceline::core::Mutant;
using Count = unsigned long long;

constexpr NamedMutant kMutants[] = {
    {"no_rearm_on_release", Mutant::no_rearm_on_release},
    {"clear_after_run", Mutant::clear_after_run},
    {"no_summary_recheck", Mutant::no_summary_recheck},
    {"no_group_recheck", Mutant::no_group_recheck},
    {"summary_only_if_word_zero", Mutant::summary_only_if_word_zero},
    {"no_park_recheck", Mutant::no_park_recheck},
    {"trust_late_wake", Mutant::trust_late_wake},
    {"double_run", Mutant::double_run},
    {"free_parent_first", Mutant::free_parent_first},
    {"end_by_store", Mutant::end_by_store},
    {"announce_stay_late", Mutant::announce_stay_late},
    {"forget_spent_stay", Mutant::forget_spent_stay},
    {"come_in_blindly", Mutant::come_in_blindly},
    {"take_without_look", Mutant::take_without_look},
    {"reclaim_by_store", Mutant::reclaim_by_store},
    {"keep_old_charge", Mutant::keep_old_charge, "demotion"},
    {"mail_before_move", Mutant::mail_before_move, "demotion"},
    {"forget_to_move_bit", Mutant::forget_to_move_bit, "demotion"},
    {"enter_anybodys_stack", Mutant::enter_anybodys_stack, "demotion"},
    {"gate_after_bit", Mutant::gate_after_bit, "demotion"},
    {"forget_wake_in_park", Mutant::forget_wake_in_park, "demotion"},
    {"park_twice", Mutant::park_twice, "demotion"},
    {"clear_request_late", Mutant::clear_request_late, "demotion"},
    {"steal_pinned", Mutant::steal_pinned, "demotion"},
    {"lend_without_look", Mutant::lend_without_look, "lending"},
    {"lend_by_hearsay", Mutant::lend_by_hearsay, "lending"},
    {"move_without_look", Mutant::move_without_look, "lending"},
    {"keep_return_quiet", Mutant::keep_return_quiet, "lending"},
    {"drop_returned_claim", Mutant::drop_returned_claim, "lending"},
    {"mail_by_store", Mutant::mail_by_store, "mail"},
    {"note_before_mail", Mutant::note_before_mail, "mail"},
    {"take_before_lowering", Mutant::take_before_lowering, "mail"},
    {"forget_refused_mail", Mutant::forget_refused_mail, "mail"},
    {"take_list_by_store", Mutant::take_list_by_store, "frames"},
    {"take_parcels_by_store", Mutant::take_parcels_by_store, "frames"},
    {"link_after_take", Mutant::link_after_take, "frames"},
    {"list_by_hearsay", Mutant::list_by_hearsay, "frames"},
    {"leave_blindly", Mutant::leave_blindly},
    {"signal_without_claim", Mutant::signal_without_claim},
    {"keep_failed_claim", Mutant::keep_failed_claim},
};

// A search that has kept so many states is cut off. By number and not by time, so that the same
// command does the same everywhere.
constexpr std::uint64_t kQuickStates = 60'000;
constexpr std::uint64_t kFullStates = 500'000;
constexpr std::uint64_t kMutantStates = 400'000;
constexpr std::uint64_t kShortLook = 10'000;
// How many random schedules a member gets that is too large to be exhausted.
constexpr std::uint64_t kQuickRandom = 1'000;
constexpr std::uint64_t kFullRandom = 5'000;

/// One mistake is planted while this exists.
class Planted {
 public:
  explicit Planted(Mutant mutant) { planted_mutant = mutant; }
  ~Planted() { planted_mutant = Mutant::none; }
  Planted(const Planted&) = delete;
  Planted& operator=(const Planted&) = delete;
};

const char* name_of(Mutant mutant) {
  for (const NamedMutant& known : kMutants) {
    if (known.mutant == mutant) return known.name;
  }
  return "none";
}

bool wanted(const Options& options, const Model& model) {
  return options.model.empty() || options.model == model.name;
}
bool wanted(const Options& options, const Variant& variant) {
  return options.member.empty() || options.member == variant.name;
}

template <class Visit>
void each_member(const Options& options, Visit&& visit) {
  for (const Model& model : all_models()) {
    if (!wanted(options, model)) continue;
    for (const Variant& variant : model.variants) {
      if (wanted(options, variant)) visit(model, variant);
    }
  }
}

std::string search_name(unsigned bound) {
  return bound == kUnbounded ? "all schedules" : std::to_string(bound) + " preemptions";
}

void print_searched(const Model& model, const Variant& variant, const std::string& how,
                    const Result& result, const char* verdict) {
  std::printf("%-8s %-15s %-14s %9llu states %9llu schedules %9llu steps %6.2f s  %s\n", model.name,
              variant.name.c_str(), how.c_str(), static_cast<Count>(result.states),
              static_cast<Count>(result.executions), static_cast<Count>(result.steps),
              result.seconds, verdict);
}

/// What was found, with everything that is needed to see it again.
void print_violation(const Model& model, const Variant& variant, const Result& result,
                     bool with_trace) {
  const Schedule small = shrink(model, variant, result.schedule, result.broken);
  std::printf("  broken: %s\n", result.broken.c_str());
  std::printf("  model %s, member %s: %u tasks, %u wakers, %u workers; mutant: %s\n", model.name,
              variant.name.c_str(), variant.tasks, variant.wakers, variant.workers,
              name_of(planted_mutant));
  std::string command =
      "model_explorer --model " + std::string(model.name) + " --member " + variant.name;
  if (planted_mutant != Mutant::none)
    command += std::string(" --mutant ") + name_of(planted_mutant);
  std::printf("  again:  %s --replay '%s'\n", command.c_str(), small.text().c_str());
  if (!with_trace) return;
  std::printf("  trace:\n");
  replay(model, variant, small, true);
}

bool is_complete(const Result& result, unsigned bound) {
  return result.status == Result::Status::passed && bound == kUnbounded;
}

/// Prints the result. True unless something is broken.
bool judge(const Model& model, const Variant& variant, const std::string& how, const Result& result,
           const char* if_passed) {
  switch (result.status) {
    case Result::Status::failed:
      print_searched(model, variant, how, result, "VIOLATED");
      print_violation(model, variant, result, true);
      return false;
    case Result::Status::capped: print_searched(model, variant, how, result, "capped"); return true;
    case Result::Status::passed: break;
  }
  print_searched(model, variant, how, result, if_passed);
  return true;
}

/// True if every goal is reached; else the member shows less than it says.
bool judge_goals(const std::vector<std::string>& unreached) {
  for (const std::string& goal : unreached) std::printf("  NEVER REACHED: %s\n", goal.c_str());
  return unreached.empty();
}

/// Explores one member. True if nothing is broken and every goal is reached.
bool explore(const Options& options, const Model& model, const Variant& variant) {
  if (options.random) {
    const Result result = search_random(model, variant, options.seed, *options.random, {});
    return judge(model, variant, "random", result, "passed");
  }
  const unsigned bound = options.bound.value_or(options.quick ? variant.quick : variant.full);
  Limits limits;
  limits.bound = bound;
  limits.states = options.states.value_or(options.quick ? kQuickStates : kFullStates);
  const Result result = search_depth_first(model, variant, limits);
  const std::string how = search_name(bound);
  if (!judge(model, variant, how, result, "exhausted")) return false;
  if (is_complete(result, bound)) return judge_goals(result.unreached);
  const Result random =
      search_random(model, variant, options.seed, options.quick ? kQuickRandom : kFullRandom, {});
  if (!judge(model, variant, "random", random, "passed")) return false;
  std::vector<std::string> unreached;
  for (const std::string& goal : result.unreached) {
    const auto& others = random.unreached;
    if (std::find(others.begin(), others.end(), goal) != others.end()) unreached.push_back(goal);
  }
  return judge_goals(unreached);
}

/// Plants one mistake and searches until a member shows it.
bool kill(const Options& options, const NamedMutant& mutant) {
  const Planted planted(mutant.mutant);
  std::uint64_t schedules = 0;
  bool killed = false;
  const auto attack = [&](const Model& model, const Variant& variant, std::uint64_t states,
                          unsigned bound = 2) {
    if (killed) return;
    Limits limits;
    // Few preemptions show every one of them, and the schedule found is short.
    limits.bound = options.bound.value_or(bound);
    limits.states = states;
    const Result result = options.random
                              ? search_random(model, variant, options.seed, *options.random, limits)
                              : search_depth_first(model, variant, limits);
    schedules += result.executions;
    if (result.status != Result::Status::failed) return;
    killed = true;
    std::printf("mutant %-26s killed by %s %s after %llu schedules\n", mutant.name, model.name,
                variant.name.c_str(), static_cast<Count>(schedules));
    print_violation(model, variant, result, options.mutant == mutant.mutant);
  };
  const auto is_home = [&](const Model& model) {
    return mutant.model != nullptr && mutant.model == std::string_view(model.name);
  };
  each_member(options, [&](const Model& model, const Variant& variant) {
    if (is_home(model)) attack(model, variant, kQuickStates, variant.quick);
  });
  // A short look at every member first: most mistakes show in a small one.
  for (const std::uint64_t states : {kShortLook, options.states.value_or(kMutantStates)}) {
    each_member(options, [&](const Model& model, const Variant& variant) {
      attack(model, variant, states);
    });
  }
  if (!killed) {
    std::printf("mutant %-26s SURVIVED %llu schedules\n", mutant.name,
                static_cast<Count>(schedules));
  }
  return killed;
}

int no_match() {
  std::fprintf(stderr, "model_explorer: no such model or member; see --list\n");
  return 2;
}

}  // namespace

const std::vector<Model>& all_models() {
  static const std::vector<Model> all = {wake_model(),     summary_model(), park_model(),
                                         mail_model(),     steal_model(),   join_model(),
                                         stay_model(),     lending_model(), handoff_model(),
                                         demotion_model(), region_model(),  frames_model()};
  return all;
}

const NamedMutant* find_mutant(std::string_view name) {
  const auto* const at = std::find_if(std::begin(kMutants), std::end(kMutants),
                                      [&](const NamedMutant& known) { return known.name == name; });
  return at == std::end(kMutants) ? nullptr : at;
}

void list() {
  for (const Model& model : all_models()) {
    std::printf("%s: %s\n", model.name, model.about);
    for (const Variant& variant : model.variants) {
      std::printf("  %-16s %s; quick: %s\n", variant.name.c_str(),
                  search_name(variant.full).c_str(), search_name(variant.quick).c_str());
    }
  }
  std::printf("mutants:\n");
  for (const NamedMutant& mutant : kMutants) std::printf("  %s\n", mutant.name);
}

int run_job(const Options& options) {
  unsigned members = 0;
  each_member(options, [&](const Model&, const Variant&) { ++members; });
  if (members == 0) return no_match();

  if (options.mutant != Mutant::none) {
    const bool killed = kill(options, *find_mutant(name_of(options.mutant)));
    std::printf("survivors: %d\n", killed ? 0 : 1);
    return killed ? 0 : 1;
  }

  const unsigned wrong_litmus = run_litmus(false);
  std::printf("explorer's own tests: %s\n", wrong_litmus == 0 ? "all exact" : "WRONG");
  unsigned violated = 0;
  each_member(options, [&](const Model& model, const Variant& variant) {
    violated += explore(options, model, variant) ? 0 : 1;
  });
  unsigned survivors = 0;
  // A part of the models cannot find all mistakes, so they are planted only before the whole.
  const bool whole = options.model.empty() && options.member.empty() && !options.random;
  if (whole) {
    for (const NamedMutant& mutant : kMutants) survivors += kill(options, mutant) ? 0 : 1;
  }
  std::printf("members: %u, violated: %u\n", members, violated);
  if (whole) {
    std::printf("mutants: %zu, survivors: %u\n", std::size(kMutants), survivors);
  }
  return wrong_litmus + violated + survivors == 0 ? 0 : 1;
}

int run_replay(const Options& options) {
  const Schedule schedule(*options.schedule);
  const Planted planted(options.mutant);
  unsigned members = 0;
  bool failed = false;
  each_member(options, [&](const Model& model, const Variant& variant) {
    if (members++ != 0) return;
    std::printf("%s %s, mutant: %s\n", model.name, variant.name.c_str(), name_of(options.mutant));
    const Result result = replay(model, variant, schedule, true);
    failed = result.status == Result::Status::failed;
    std::printf("%s\n", failed ? ("broken: " + result.broken).c_str() : "nothing is broken");
  });
  if (members == 0) return no_match();
  return failed ? 1 : 0;
}

}  // namespace model
