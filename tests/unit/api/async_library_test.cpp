// SPDX-License-Identifier: BSL-1.0
// Proves that regions and what they call besides the C library go together: the dynamic linker, the
// kernel's restartable sequences, alternate stacks for signals, the thread that a stack is bound to
// while others are hungry and workers change hands. Storms, as in async_hazards_test.cpp.
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "unit/api/async_storm.hpp"
#include "unit/base/child.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

/// Some microseconds within the section.
[[gnu::section("paceline_async")]] [[gnu::noinline]] std::uint64_t churn(std::uint64_t x) {
  for (int i = 0; i < 5000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));
  }
  return x;
}

using Walk = std::uint64_t (*)(std::uint64_t);

/// Calls a function of the library for the first time, between two stretches that give way.
[[gnu::section("paceline_async")]] [[gnu::noinline]] std::uint64_t call_cold(Walk walk) {
  asm volatile("" ::: "memory");
  const std::uint64_t sum = walk(0) + walk(0);
  asm volatile("" ::: "memory");
  return sum;
}

struct Library {
  Library() : handle(::dlopen(PACELINE_LAZY_LIBRARY, RTLD_LAZY | RTLD_LOCAL)) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle != nullptr) ::dlclose(handle);
  }
  Walk walk() const {
    return handle == nullptr ? nullptr : reinterpret_cast<Walk>(::dlsym(handle, "lazy_walk"));
  }
  void* handle;
};

long thread_number() { return ::syscall(SYS_gettid); }

}  // namespace

TEST_CASE("the dynamic linker is never entered twice: cold calls, loading and first touches") {
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> walks{0};
  preempt_often(
      strikes(), 2,
      [&](int, Done& done) {
        const async_region region;
        while (!done) {
          const Library library;
          churn(1);
          const Walk walk = library.walk();
          if (walk == nullptr || call_cold(walk) != 2 * 28) ++wrong;
          ++walks;
        }
      },
      [&] {
        const Library again;
        const Walk walk = again.walk();
        if (walk == nullptr || walk(1) != 29) ++wrong;
      });
  CHECK(walks > 0);
  CHECK(wrong == 0);
}

TEST_CASE("an alternate stack for signals stays what it was, and nobody is parked on it") {
  std::atomic<unsigned> wrong{0};
  const auto alternate = [] {
    stack_t now{};
    ::sigaltstack(nullptr, &now);
    return now;
  };
  std::atomic<void*> before{nullptr};
  preempt_often(
      strikes(), 2,
      [&](int, Done& done) {
        const stack_t first = alternate();
        before = first.ss_sp;
        const async_region region;
        while (!done) {
          churn(1);
          const stack_t now = alternate();
          if (now.ss_sp != first.ss_sp || now.ss_size != first.ss_size) ++wrong;
          if ((now.ss_flags & SS_ONSTACK) != 0) ++wrong;
        }
      },
      [&] {
        // While one is parked in the middle of its signal.
        const stack_t now = alternate();
        if (before != nullptr && now.ss_sp != before) ++wrong;
        if ((now.ss_flags & SS_ONSTACK) != 0) ++wrong;
      });
  CHECK(wrong == 0);
}

TEST_CASE("an overflow is reported while others are parked by signal on the same thread") {
  if (kSanitized || !kSignals) return;
  const auto end = in_child([] {
    struct Down {
      [[gnu::noinline]] static int go(int depth) {
        volatile char frame[1000];
        frame[0] = static_cast<char>(depth);
        return depth < 0 ? 0 : go(depth + 1) + frame[0];
      }
    };
    runtime_options options = one_worker();
    options.slice = 100us;
    runtime rt(options);
    std::atomic<int> begun{0};
    for (int i = 0; i < 2; ++i) {
      rt.spawn({}, [&] {
          const async_region region;
          ++begun;
          for (;;) churn(1);
        }).detach();
    }
    while (begun < 2 || rt.stats().total.demotions_async < 4) std::this_thread::yield();
    rt.spawn({.name = "bottomless"}, [] { return Down::go(0); }).join();
  });
  INFO(end.text);
  CHECK(end.signal == SIGSEGV);
  CHECK(says(end.text, "'bottomless'"));
}

TEST_CASE("what a signal has parked goes on on its own thread, whoever steals or takes over") {
  runtime_options options = workers(2);
  options.slice = 200us;
  options.handoff_after = 1ms;
  runtime rt(options);
  std::atomic<unsigned> wrong{0};
  std::vector<join_handle<>> tasks;
  for (unsigned i = 0; i < 6; ++i) {
    // The workers run dry in turn, and steal what they may.
    tasks.push_back(rt.spawn({}, [&, i]() -> task<> {
      for (unsigned round = 0; round < 30 + 20 * i; ++round) {
        {
          const long own = thread_number();
          const async_region region;
          for (int k = 0; k < 100; ++k) churn(round);
          if (thread_number() != own) ++wrong;
          if (round % 16 == 0) {
            // The C library's code: no signal gets the worker back, so another thread does.
            const auto until = std::chrono::steady_clock::now() + 3ms;
            while (std::chrono::steady_clock::now() < until) {
            }
            churn(round);
            if (thread_number() != own) ++wrong;
          }
        }
        co_await yield();
      }
    }));
  }
  for (auto& task : tasks) task.join();
  CHECK(wrong == 0);
  if (kSignals && !kSanitized) CHECK(rt.stats().total.demotions_async > 0);
  check_books(rt);
}

#if defined(__x86_64__) && defined(RSEQ_SIG)

namespace {

/// Adds one to a counter in several steps, which the kernel has begin anew if they are interrupted.
/// False: it did.
[[gnu::section("paceline_async")]] [[gnu::noinline]] bool add_restartable(std::uint64_t& counter,
                                                                          struct rseq& area) {
  std::uint64_t aborted = 0;
  std::uint64_t value = 0;
  std::uint64_t turns = 2'000;
  asm volatile(
      R"(
      .pushsection __rseq_cs, "aw"
      .balign 32
      3: .long 0, 0
      .quad 1f, 2f - 1f, 4f
      .popsection
      leaq 3b(%%rip), %%rax
      movq %%rax, %[critical]
      1: movq %[counter], %[value]
      5: dec %[turns]
      jnz 5b
      addq $1, %[value]
      movq %[value], %[counter]
      2: jmp 6f
      .byte 0x0f, 0xb9, 0x3d
      .long 0x53053053
      4: movq $1, %[aborted]
      6: movq $0, %[critical]
      )"
      : [aborted] "+r"(aborted), [value] "+r"(value), [turns] "+r"(turns), [counter] "+m"(counter),
        [critical] "+m"(area.rseq_cs)
      :
      : "rax", "memory", "cc");
  return aborted == 0;
}

struct rseq& own_rseq() {
  return *reinterpret_cast<struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) +
                                         __rseq_offset);
}

}  // namespace

TEST_CASE("restartable sequences in a region begin anew when they are preempted") {
  static_assert(RSEQ_SIG == 0x53053053);
  if (__rseq_size == 0) {
    SUCCEED("the C library has none");
    return;
  }
  std::uint64_t counter = 0;  // one thread's, as each worker's would be
  std::atomic<std::uint64_t> added{0};
  std::atomic<std::uint64_t> restarted{0};
  preempt_often(
      strikes(), 3,
      [&](int, Done& done) {
        struct rseq& area = own_rseq();  // the stack stays on its thread
        const async_region region;
        while (!done) {
          while (!add_restartable(counter, area)) ++restarted;
          ++added;
        }
      },
      [&] {
        while (!add_restartable(counter, own_rseq())) {
        }
        ++added;
      });
  CHECK(counter == added);
  if (kSignals && !kSanitized) CHECK(restarted > 0);
}

#endif
