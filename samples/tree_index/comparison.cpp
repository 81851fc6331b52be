// SPDX-License-Identifier: BSL-1.0
// The rows and the table.
#include "comparison.hpp"

#include <chrono>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>

#include "hogs.hpp"
#include "interrupt.hpp"
#include "job.hpp"
#include "text.hpp"

namespace tree_index {

namespace {

using namespace std::chrono_literals;
using paceline::preemption_mode;

constexpr std::size_t kHogsPerWorker = 2;
constexpr auto kRowAtMost = 8s;

struct Row {
  const char* title;
  Load load;
};

const Row kRows[] = {
    {"no hogs", {}},
    {"polite hogs, preemption off",
     {.preemption = preemption_mode::off, .hogs_per_worker = kHogsPerWorker}},
    {"polite hogs, preemption on", {.hogs_per_worker = kHogsPerWorker}},
    {"rude hogs, preemption on", {.hogs_per_worker = kHogsPerWorker, .rude = true}},
};

constexpr std::size_t kTitle = 29;
constexpr std::size_t kColumn = 11;

void print_heading(std::ostream& out) {
  out << "The same indexing beside CPU hogs: " << kHogsPerWorker
      << " per core, class utility, each computes some " << Hogs::kSteps / 100
      << " ms between\ntwo suspensions. Polite: with a preempt_point() about every 10 us; rude: "
         "without any.\nA tick is due every "
      << kTick.count() << " ms in a task of class user_interactive; a row ends after "
      << kRowAtMost.count() << " s.\n\n"
      << left("", kTitle) << right("tick late", kColumn) << '\n'
      << left("", kTitle);
  for (const char* name :
       {"p50", "p99", "max", "files/s", "kB/s", "hog steps/s", "demotions", "hand-offs"}) {
    out << right(name, name[0] == 'h' ? kColumn + 2 : kColumn);
  }
  out << '\n';
}

void print_row(std::ostream& out, const char* title, const Run& run) {
  const double seconds = std::chrono::duration<double>(run.took).count();
  const paceline::runtime_stats& stats = run.stats.value();
  out << left(title, kTitle) << right(brief(run.ticks.p50), kColumn)
      << right(brief(run.ticks.p99), kColumn) << right(brief(run.ticks.max), kColumn)
      << right(per_second(run.index.files, seconds), kColumn)
      << right(per_second(run.index.bytes, seconds * 1e3), kColumn)
      << right(per_second(run.hog_steps, seconds), kColumn + 2)
      << right(grouped(stats.total.demotions_safepoint), kColumn)
      << right(grouped(stats.handoffs), kColumn + 2);
  if (run.interrupted) {
    out << "  (" << grouped(run.index.files) << " of " << grouped(run.files_found)
        << " files found)";
  }
  out << std::endl;  // at once: the next row takes seconds
}

void require_same(const Index& a, const Index& b) {
  if (a.files != b.files || a.bytes != b.bytes || a.words != b.words) {
    throw std::runtime_error("two runs over the same paths found different files or words");
  }
}

}  // namespace

bool compare(std::ostream& out, const Options& options) {
  print_heading(out);
  std::optional<Index> whole;
  for (const Row& row : kRows) {
    Load load = row.load;
    load.shows_progress = false;
    load.at_most = kRowAtMost;
    Run run = run_in_parallel(options, load);
    print_row(out, row.title, run);
    if (interrupted()) return true;
    if (run.index.files + run.index.directories == 0 && !run.interrupted) return false;
    if (run.interrupted) continue;
    if (whole) require_same(*whole, run.index);
    whole = std::move(run.index);
  }
  return true;
}

}  // namespace tree_index
