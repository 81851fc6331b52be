// SPDX-License-Identifier: BSL-1.0
// Summary and JSON.
#include "report.hpp"

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "text.hpp"

namespace tree_index {

namespace {

using Words = std::vector<WordTable::Entry>;

/// The most frequent words; equally frequent ones by spelling.
Words most_frequent(const WordTable& table, std::size_t top) {
  Words words = table.entries();
  const auto before = [](const WordTable::Entry& a, const WordTable::Entry& b) {
    return a.count != b.count ? a.count > b.count : a.word() < b.word();
  };
  const std::size_t count = std::min(top, words.size());
  const auto middle = words.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(words.begin(), middle, words.end(), before);
  words.erase(middle, words.end());
  return words;
}

void print_totals(std::ostream& out, const Run& run) {
  const Index& index = run.index;
  const double seconds = std::chrono::duration<double>(run.took).count();
  if (run.interrupted) {
    out << "Interrupted. Of " << grouped(run.files_found) << " files found so far "
        << grouped(index.files) << " were read; this is what they hold.\n";
  }
  out << grouped(index.files) << " files in " << grouped(index.directories) << " directories, "
      << megabytes(index.bytes) << ", " << grouped(index.words) << " words ("
      << grouped(index.table.size()) << " different)\n"
      << brief(run.took) << " with "
      << (run.stats ? std::to_string(run.stats->workers.size()) + " workers" : "plain loops")
      << ": " << per_second(index.files, seconds) << " files/s, "
      << per_second(index.bytes, seconds * 1e6) << " MB/s\n"
      << "binary files " << grouped(index.binaries) << " (bytes only), skipped "
      << grouped(index.links) << " symbolic links and " << grouped(index.specials)
      << " special files\n";
}

void print_words(std::ostream& out, const Index& index, std::size_t top) {
  out << "\nMost frequent words\n";
  for (const auto& entry : most_frequent(index.table, top)) {
    out << right(grouped(entry.count), 14) << "  " << entry.word() << '\n';
  }
}

void print_largest(std::ostream& out, const Index& index) {
  out << "\nLargest files\n";
  for (const FileSize& file : index.largest.values()) {
    out << right(megabytes(file.bytes), 14) << "  " << printable(file.path) << '\n';
  }
}

void print_worker(std::ostream& out, const std::string& name, const paceline::worker_stats& s) {
  out << left(name, 8);
  for (const std::uint64_t n : {s.completed, s.polls, s.steals, s.tasks_stolen, s.parks}) {
    out << right(grouped(n), 14);
  }
  out << '\n';
}

void print_workers(std::ostream& out, const paceline::runtime_stats& stats) {
  out << '\n' << left("Worker", 8);
  for (const char* title : {"tasks", "polls", "steals", "tasks stolen", "parks"}) {
    out << right(title, 14);
  }
  out << '\n';
  for (std::size_t i = 0; i < stats.workers.size(); ++i) {
    print_worker(out, std::to_string(i), stats.workers[i]);
  }
  print_worker(out, "total", stats.total);
}

void print_ticks(std::ostream& out, const TickDelays& ticks) {
  out << "\nWake-up delay of a user_interactive task that ticks every " << kTick.count()
      << " ms: p50 " << brief(ticks.p50) << ", p99 " << brief(ticks.p99) << ", max "
      << brief(ticks.max) << " (" << grouped(ticks.ticks) << " ticks)\n";
}

void print_problems(std::ostream& out, const Index& index) {
  if (index.unreadable == 0) return;
  out << "\nUnreadable: " << grouped(index.unreadable) << '\n';
  const auto& named = index.problems.values();
  for (const Problem& problem : named) {
    out << "  " << printable(problem.path) << ": " << problem.reason << '\n';
  }
  const std::uint64_t more = index.unreadable - named.size();
  if (more != 0) out << "  and " << grouped(more) << " more\n";
}

/// A JSON array with one element per line.
template <class Range, class Print>
void print_array(std::ostream& out, const char* name, const Range& elements, Print print) {
  out << "  \"" << name << "\": [";
  const char* before = "\n    ";
  for (const auto& element : elements) {
    out << before;
    print(element);
    before = ",\n    ";
  }
  out << (elements.empty() ? "]" : "\n  ]");
}

}  // namespace

void print_summary(std::ostream& out, const Run& run, std::size_t top) {
  print_totals(out, run);
  print_words(out, run.index, top);
  print_largest(out, run.index);
  if (run.stats) {
    print_workers(out, *run.stats);
    print_ticks(out, run.ticks);
  }
  print_problems(out, run.index);
}

void print_json(std::ostream& out, const Run& run, std::size_t top) {
  const Index& index = run.index;
  out << "{\n  \"complete\": " << (run.interrupted ? "false" : "true")
      << ",\n  \"files\": " << index.files << ",\n  \"binary_files\": " << index.binaries
      << ",\n  \"directories\": " << index.directories << ",\n  \"bytes\": " << index.bytes
      << ",\n  \"words\": " << index.words << ",\n  \"different_words\": " << index.table.size()
      << ",\n  \"symbolic_links\": " << index.links << ",\n  \"special_files\": " << index.specials
      << ",\n  \"unreadable\": " << index.unreadable << ",\n";
  print_array(out, "top_words", most_frequent(index.table, top), [&out](const auto& entry) {
    out << "{\"word\": " << quoted(entry.word()) << ", \"count\": " << entry.count << '}';
  });
  out << ",\n";
  print_array(out, "largest_files", index.largest.values(), [&out](const FileSize& file) {
    out << "{\"path\": " << quoted(file.path) << ", \"bytes\": " << file.bytes << '}';
  });
  out << ",\n";
  print_array(out, "unreadable_paths", index.problems.values(), [&out](const Problem& problem) {
    out << "{\"path\": " << quoted(problem.path) << ", \"reason\": " << quoted(problem.reason)
        << '}';
  });
  out << "\n}\n";
}

}  // namespace tree_index
