// SPDX-License-Identifier: BSL-1.0
// What the runtime is given to do on the simulated cores: tasks whose bodies take a stated time on
// a core of full speed, without end.
//
// All simulated threads share one thread of the system, so what a workload notes for itself is in
// plain words: it costs nothing and shows in no figure.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <paceline/paceline.hpp>

#include "base/time.hpp"

namespace paceline_cores {

using paceline::core::kMicrosecond;
using paceline::core::Nanos;

/// One body, where it ran and when.
struct Ran {
  std::size_t worker;
  Nanos from;
  Nanos to;
  std::size_t task;
};

class Workload {
 public:
  virtual ~Workload() = default;
  /// Starts what goes on for ever.
  virtual void begin(paceline::runtime& rt) = 0;
  bool begun = false;  // until then bodies are long: the start is not what is looked at
  std::uint64_t bodies = 0;
  Nanos body_ns = kMicrosecond;
  std::vector<Ran>* record = nullptr;   // of bodies, if wanted
  std::vector<std::uint32_t> capacity;  // of each worker's core, of policy::kFullCapacity

  /// Workers that only make work for others.
  virtual std::size_t feeders() const { return 0; }
  /// The measured window begins: what is counted for print() counts from here.
  virtual void begin_window() {}
  /// Figures of its own, one on a line.
  virtual void print(const paceline::runtime&) const {}
  /// The body of a task: `body_ns` of work, which takes longer on a slower core. `task`: which one,
  /// for the record.
  void work(std::size_t task = 0);
  /// How many workers have had a body.
  std::size_t at_work() const noexcept { return at_work_; }

 private:
  std::vector<bool> has_worked_;
  std::size_t at_work_ = 0;
};

struct WorkloadKind {
  std::string_view name;
  std::string_view what;
  std::unique_ptr<Workload> (*make)();
  Nanos warm_up;   // after the start, and until every worker has work
  Nanos patience;  // for that
  Nanos window;    // then it is measured for so long
};

std::span<const WorkloadKind> workload_kinds();

}  // namespace paceline_cores
