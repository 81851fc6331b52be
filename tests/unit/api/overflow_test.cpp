// SPDX-License-Identifier: BSL-1.0
// Proves the report of a stack overflow: the task is named, the process ends as it would have, an
// application's handlers get what is theirs, and nothing stays behind. The sanitizers report
// overflows themselves.
#include "fixtures.hpp"

#include <csignal>
#include <cstdint>

#include <unistd.h>

#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

[[gnu::noinline]] int recurse_without_end(int depth) {
  volatile char frame[1000];
  frame[0] = static_cast<char>(depth);
  if (depth < 0) return 0;
  return recurse_without_end(depth + 1) + frame[0];
}

void write_nowhere() {
  static volatile std::uintptr_t nowhere = 16;
  *reinterpret_cast<volatile int*>(nowhere) = 1;
}

[[noreturn]] void exit_with_seven(int) { ::_exit(7); }

runtime_options small_stacks() {
  runtime_options options = workers(1);
  options.stack_size = 64 * 1024;
  return options;
}

void overflow_in(const runtime_options& options) {
  runtime rt(options);
  rt.spawn({.name = "bottomless"}, [] { return recurse_without_end(0); }).join();
}

bool is_default(int signal) {
  struct sigaction now{};
  ::sigaction(signal, nullptr, &now);
  return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

}  // namespace

TEST_CASE("a task that overflows its stack is named, and the process ends by the fault") {
  if (kSanitized) return;
  const auto end = in_child([] { overflow_in(small_stacks()); });
  CHECK(end.signal == SIGSEGV);
  INFO(end.text);
  CHECK(says(end.text, "stack overflow in task "));
  CHECK(says(end.text, "'bottomless'"));
  CHECK(says(end.text, "raise runtime_options.stack_size"));
  CHECK(times(end.text, "stack overflow") == 1);
}

TEST_CASE("an overflow on a stack that was preempted before, and below await_here, is reported") {
  if (kSanitized) return;
  const auto end = in_child([] {
    runtime rt(small_stacks());
    auto body = [] {
      await_here(forty_two());
      return recurse_without_end(0);
    };
    rt.spawn({.name = "came back"}, body).join();
  });
  CHECK(end.signal == SIGSEGV);
  CHECK(says(end.text, "'came back'"));
}

TEST_CASE("a handler that was there before gets the overflow after the report") {
  if (kSanitized) return;
  const auto end = in_child([] {
    ::signal(SIGSEGV, &exit_with_seven);
    overflow_in(small_stacks());
  });
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 7);
  CHECK(says(end.text, "'bottomless'"));
}

TEST_CASE("other faults go on to whoever had them, without a report") {
  if (kThreadSanitizer) return;  // starts no threads after a fork
  const auto plain = in_child([] {
    runtime rt(small_stacks());
    rt.spawn({}, [] { write_nowhere(); }).join();
  });
  CHECK(plain.signal == SIGSEGV);
  CHECK(plain.text.find("overflow") == std::string::npos);
  const auto sent = in_child([] {
    runtime rt(small_stacks());
    ::raise(SIGSEGV);
    ::_exit(3);
  });
  CHECK(sent.signal == SIGSEGV);
  const auto handled = in_child([] {
    ::signal(SIGSEGV, &exit_with_seven);
    runtime rt(small_stacks());
    rt.spawn({}, [] { write_nowhere(); }).join();
  });
  CHECK(handled.exit_code == 7);
  CHECK(handled.text.find("overflow") == std::string::npos);
}

TEST_CASE("the former handler returns with the last runtime, unless a later one has come") {
  if (kSanitized) return;
  const auto end = in_child([] {
    if (!is_default(SIGSEGV)) ::_exit(1);
    {
      runtime one(small_stacks());
      runtime two(small_stacks());
      if (is_default(SIGSEGV)) ::_exit(2);
    }
    if (!is_default(SIGSEGV)) ::_exit(3);
    {
      runtime one(small_stacks());
      ::signal(SIGSEGV, &exit_with_seven);
    }
    struct sigaction now{};
    ::sigaction(SIGSEGV, nullptr, &now);
    if (now.sa_handler != &exit_with_seven) ::_exit(4);
  });
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 0);
}

TEST_CASE("without the option no handler is installed and nothing is reported") {
  if (kThreadSanitizer) return;  // starts no threads after a fork
  const auto end = in_child([] {
    runtime_options options = small_stacks();
    options.report_stack_overflow = false;
    {
      runtime rt(options);
      if (!is_default(SIGSEGV)) ::_exit(1);
    }
    overflow_in(options);
  });
  CHECK(end.signal == SIGSEGV);
  CHECK(end.text.find("overflow") == std::string::npos);
}
