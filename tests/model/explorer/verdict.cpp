// SPDX-License-Identifier: BSL-1.0
#include "explorer/verdict.hpp"

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <source_location>

#include "base/assert.hpp"
#include "explorer/arena.hpp"
#include "explorer/crew.hpp"
#include "explorer/point.hpp"

namespace model {

namespace {

// Where a check that fails on the explorer's stack goes on.
std::jmp_buf after_check;
bool checking = false;

alignas(16) char signal_stack[64 * 1024];

void on_crash(int signal) noexcept {
  // Only a fiber may crash; the explorer itself must not.
  if (!crew().inside()) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  fail(signal == SIGABRT ? "nothing calls std::terminate or abort"
                         : "nobody touches memory that is not there");
}

}  // namespace

Verdict& verdict() noexcept {
  static Verdict one;
  return one;
}

void Verdict::begin() {
  broken_ = nullptr;
  goals_.clear();
  reached_.clear();
  outcomes_.clear();
}

unsigned Verdict::goal(const char* sentence) {
  const FromArena own(false);
  for (unsigned i = 0; i < goals_.size(); ++i) {
    if (goals_[i] == sentence) return i;
  }
  goals_.emplace_back(sentence);
  reached_.push_back(false);
  return static_cast<unsigned>(goals_.size() - 1);
}

std::vector<std::string> Verdict::unreached() const {
  std::vector<std::string> all;
  for (unsigned i = 0; i < goals_.size(); ++i) {
    if (!reached_[i]) all.push_back(goals_[i]);
  }
  return all;
}

void Verdict::outcome(int result) { outcomes_.insert(result); }

void Verdict::check(void (*what)()) noexcept {
  checking = true;
  if (setjmp(after_check) == 0) what();
  checking = false;
}

void Verdict::catch_crashes() noexcept {
  // A fiber's own stack may be what is broken. The handler never returns, so nothing stays blocked.
  const stack_t own{.ss_sp = signal_stack, .ss_flags = 0, .ss_size = sizeof signal_stack};
  ::sigaltstack(&own, nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    struct sigaction action{};
    action.sa_handler = &on_crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    ::sigaction(signal, &action, nullptr);
  }
}

void fail(const char* sentence) noexcept {
  verdict().break_with(sentence);
  if (crew().inside()) crew().abandon();
  if (checking) std::longjmp(after_check, 1);
  std::fprintf(stderr, "model: set-up failed: %s\n", sentence);
  std::abort();
}

}  // namespace model

namespace paceline::core {

/// The shipped code's own checks end an execution like a model's.
void invariant_broken(const char* invariant, std::source_location) noexcept {
  model::fail(invariant);
}

}  // namespace paceline::core
