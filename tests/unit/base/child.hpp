// SPDX-License-Identifier: BSL-1.0
// Running a piece of a test in a child process: for what ends the process, or is read once in it.
#pragma once

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.hpp"

namespace paceline_test {

/// How a child process ended.
struct ChildEnd {
  int signal = 0;     // that killed it; 0: it exited
  int exit_code = 0;  // only if it exited
  std::string text;   // what it wrote to stderr
};

/// Runs `body` in a fork of this process and waits for it. The child exits with 0 if `body`
/// returns. Faults kill the child plainly, also under a sanitizer, which would otherwise turn them
/// into a report of its own.
template <class Body>
ChildEnd in_child(Body&& body) {
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe_ends[1], STDERR_FILENO);
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
    for (int fatal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) ::signal(fatal, SIG_DFL);
    std::forward<Body>(body)();
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  ChildEnd end;
  char buffer[512];
  for (ssize_t got; (got = ::read(pipe_ends[0], buffer, sizeof buffer)) > 0;) {
    end.text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(pipe_ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  return end;
}

/// An environment number that scales how long a test tries, e.g. PACELINE_TEST_SCALE=100; 1
/// without.
inline std::size_t test_scale() {
  const char* text = std::getenv("PACELINE_TEST_SCALE");
  const long scale = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return scale > 0 ? static_cast<std::size_t>(scale) : 1;
}

/// Extra seeds from the environment; the printed seed of a failure can be given back here.
inline unsigned long test_seed() {
  const char* text = std::getenv("PACELINE_TEST_SEED");
  return text == nullptr ? 1 : std::strtoul(text, nullptr, 10);
}

}  // namespace paceline_test
