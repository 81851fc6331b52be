// SPDX-License-Identifier: BSL-1.0
// Progress: one line on stderr, redrawn on a terminal.
#include "progress.hpp"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "text.hpp"

namespace tree_index {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBarWidth = 24;

}  // namespace

Progress::Progress()
    : terminal_(::isatty(STDERR_FILENO) == 1), start_(Clock::now()), due_(start_ + interval()) {}

Progress::Clock::duration Progress::interval() const noexcept { return terminal_ ? 100ms : 1000ms; }

void Progress::show() {
  const std::uint64_t files = read_.load(std::memory_order_relaxed);
  const std::uint64_t all = std::max(files, files_found());
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::string line = grouped(files) + " of " + grouped(all) + " files found, " +
                           megabytes(bytes_.load(std::memory_order_relaxed)) + ", " +
                           per_second(files, seconds) + " files/s";
  if (terminal_) {
    // Back to the first column, the line, and nothing of the old one behind it.
    std::fprintf(stderr, "\r[%s] %s\x1b[K", bar(files, all).c_str(), line.c_str());
  } else {
    std::fprintf(stderr, "tree_index: %s\n", line.c_str());
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (!terminal_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void Progress::show_when_due() {
  const Clock::time_point now = Clock::now();
  if (now < due_) return;
  due_ = now + interval();
  show();
}

std::string Progress::bar(std::uint64_t done, std::uint64_t all) const {
  const std::size_t filled = all == 0 ? 0 : static_cast<std::size_t>(kBarWidth * done / all);
  std::string text(kBarWidth, '.');
  return text.replace(0, filled, filled, '#');
}

paceline::task<void> show_progress(Progress& progress) {
  try {
    while (true) {
      co_await paceline::sleep_for(progress.interval());
      progress.show();
    }
  } catch (const paceline::operation_cancelled&) {
    progress.clear();  // asked to stop: the walk is over
  }
}

}  // namespace tree_index
