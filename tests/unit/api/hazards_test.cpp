// SPDX-License-Identifier: BSL-1.0
// Proves what preemption at safepoints, waits on the stack and hand-off must not break: the
// allocator and thread-local addresses on both sides of a safepoint, spin locks, chains of awaits
// on a weak executor, the end of a runtime and of the process with stacks parked, what a thread is
// to the system after hand-off, and memory.
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "unit/api/fixtures.hpp"
#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

/// What a monitor does after a slice. Not inlined: the task may have changed its thread.
[[gnu::noinline]] void ask_for_preemption() {
  if (core::ExecutorRuntime* runtime = core::machine::this_thread().runtime) {
    runtime->port().ask(core::Ask::slice, core::machine::now());
  }
}

/// Lets others have a turn, if somebody wants one.
void give_way() {
  ask_for_preemption();
  preempt_point();
}

/// Returns when so many have come, on however few workers.
void await_all(std::atomic<unsigned>& come, unsigned all) {
  ++come;
  while (come < all) give_way();
}

/// Is there to give way to, until it is over.
task<> yields_until(const std::atomic<bool>& over) {
  while (!over) co_await yield();
}

struct PerThread {
  long thread = ::syscall(SYS_gettid);
  std::uint64_t blocks = 0;
};
thread_local PerThread per_thread;

}  // namespace

// Compilers may keep the address of a thread-local variable, or an allocator its thread's cache,
// over a safepoint in the middle of a function: that stays right because the stack stays on its
// thread. Also built with -Db_lto=true: see docs/testing.md.
TEST_CASE("allocator and thread-local variables are one thread's on both sides of a safepoint") {
  runtime rt(workers(2));
  std::atomic<bool> over{false};
  std::vector<join_handle<>> others;
  for (std::size_t i = 0; i < 2; ++i) {
    others.push_back(rt.spawn({.core = i}, [&over] { return yields_until(over); }));
  }
  std::atomic<unsigned> wrong{0};
  std::vector<join_handle<>> hogs;
  for (unsigned number = 0; number < 6; ++number) {
    hogs.push_back(rt.spawn({}, [&, number] {
      std::vector<std::unique_ptr<unsigned char[]>> blocks(32);
      const int rounds = kSanitized ? 500 : 20'000;
      for (int i = 0; i < rounds; ++i) {
        auto& block = blocks[static_cast<std::size_t>(i) % blocks.size()];
        const std::size_t bytes = 16 + static_cast<std::size_t>(i) * 97 % 2000;
        const long before = per_thread.thread;
        ++per_thread.blocks;
        auto fresh = std::make_unique<unsigned char[]>(bytes);
        fresh[bytes - 1] = static_cast<unsigned char>(number);
        give_way();
        if (fresh[bytes - 1] != number) ++wrong;
        block = std::move(fresh);
        if (per_thread.thread != before || before != ::syscall(SYS_gettid)) ++wrong;
      }
    }));
  }
  for (auto& hog : hogs) hog.join();
  over = true;
  for (auto& other : others) other.join();
  CHECK(wrong == 0);
  CHECK(rt.stats().total.demotions_safepoint >= 6);  // the first time each, at the least
}

namespace {

task<int> one() { co_return 1; }

task<int> down(int depth) {
  if (depth == 0) {
    give_way();  // weak from here on: all that follows is on this stack
    co_return 0;
  }
  const int below = co_await down(depth - 1);
  co_return below + 1;
}

}  // namespace

TEST_CASE("a million awaits on a weak executor stay within its stack and leave none behind") {
  runtime_options options = one_worker();
  options.stack_size = 64 * 1024;
  runtime rt(options);
  std::atomic<bool> over{false};
  auto other = rt.spawn({}, [&over] { return yields_until(over); });
  constexpr int awaits = kSanitized ? 20'000 : 1'000'000;
  const auto chain = []() -> task<int> {
    give_way();
    int sum = 0;
    for (int i = 0; i < awaits; ++i) sum += co_await one();
    co_return sum;
  };
  CHECK(rt.spawn({}, chain).join() == awaits);
  // Continuations all the way up, in one go.
  constexpr int depth = kSanitized ? 500 : 10'000;
  CHECK(rt.spawn({}, [] { return down(depth); }).join() == depth);
  over = true;
  other.join();
  CHECK(rt.stats().total.demotions_safepoint >= 2);
  CHECK(rt.stats().total.weak_peak == 1);
  CHECK(rt.stats().total.weak_live == 0);
}

namespace {

class SpinLock {
 public:
  /// False: somebody has it.
  bool try_lock() { return !taken_.exchange(true, std::memory_order_acquire); }
  void unlock() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

}  // namespace

TEST_CASE("whoever spins with a safepoint gets a spin lock whose holder was preempted") {
  runtime_options options = one_worker();
  options.slice = 100us;
  runtime rt(options);
  SpinLock lock;
  std::uint64_t guarded = 0;
  std::atomic<unsigned> met{0};
  std::atomic<bool> held{false};
  std::vector<join_handle<>> tasks;
  const unsigned rounds = kSanitized ? 20 : 200;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(rt.spawn({}, [&, i] {
      if (i == 0) {  // is met, and only then goes on
        held = lock.try_lock();
        while (met == 0) give_way();
        lock.unlock();
      }
      while (!held) give_way();
      for (unsigned round = 0; round < rounds; ++round) {
        while (!lock.try_lock()) {
          ++met;
          preempt_point();
        }
        ++guarded;
        give_way();  // with the lock
        lock.unlock();
        give_way();
      }
    }));
  }
  for (auto& task : tasks) task.join();
  CHECK(guarded == 3 * rounds);
}

TEST_CASE("under a nopreempt guard nobody meets a spin lock that its own thread holds") {
  runtime rt(one_worker());
  SpinLock lock;
  std::atomic<unsigned> met{0};
  std::atomic<unsigned> come{0};
  std::vector<join_handle<>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(rt.spawn({}, [&] {
      await_all(come, 3);
      for (unsigned round = 0; round < 1000; ++round) {
        const nopreempt guard;
        if (!lock.try_lock()) {
          ++met;
          return;  // or it would spin for ever
        }
        give_way();  // not before the guard ends
        lock.unlock();
      }
    }));
  }
  for (auto& task : tasks) task.join();
  CHECK(met == 0);
  CHECK(rt.stats().total.demotions_safepoint > 0);
}

namespace {

/// No exception unwinds it, and no end of the runtime.
void computes_until_stopped(std::atomic<int>& begun) noexcept {
  ++begun;
  while (!this_task::stop_token().stop_requested()) give_way();
}
void waits_until_stopped(std::atomic<int>& begun) noexcept {
  ++begun;
  try {
    await_here(sleep_until(std::chrono::steady_clock::time_point::max()));
  } catch (const operation_cancelled&) {
  }
}

}  // namespace

TEST_CASE("a runtime ends with 32 stacks preempted and 32 waiting, each to its own end") {
  constexpr int kEach = 32;
  std::atomic<int> live{0};
  std::atomic<int> begun{0};
  {
    runtime rt(one_worker());
    for (int i = 0; i < kEach; ++i) {
      rt.spawn({}, [&] {
          const Counted local(live);
          waits_until_stopped(begun);
        }).detach();
      rt.spawn({}, [&] {
          const Counted local(live);
          computes_until_stopped(begun);
        }).detach();
    }
    eventually("all have begun and were parked",
               [&] { return begun == 2 * kEach && rt.stats().total.weak_peak >= 2 * kEach - 1; });
    CHECK(live == 2 * kEach);
  }
  CHECK(live == 0);
}

namespace {

/// Two stacks are parked on the only worker, and a task there ends the process.
void exits_in(runtime& rt) {
  std::atomic<int> begun{0};
  rt.spawn({}, [&] { waits_until_stopped(begun); }).detach();
  rt.spawn({}, [&] { computes_until_stopped(begun); }).detach();
  rt.spawn({}, [&] {
      while (begun < 2) give_way();
      std::exit(5);
    }).detach();
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("exit from a task ends the process, whatever is parked") {
  if (kThreadSanitizer) return;  // starts no threads after a fork
  std::fflush(stdout);           // or the child writes it once more
  const auto leaked = in_child([] { exits_in(*new runtime(one_worker())); });
  CHECK(leaked.signal == 0);
  CHECK(leaked.exit_code == 5);
  // Destroyed by exit, on its own worker.
  const auto destroyed = in_child([] {
    static runtime rt(one_worker());
    exits_in(rt);
  });
  CHECK(destroyed.signal == 0);
  CHECK(destroyed.exit_code == 5);
}

TEST_CASE("a thread that takes a worker over is to the system what the one before was") {
  const auto cpus = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::pthread_getaffinity_np(::pthread_self(), sizeof set, &set);
    std::vector<int> all;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) all.push_back(cpu);
    }
    return all;
  };
  const auto handler_stack = [] {
    stack_t now{};
    ::sigaltstack(nullptr, &now);
    return now;
  };
  const auto mask = [] {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return now;
  };
  struct Seen {
    long thread;
    std::vector<int> cpus;
    stack_t handler_stack;
    sigset_t mask;
  };
  const auto look = [&] { return Seen{::syscall(SYS_gettid), cpus(), handler_stack(), mask()}; };
  runtime rt(one_worker());
  const Seen before = rt.spawn({}, look).join();
  std::optional<Seen> after;
  std::atomic<bool> done{false};
  auto away = rt.spawn({}, [&] {
    blocking([&] {
      while (!done) std::this_thread::yield();
    });
  });
  rt.spawn({}, [&] {
      after = look();
      done = true;
    }).join();
  away.join();
  REQUIRE(after.has_value());
  CHECK(after->thread != before.thread);
  CHECK(after->cpus == before.cpus);
  for (int number = 1; number < NSIG; ++number) {
    INFO("signal " << number);
    CHECK(sigismember(&after->mask, number) == sigismember(&before.mask, number));
  }
  // One of its own, of the same size, if there is one.
  CHECK(after->handler_stack.ss_flags == before.handler_stack.ss_flags);
  CHECK(after->handler_stack.ss_size == before.handler_stack.ss_size);
  if (before.handler_stack.ss_sp != nullptr) {
    CHECK(after->handler_stack.ss_sp != before.handler_stack.ss_sp);
  }
}

namespace {

/// Resident memory, in bytes.
long resident() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_CASE("ten thousand stacks that wait take 12 KiB of memory each at most") {
  if (kSanitized) return;  // theirs take more
  constexpr int kStacks = 10'000;
  runtime rt(workers(2));
  std::vector<join_handle<>> all;
  all.reserve(kStacks);
  std::atomic<int> begun{0};
  const long before = resident();
  for (int i = 0; i < kStacks; ++i) {
    all.push_back(rt.spawn({}, [&] { waits_until_stopped(begun); }));
  }
  eventually("all wait", [&] { return rt.stats().total.weak_live == kStacks; });
  const long each = (resident() - before) / kStacks;
  INFO(each << " bytes each");
  CHECK(each <= 12 * 1024);
  for (auto& task : all) task.request_stop();
  for (auto& task : all) task.join();
}
