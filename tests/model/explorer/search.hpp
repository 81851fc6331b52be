// SPDX-License-Identifier: BSL-1.0
// Search: runs a configuration's executions - depth-first with or without a preemption bound, at
// random, or one schedule again - and says what came out.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "explorer/model.hpp"
#include "explorer/schedule.hpp"

namespace model {

struct Limits {
  unsigned bound = kUnbounded;
  bool merge = true;  // states seen before are not explored again
  std::uint64_t states = 60'000'000;
  double seconds = 3600;
  unsigned depth = 20'000;  // points of one execution; beyond it nobody makes progress
};

struct Result {
  enum class Status : std::uint8_t { passed, failed, capped };
  Status status = Status::passed;
  std::string broken;  // the sentence that does not hold
  Schedule schedule;   // that shows it
  std::uint64_t executions = 0;
  std::uint64_t states = 0;
  std::uint64_t steps = 0;
  unsigned depth = 0;
  double seconds = 0;
  std::vector<std::string> unreached;
  std::set<int> outcomes;
};

/// All executions with at most `limits.bound` preemptions; all there are if unbounded.
Result search_depth_first(const Model& model, const Variant& variant, const Limits& limits);
/// `runs` executions, each from its own seed, starting with `seed`.
Result search_random(const Model& model, const Variant& variant, std::uint64_t seed,
                     std::uint64_t runs, const Limits& limits);
/// One execution. After the schedule's end each thread runs as long as it can, lowest first.
Result replay(const Model& model, const Variant& variant, const Schedule& schedule, bool trace);
/// A schedule with fewer switches that breaks the same sentence.
Schedule shrink(const Model& model, const Variant& variant, const Schedule& schedule,
                const std::string& broken);

// --- for the searches themselves ---

/// Makes the world; the initial state is then the present one.
void set_up(const Model& model, const Variant& variant);
/// Learns from a few random executions which words are shared. Leaves the initial state.
void learn_sharing(const Model& model, const Variant& variant);
/// What must hold in a state in which nobody can go on, or only who may stall.
void check_rest(const Model& model, unsigned enabled);

}  // namespace model
