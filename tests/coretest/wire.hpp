// SPDX-License-Identifier: BSL-1.0
// Wire: how a child tells its parent what happens, one line per fact.
//
// A line is one write of at most PIPE_BUF bytes, which the system keeps whole, so every thread and
// even a signal handler may send without a lock, and what was sent before a crash has arrived.
#pragma once

#include <cstring>
#include <string_view>

#include <unistd.h>
#include <cerrno>

namespace coretest {

/// Keys of the lines. The value follows after a tab.
namespace fact {
inline constexpr std::string_view beat = "beat";      // operations so far: it lives and gets on
inline constexpr std::string_view broken = "broken";  // code, tab, text: an invariant
inline constexpr std::string_view limit = "limit";    // code, tab, text: a resource bound
inline constexpr std::string_view skip = "skip";      // why
inline constexpr std::string_view value = "value";    // name, tab, JSON number
inline constexpr std::string_view goal = "goal";      // name, tab, 0 or 1
inline constexpr std::string_view planted =
    "planted";                                        // the sabotage has struck for the first time
inline constexpr std::string_view dump = "dump";      // one line of a state dump
inline constexpr std::string_view dumped = "dumped";  // the dump is complete
inline constexpr std::string_view done = "done";      // the scenario ran to its end
}  // namespace fact

class Wire {
 public:
  explicit Wire(int descriptor) noexcept : descriptor_(descriptor) {}

  /// Any thread, signal-safe. Newlines become spaces; what does not fit in one line is cut.
  void send(std::string_view key, std::string_view value) const noexcept {
    char line[kLineMax];
    std::size_t used = 0;
    const auto append = [&](std::string_view text) {
      for (const char c : text) {
        if (used + 1 < kLineMax) line[used++] = c == '\n' ? ' ' : c;
      }
    };
    append(key);
    append("\t");
    append(value);
    line[used++] = '\n';
    // A full pipe blocks; the parent reads without pause. Any other failure means that it is gone.
    while (::write(descriptor_, line, used) < 0 && errno == EINTR) {
    }
  }

 private:
  static constexpr std::size_t kLineMax = 2048;  // below PIPE_BUF everywhere but on paper
  int descriptor_;
};

}  // namespace coretest
