// SPDX-License-Identifier: BSL-1.0
#include "machine/overflow.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include <sys/syscall.h>
#include <unistd.h>

#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"
#include "machine/stack_pool.hpp"

namespace paceline::core::machine {

namespace {

// The sanitizers report faults by themselves, on stacks that they give to each thread.
constexpr bool kLeaveFaultsAlone = sanitizer::kAddress || sanitizer::kThread;

constinit Mutex reports_lock{LockRank::registry};
constinit unsigned reports = 0;
constinit bool handler_is_ours = false;
// Read in the handler; written while the handler is not installed.
constinit struct sigaction before_ours{};
constinit OverflowReports::Describe describe_task = nullptr;

class Line {
 public:
  void add(const char* text) noexcept { add(text, std::strlen(text)); }
  void add(const char* text, std::size_t size) noexcept {
    for (std::size_t i = 0; i < size && used_ < sizeof text_; ++i) text_[used_++] = text[i];
  }
  void add_described() noexcept {
    if (describe_task != nullptr) used_ += describe_task(text_ + used_, sizeof text_ - used_);
  }
  void write() noexcept {
    for (std::size_t done = 0; done < used_;) {
      const ::ssize_t wrote = ::write(STDERR_FILENO, text_ + done, used_ - done);
      if (wrote <= 0) return;
      done += static_cast<std::size_t>(wrote);
    }
  }

 private:
  char text_[1024];
  std::size_t used_ = 0;
};

bool in_own_guard(const void* address) noexcept {
  const void* bottom = own_record().stack_bottom;
  const auto below =
      reinterpret_cast<std::uintptr_t>(bottom) - reinterpret_cast<std::uintptr_t>(address);
  return bottom != nullptr && below > 0 && below <= stack_guard_bytes();
}

void hand_on(int signal, siginfo_t* info, void* context) noexcept {
  const struct sigaction& before = before_ours;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The default ends the process where the fault happens once more: with a core that shows it.
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(signal, &standard, nullptr);
    // One that somebody sent does not happen once more by itself.
    if (info->si_code <= 0) ::syscall(SYS_tgkill, ::getpid(), this_thread_number(), signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  if (info->si_code > 0 && in_own_guard(info->si_addr)) {
    Line line;
    line.add("[paceline] stack overflow in ");
    line.add_described();
    line.add("; raise runtime_options.stack_size, or nest less deeply\n");
    line.write();
  }
  errno = saved;
  hand_on(signal, info, context);
}

}  // namespace

OverflowReports::OverflowReports(Describe describe) noexcept {
  if (kLeaveFaultsAlone) return;
  const LockGuard lock(reports_lock);
  if (reports++ != 0) return;
  struct sigaction now{};
  if (::sigaction(SIGSEGV, nullptr, &now) != 0) return;
  const bool somebody =
      (now.sa_flags & SA_SIGINFO) != 0 || (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
  // Whoever came after us may hand faults on to us: then we stand behind them, as before.
  if (handler_is_ours && somebody) return;
  describe_task = describe;
  before_ours = now;
  struct sigaction ours{};
  ours.sa_sigaction = &on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  // Another signal would put its frame onto this stack as well, up to 12 KiB of registers; and if
  // it comes to preempt, there is nothing to preempt any more.
  sigfillset(&ours.sa_mask);
  handler_is_ours = ::sigaction(SIGSEGV, &ours, nullptr) == 0;
}

OverflowReports::~OverflowReports() {
  if (kLeaveFaultsAlone) return;
  const LockGuard lock(reports_lock);
  if (--reports != 0 || !handler_is_ours) return;
  struct sigaction now{};
  if (::sigaction(SIGSEGV, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) == 0 ||
      now.sa_sigaction != &on_fault) {
    return;
  }
  ::sigaction(SIGSEGV, &before_ours, nullptr);
  handler_is_ours = false;
}

HandlerStack::HandlerStack() noexcept {
  if (kLeaveFaultsAlone) return;
  stack_t ours{};
  ours.ss_sp = memory_;
  ours.ss_size = kBytes;
  stack_t before{};
  used_ = ::sigaltstack(&ours, &before) == 0;
  before_ = before.ss_sp;
  before_bytes_ = before.ss_size;
  before_flags_ = before.ss_flags;
}

HandlerStack::~HandlerStack() {
  if (!used_) return;
  stack_t before{};
  before.ss_sp = before_;
  before.ss_size = before_bytes_;
  before.ss_flags = before_flags_;
  ::sigaltstack(&before, nullptr);
}

void keep_overflow_reports_across_fork() noexcept { keep_across_fork(reports_lock); }

}  // namespace paceline::core::machine
