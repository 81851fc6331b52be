// SPDX-License-Identifier: BSL-1.0
#include "machine/stack_sample.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "machine/machine.hpp"

namespace paceline::core::machine {

namespace {

// Of a deep stack the innermost part is what tells why it is stuck.
constexpr std::size_t kImageMost = 64 * 1024;
constexpr std::size_t kPiece = 4096;

/// The one request under way. `state`: free -> asked by the monitor that holds the lock, asked ->
/// filling -> filled by the thread that is looked at, filled or asked -> free by the monitor. Who
/// moved it to `filling` owns the rest until `filled`.
struct Mailbox {
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kAsked = 1;
  static constexpr std::uint32_t kFilling = 2;
  static constexpr std::uint32_t kFilled = 3;

  Atomic<std::uint32_t> state{kFree};
  Atomic<int> thread{0};
  Registers registers;
  std::size_t bytes = 0;
  alignas(16) std::byte image[kImageMost] = {};
};

constinit Mailbox mailbox;
constinit Mutex sample_lock{LockRank::registry};
constinit unsigned samplings = 0;
constinit struct sigaction before_ours{};
constinit Atomic<std::uint64_t> sent{0};
constinit Atomic<std::uint64_t> handled{0};

/// Copies what can be read of the memory at `from`, in pieces, as a read of our own would fault.
std::size_t copy_memory(std::uintptr_t from, std::byte* to) noexcept {
  constexpr std::size_t kPieces = kImageMost / kPiece + 1;
  iovec pieces[kPieces];
  std::size_t count = 0;
  std::size_t total = 0;
  while (total < kImageMost) {
    const std::uintptr_t at = from + total;
    const std::size_t size = std::min(kPiece - at % kPiece, kImageMost - total);
    pieces[count++] = {reinterpret_cast<void*>(at), size};
    total += size;
  }
  const iovec here{to, total};
  const long got = ::syscall(SYS_process_vm_readv, ::getpid(), &here, 1UL, pieces, count, 0UL);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

void take_registers([[maybe_unused]] const ucontext_t& context,
                    [[maybe_unused]] Registers& registers) noexcept {
  registers.known = 0;
#if defined(__x86_64__)
  static constexpr int kInContext[Registers::kCount] = {
      REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
      REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (unsigned i = 0; i < Registers::kCount; ++i) {
    registers.set(i, static_cast<std::uintptr_t>(context.uc_mcontext.gregs[kInContext[i]]));
  }
#elif defined(__aarch64__)
  for (unsigned i = 0; i < 31; ++i) registers.set(i, context.uc_mcontext.regs[i]);
  registers.set(Registers::kStackPointer, context.uc_mcontext.sp);
  registers.set(Registers::kReturn, context.uc_mcontext.pc);
#endif
}

/// On the thread that is looked at: copies its registers and stack, no more. Calls nothing but the
/// system.
void on_sample(int signal, siginfo_t* info, void* raw) {
  if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &mailbox) {
    // Not from us.
    if ((before_ours.sa_flags & SA_SIGINFO) != 0) {
      before_ours.sa_sigaction(signal, info, raw);
    } else if (before_ours.sa_handler != SIG_DFL && before_ours.sa_handler != SIG_IGN) {
      before_ours.sa_handler(signal);
    }
    return;
  }
  const int saved = errno;
  std::uint32_t asked = Mailbox::kAsked;
  // Acquire. Pairs: trace_of_running. Publishes: whom it is for. A late one finds it free, or meant
  // for another thread.
  if (mailbox.state.load(std::memory_order_acquire) == Mailbox::kAsked &&  // M60
      mailbox.thread.load(std::memory_order_relaxed) == this_thread_number() &&
      mailbox.state.compare_exchange_strong(asked, Mailbox::kFilling,
                                            std::memory_order_acquire,  // M60
                                            std::memory_order_relaxed)) {
    take_registers(*static_cast<const ucontext_t*>(raw), mailbox.registers);
    mailbox.bytes = copy_memory(mailbox.registers.value[Registers::kStackPointer], mailbox.image);
    // Release. Pairs: trace_of_running. Publishes: registers and image.
    mailbox.state.store(Mailbox::kFilled, std::memory_order_release);  // M60
    unpark(mailbox.state);
  }
  handled.fetch_add(1, std::memory_order_seq_cst);  // M60
  errno = saved;
}

/// Asked of the system each time: the application may have taken the number meanwhile.
bool handler_is_ours() noexcept {
  struct sigaction now{};
  return ::sigaction(sample_signal(), nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
         now.sa_sigaction == &on_sample;
}

bool read_text(const char* path, char* text, std::size_t size) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ::ssize_t got = ::read(file, text, size - 1);
  ::close(file);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

}  // namespace

int sample_signal() noexcept { return SIGRTMAX - 3; }

std::uint64_t sample_signals_sent() noexcept { return sent.load(std::memory_order_relaxed); }

void keep_samples_across_fork() noexcept { keep_across_fork(sample_lock); }

StackSampling::StackSampling() noexcept {
  const LockGuard lock(sample_lock);
  if (samplings++ != 0 || handler_is_ours()) return;
  struct sigaction now{};
  if (::sigaction(sample_signal(), nullptr, &now) != 0) return;
  const bool free =
      (now.sa_flags & SA_SIGINFO) == 0 && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
  if (!free) return;
  before_ours = now;
  struct sigaction ours{};
  ours.sa_sigaction = &on_sample;
  // On the interrupted stack: there is room for a signal frame, or the next call would overflow.
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&ours.sa_mask);
  ::sigaction(sample_signal(), &ours, nullptr);
}

StackSampling::~StackSampling() {
  const LockGuard lock(sample_lock);
  if (--samplings != 0 || !handler_is_ours()) return;
  // One that is still on its way would end the process if nobody handled it.
  // M60
  if (handled.load(std::memory_order_seq_cst) != sent.load(std::memory_order_relaxed)) return;
  ::sigaction(sample_signal(), &before_ours, nullptr);
}

bool StackSampling::installed() noexcept {
  const LockGuard lock(sample_lock);
  return samplings != 0 && handler_is_ours();
}

std::optional<Trace> trace_of_running(int thread, Nanos patience) noexcept {
  const LockGuard lock(sample_lock);
  if (samplings == 0 || !handler_is_ours()) return std::nullopt;
  Atomic<std::uint32_t>& state = mailbox.state;
  mailbox.thread.store(thread, std::memory_order_relaxed);
  state.store(Mailbox::kAsked, std::memory_order_release);  // M60
  siginfo_t info{};
  info.si_signo = sample_signal();
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_ptr = &mailbox;
  sent.fetch_add(1, std::memory_order_relaxed);
  if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, sample_signal(), &info) != 0) {
    sent.fetch_sub(1, std::memory_order_relaxed);
    state.store(Mailbox::kFree, std::memory_order_relaxed);
    return std::nullopt;
  }
  const Nanos until = now() + patience;
  std::uint32_t how = state.load(std::memory_order_acquire);  // M60
  while (how != Mailbox::kFilled) {
    const bool late = now() >= until;
    // Nobody began: nobody will. Who has begun needs some microseconds of processor time.
    if (late && how == Mailbox::kAsked) {
      // Acquire, if it fails. Pairs: on_sample.
      if (state.compare_exchange_strong(how, Mailbox::kFree, std::memory_order_acquire,  // M60
                                        std::memory_order_acquire)) {
        return std::nullopt;
      }
      continue;
    }
    park(state, how, late ? now() + kMillisecond : until);
    how = state.load(std::memory_order_acquire);  // M60
  }
  const Registers& registers = mailbox.registers;
  const Trace trace =
      walk(registers, {registers.value[Registers::kStackPointer], mailbox.image, mailbox.bytes});
  state.store(Mailbox::kFree, std::memory_order_relaxed);
  if (trace.empty()) return std::nullopt;
  return trace;
}

std::optional<Trace> trace_of_blocked(int thread) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
  // "number six-arguments stack-pointer program-counter", or "running".
  char text[512];
  if (!read_text(path, text, sizeof text)) return std::nullopt;
  std::uintptr_t last[2] = {0, 0};
  for (char* at = text; (at = std::strstr(at, "0x")) != nullptr;) {
    last[0] = last[1];
    last[1] = std::strtoull(at, &at, 16);
  }
  if (last[0] == 0 || last[1] == 0) return std::nullopt;
  const std::unique_ptr<std::byte[]> image(new (std::nothrow) std::byte[kImageMost]);
  if (!image) return std::nullopt;
  const std::size_t bytes = copy_memory(last[0], image.get());
  // It may have gone on meanwhile: then the copy is of two moments.
  char again[512];
  if (!read_text(path, again, sizeof again) || std::strcmp(text, again) != 0) return std::nullopt;
  Registers registers;
  registers.set(Registers::kStackPointer, last[0]);
  registers.set(Registers::kReturn, last[1]);
  const Trace trace = walk(registers, {last[0], image.get(), bytes});
  if (trace.empty()) return std::nullopt;
  return trace;
}

}  // namespace paceline::core::machine
