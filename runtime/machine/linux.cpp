// SPDX-License-Identifier: BSL-1.0
// The machine on Linux: clocks, futexes, threads.
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <system_error>

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.hpp"
#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "machine/overflow.hpp"
#include "machine/stack_sample.hpp"

namespace paceline::core {

#ifndef NDEBUG
void lock_rank_enter(LockRank rank) noexcept {
  unsigned& held = machine::this_thread().held_ranks;
  check(held >> static_cast<unsigned>(rank) == 0, "locks are taken in the order of their ranks");
  held |= 1u << static_cast<unsigned>(rank);
}
void lock_rank_leave(LockRank rank) noexcept {
  machine::this_thread().held_ranks &= ~(1u << static_cast<unsigned>(rank));
}
#endif

namespace machine {

// --- time ---

Nanos now() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

// --- parking ---

void park(Atomic<std::uint32_t>& word, std::uint32_t expected, Nanos deadline) noexcept {
  timespec until;
  timespec* timeout = nullptr;
  if (deadline != kForever) {
    until.tv_sec = static_cast<time_t>(deadline / kSecond);
    until.tv_nsec = static_cast<long>(deadline % kSecond);
    timeout = &until;
  }
  // WAIT_BITSET takes an absolute time of the monotonic clock; WAIT would take a relative one.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

namespace {

void wake_futex(Atomic<std::uint32_t>& word, int waiters) noexcept {
  const int saved = errno;
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, waiters, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace

void unpark(Atomic<std::uint32_t>& word) noexcept { wake_futex(word, 1); }
void unpark_all(Atomic<std::uint32_t>& word) noexcept { wake_futex(word, INT_MAX); }

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

void yield_thread() noexcept { ::sched_yield(); }

// --- threads ---

constinit thread_local ThisThread this_thread_record;

namespace {
constinit Atomic<std::uint32_t> no_worker{0};  // the request word of threads that are no workers
}  // namespace

void take_requests_from(const Atomic<std::uint32_t>* word) noexcept {
  detail::Safepoint& here = detail::this_safepoint;
  here.own = here.request = word != nullptr ? word : &no_worker;
  here.guards = 0;
}

void change_requests_to(const Atomic<std::uint32_t>* word) noexcept {
  detail::Safepoint& here = detail::this_safepoint;
  here.own = word != nullptr ? word : &no_worker;
  if (here.guards == 0) here.request = here.own;
}

void prepare_barriers() noexcept {
  static_cast<void>(::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
}

bool barrier_everywhere() noexcept {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

int this_thread_number() noexcept { return static_cast<int>(::gettid()); }

std::optional<ThreadState> look_at_thread(int number) noexcept {
  ThreadState state;
  // The clock of a thread by its number, as the kernel forms it (its posix-timers.h): exact to this
  // moment, where /proc/self/task/N/schedstat knows the last tick.
  const ::clockid_t clock = static_cast<::clockid_t>((~static_cast<unsigned>(number) << 3) | 6);
  timespec ran{};
  if (::clock_gettime(clock, &ran) != 0) return std::nullopt;
  state.cpu_time = Nanos{ran.tv_sec} * kSecond + ran.tv_nsec;
  char text[512];
  std::snprintf(text, sizeof text, "/proc/self/task/%d/stat", number);
  const int file = ::open(text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  const ::ssize_t got = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (got <= 0) return std::nullopt;
  text[got] = '\0';
  // "number (name) state ...": the name may hold anything.
  const char* after_name = std::strrchr(text, ')');
  state.runnable = after_name != nullptr && after_name[1] == ' ' && after_name[2] == 'R';
  return state;
}

ThisThread& this_thread() noexcept {
  // The empty asm keeps the address from being computed at the caller after identical-code folding
  // or LTO have undone `noinline`.
  asm volatile("" ::: "memory");
  return this_thread_record;
}

namespace {

struct Launch {
  void (*body)(void*) noexcept;
  void* argument;
};

void* run_launch(void* raw) {
  const Launch launch = *static_cast<Launch*>(raw);
  delete static_cast<Launch*>(raw);
  const HandlerStack for_faults;
  launch.body(launch.argument);
  return nullptr;
}

}  // namespace

ThreadHandle start_thread(void (*body)(void*) noexcept, void* argument) {
  auto* launch = new Launch{body, argument};
  // Workers leave the process's signals to the application's own threads; faults stay deliverable.
  sigset_t all, old;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
    sigdelset(&all, fault);
  }
  sigdelset(&all, sample_signal());
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, &run_launch, launch);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (error != 0) {
    delete launch;
    throw std::system_error(error, std::generic_category(), "pthread_create");
  }
  return static_cast<ThreadHandle>(thread);
}

void join_thread(ThreadHandle thread) noexcept {
  pthread_join(static_cast<pthread_t>(thread), nullptr);
}
void detach_thread(ThreadHandle thread) noexcept { pthread_detach(static_cast<pthread_t>(thread)); }
bool is_this_thread(ThreadHandle thread) noexcept {
  return pthread_equal(static_cast<pthread_t>(thread), pthread_self()) != 0;
}

void name_this_thread(std::string_view name) noexcept {
  char buffer[16] = {};
  name.copy(buffer, sizeof buffer - 1);
  pthread_setname_np(pthread_self(), buffer);
}

void want_prompt_wakeups() noexcept {
  // EEVDF takes the slice that a thread asks for as its latency (Linux 6.12, sched_setattr(2)). The
  // least it accepts is 100 us. The system's headers may not know the call or the structure yet.
  struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = 0;  // SCHED_OTHER
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 100'000;  // ns
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
  } wanted;
#ifdef SYS_sched_setattr
  wanted.nice = ::getpriority(PRIO_PROCESS, 0);
  static_cast<void>(::syscall(SYS_sched_setattr, 0, &wanted, 0));
#endif
}

int set_thread_class(const ThreadClass& wanted) noexcept {
#ifdef SYS_sched_setattr
  // sched_setattr(2), with the utilisation clamps of Linux 5.3. The system's headers may not know
  // the structure yet, or know it under the same name.
  struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = SCHED_OTHER;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0, deadline = 0, period = 0;
    std::uint32_t util_min = 0, util_max = 0;
  };
  static_assert(sizeof(Attributes) == 56, "SCHED_ATTR_SIZE_VER1");
  constexpr std::uint64_t kKeepPolicy = 0x08, kKeepParameters = 0x10, kClampBoth = 0x60;
  int error = 0;
  const auto set = [&error](const Attributes& attributes) noexcept {
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0 && error == 0) error = errno;
  };
  Attributes clamps;
  clamps.flags = kKeepPolicy | kKeepParameters | kClampBoth;
  clamps.util_min = wanted.util_min;
  clamps.util_max = wanted.util_max;
  set(clamps);
  // Only between NORMAL and BATCH: a policy that the user chose for the process stays.
  const int policy = ::sched_getscheduler(0);
  if (policy == (wanted.batch ? SCHED_OTHER : SCHED_BATCH)) {
    Attributes change;  // the policy is one of the parameters: they cannot be kept
    change.nice = ::getpriority(PRIO_PROCESS, 0);
    change.policy = wanted.batch ? SCHED_BATCH : SCHED_OTHER;
    set(change);
  }
  return error;
#else
  static_cast<void>(wanted);
  return ENOSYS;
#endif
}

void want_precise_timers() noexcept { ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); }

int pin_this_thread(int cpu) noexcept {
  cpu_set_t* set = CPU_ALLOC(static_cast<unsigned>(cpu) + 1);
  if (set == nullptr) return ENOMEM;
  const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<unsigned>(cpu) + 1);
  CPU_ZERO_S(bytes, set);
  CPU_SET_S(static_cast<unsigned>(cpu), bytes, set);
  const int error = ::sched_setaffinity(0, bytes, set) == 0 ? 0 : errno;
  CPU_FREE(set);
  return error;
}

// --- fork ---

constinit Atomic<std::uint64_t> forks{1};

namespace {

constexpr std::size_t kForkLocksMax = 56;
constinit Mutex* fork_locks[kForkLocksMax] = {};
constinit std::size_t fork_lock_count = 0;

// The native locks: the rank check is about one thread's nesting, and here all are held at once.
void before_fork() {
  for (std::size_t i = 0; i < fork_lock_count; ++i) fork_locks[i]->native().lock();
}
void after_fork() {
  for (std::size_t i = fork_lock_count; i-- > 0;) fork_locks[i]->native().unlock();
}
void in_child() {
  after_fork();
  forks.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void keep_across_fork(Mutex& lock) noexcept {
  check(fork_lock_count < kForkLocksMax, "there are few process-wide locks");
  // In the order in which they nest.
  std::size_t at = fork_lock_count++;
  for (; at > 0 && fork_locks[at - 1]->rank() > lock.rank(); --at) {
    fork_locks[at] = fork_locks[at - 1];
  }
  fork_locks[at] = &lock;
}

int current_cpu() noexcept { return sched_getcpu(); }

std::uint64_t watch_forks() noexcept {
  [[maybe_unused]] static const int registered =
      pthread_atfork(&before_fork, &after_fork, &in_child);
  return fork_generation();
}

}  // namespace machine
}  // namespace paceline::core

namespace paceline::detail {
constinit thread_local Safepoint this_safepoint{&core::machine::no_worker,
                                                &core::machine::no_worker, 0};
}  // namespace paceline::detail
