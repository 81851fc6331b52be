// SPDX-License-Identifier: BSL-1.0
// The parent's side of one run: starts the child, listens, and is the watchdog.
// The watchdog is outside the child, so no hang of the runtime can stop it.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "settings.hpp"

namespace coretest {

enum class Verdict : std::uint8_t {
  pass,
  fail,   // an invariant was broken
  hang,   // no progress until the watchdog's time was up
  crash,  // the child ended by a signal, by a sanitizer, or without having finished
  limit,  // a resource bound was broken
  skip,   // it could not run here
};

inline constexpr std::array kVerdicts = {Verdict::pass,  Verdict::fail,  Verdict::hang,
                                         Verdict::crash, Verdict::limit, Verdict::skip};
std::string_view to_string(Verdict verdict) noexcept;

struct GoalResult {
  std::string name;
  bool reached = false;
};

/// What is known of one run once its child is gone.
struct RunResult {
  Settings settings;
  Verdict verdict = Verdict::crash;
  std::string code;    // short and stable: the broken invariant's name, the signal, ...
  std::string reason;  // one line for people
  std::vector<std::pair<std::string, std::string>> values;  // name, JSON number
  std::vector<GoalResult> goals;
  std::vector<std::string> dump;
  std::vector<std::string> complaints;  // the last lines the child wrote to stderr
  bool struck = false;                  // a planted mistake has struck at least once
  double wall_s = 0;                    // in virtual time: of that
  double cpu_s = 0;

  /// Notes a reported number; the last of a name counts.
  void set(std::string_view name, std::string_view value);
  /// A reported number, or `otherwise`.
  double number(std::string_view name, double otherwise = 0) const;
};

/// The child cannot even be started: exit code 3.
class Unsuitable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Runs `settings` in a child process of `program`. A run without progress for `timeout_s` is asked
/// for its state and killed. `quiet`: what the child writes to stderr is kept, not shown.
RunResult run_watched(const std::string& program, const Settings& settings, double timeout_s,
                      bool quiet);

/// This program, or the probed twin that `parks` asks for: beside it, or in libexec. Throws
/// Unsuitable with the places that were looked at.
std::string program_for(Parks parks);

}  // namespace coretest
