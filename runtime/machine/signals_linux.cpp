// SPDX-License-Identifier: BSL-1.0
// Signals on Linux.
//
// The handler runs on the interrupted stack (no SA_ONSTACK: a stack that is left must not be the
// thread's one alternate stack). Its number is blocked while it runs (no SA_NODEFER: whoever else
// sends our signal in numbers would pile up frames of 12 KiB until the stack is full), so a handler
// that parks its stack lets the number in first, for what runs meanwhile. The kernel saves every
// register in the frame it pushes, vector state included, and puts it back with the mask when the
// handler returns; nothing here knows which registers a processor has.
#include "machine/signals.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core::machine {

namespace {

#if defined(__x86_64__)
std::uintptr_t interrupted_pc(const ucontext_t& context) noexcept {
  return static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
}
constexpr bool kProcessor = true;
#elif defined(__aarch64__)
std::uintptr_t interrupted_pc(const ucontext_t& context) noexcept {
  return static_cast<std::uintptr_t>(context.uc_mcontext.pc);
}
constexpr bool kProcessor = true;
#else
std::uintptr_t interrupted_pc(const ucontext_t&) noexcept { return 0; }
constexpr bool kProcessor = false;
#endif

// Its address marks a signal as ours.
constinit char mark = 0;
constinit Atomic<OnSignal> on_signal{nullptr};
constinit Mutex claim_lock{LockRank::memory};

bool is_ours(const siginfo_t& info) noexcept {
  return info.si_code == SI_QUEUE && info.si_value.sival_ptr == &mark;
}

void handler(int, siginfo_t* info, void* context) {
  if (!is_ours(*info)) return;  // as if it were ignored
  const int saved = errno;
  on_signal.load(std::memory_order_relaxed)(
      {interrupted_pc(*static_cast<const ucontext_t*>(context))});
  errno = saved;
}

/// A shadow stack keeps return addresses of its own, which a switch of stacks would leave behind.
bool has_shadow_stack() noexcept {
#if defined(__x86_64__)
  constexpr long kStatus = 0x5005;  // ARCH_SHSTK_STATUS
  unsigned long features = 0;
  const int saved = errno;  // a processor without one refuses, in the middle of a task
  const bool answered = ::syscall(SYS_arch_prctl, kStatus, &features) == 0;
  errno = saved;
  return answered && (features & 1) != 0;
#else
  return false;
#endif
}

bool is_handler(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &handler;
}

}  // namespace

bool signals_usable() noexcept {
  // ThreadSanitizer delivers signals late, at points of its own choice.
  static const bool usable = kProcessor && !sanitizer::kThread && !has_shadow_stack();
  return usable;
}

// Debuggers let it pass, no library uses it inside itself, its default is to be ignored, also in a
// program that is exec'ed with one pending. Go chose it for the same reasons.
int usual_signal() noexcept { return SIGURG; }

const char* claim_signal(int number, OnSignal called) noexcept {
  for (int fault :
       {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF, SIGKILL, SIGSTOP}) {
    if (number == fault) return "it reports faults or cannot be caught";
  }
  LockGuard lock(claim_lock);
  struct sigaction now;
  if (::sigaction(number, nullptr, &now) != 0) return "there is no such signal";
  if (is_handler(now)) return nullptr;
  const bool free =
      (now.sa_flags & SA_SIGINFO) == 0 && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
  if (!free) return "the application has a handler for it";
  on_signal.store(called, std::memory_order_relaxed);
  struct sigaction ours = {};
  ours.sa_sigaction = &handler;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  return ::sigaction(number, &ours, nullptr) == 0 ? nullptr : "there is no such signal";
}

void keep_signals_across_fork() noexcept { keep_across_fork(claim_lock); }

bool still_claimed(int number) noexcept {
  struct sigaction now;
  return ::sigaction(number, nullptr, &now) == 0 && is_handler(now);
}

void accept_signal(int number) noexcept {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

void defer_signal(int number) noexcept {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  ::pthread_sigmask(SIG_BLOCK, &one, nullptr);  // what it was comes back with the system's frame
}

bool send_signal(int thread, int number) noexcept {
  const int saved = errno;
  siginfo_t info = {};
  info.si_signo = number;
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_ptr = &mark;
  const bool sent = ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, number, &info) == 0;
  errno = saved;
  return sent;
}

bool absorb_signal(int number) noexcept {
  const int saved = errno;
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  siginfo_t info = {};
  const timespec at_once = {0, 0};
  const bool got = ::sigtimedwait(&one, &info, &at_once) == number && is_ours(info);
  errno = saved;
  return got;
}

std::size_t signal_frame_bytes() noexcept {
  static const std::size_t bytes = [] {
    const unsigned long said = ::getauxval(AT_MINSIGSTKSZ);
    return said != 0 ? said : 16ul * 1024;
  }();
  return bytes;
}

}  // namespace paceline::core::machine
