// SPDX-License-Identifier: BSL-1.0
// Proves, one hazard after the other, that what a signal interrupts is unharmed: registers of every
// kind, errno, floating-point modes, exceptions in flight, the allocator, the unwinder, the vDSO,
// locks of the C library, forks, and the runtime's own inside. Each is a storm of preemptions.
// `./dev stress --hazards` runs those marked as starred until a million have been counted in each.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit/api/async_storm.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// Some microseconds within the section.
[[gnu::section("paceline_async")]] [[gnu::noinline]] std::uint64_t churn(std::uint64_t x) {
  for (int i = 0; i < 5000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));
  }
  return x;
}

std::uint64_t churn_elsewhere(std::uint64_t x) {
  for (int i = 0; i < 5000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

}  // namespace

// First of all: what a process asks the system about signals it asks once.
TEST_CASE("the first region of a process leaves errno as it was") {
  runtime rt(one_worker());
  CHECK(rt.spawn({}, [] {
            errno = 77;
            {
              const async_region first;
            }
            return errno;
          }).join() == 77);
}

#if defined(__x86_64__)

namespace {

struct alignas(64) Registers {
  unsigned char vector[32][64];
  std::uint64_t mask[8];
};

void fill(Registers& registers, unsigned seed) {
  auto* bytes = reinterpret_cast<unsigned char*>(&registers);
  for (std::size_t i = 0; i < sizeof registers; ++i) {
    bytes[i] = static_cast<unsigned char>(seed * 37 + i * 11 + (i >> 8));
  }
}

/// Loads every register from `in`, spins, stores every one to `out`.
[[gnu::section("paceline_async")]] [[gnu::noinline]] void hold_zmm(const Registers* in,
                                                                   Registers* out, long turns) {
  asm volatile(
      R"(
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        vmovdqu64 \r*64(%[in]), %%zmm\r
      .endr
      .irp r,1,2,3,4,5,6,7
        kmovq 2048+\r*8(%[in]), %%k\r
      .endr
      1: dec %[turns]
      jnz 1b
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        vmovdqu64 %%zmm\r, \r*64(%[out])
      .endr
      .irp r,1,2,3,4,5,6,7
        kmovq %%k\r, 2048+\r*8(%[out])
      .endr
      vzeroupper
      )"
      : [turns] "+r"(turns)
      : [in] "r"(in), [out] "r"(out)
      : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}
[[gnu::section("paceline_async")]] [[gnu::noinline]] void hold_ymm(const Registers* in,
                                                                   Registers* out, long turns) {
  asm volatile(
      R"(
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu \r*64(%[in]), %%ymm\r
      .endr
      1: dec %[turns]
      jnz 1b
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu %%ymm\r, \r*64(%[out])
      .endr
      vzeroupper
      )"
      : [turns] "+r"(turns)
      : [in] "r"(in), [out] "r"(out)
      : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}
/// SSE, the x87 stack, MXCSR and the x87 control word, general registers and the red zone.
[[gnu::section("paceline_async")]] [[gnu::noinline]] void hold_base(const Registers* in,
                                                                    Registers* out, long turns) {
  const unsigned mxcsr = 0x7f80;  // rounds towards zero
  const unsigned short control = 0x0f7f;
  asm volatile(
      R"(
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movdqu \r*64(%[in]), %%xmm\r
      .endr
      fninit
      fldcw %[control]
      .irp r,0,1,2,3
        fildll \r*8(%[in])
      .endr
      ldmxcsr %[mxcsr]
      mov $0x1111, %%r12
      mov $0x2222, %%r13
      1: dec %[turns]
      jnz 1b
      .irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movdqu %%xmm\r, \r*64(%[out])
      .endr
      stmxcsr 2048(%[out])
      fnstcw 2056(%[out])
      mov %%r12, 2064(%[out])
      mov %%r13, 2072(%[out])
      .irp r,3,2,1,0
        fistpll 2080+\r*8(%[out])
      .endr
      fninit
      )"
      : [turns] "+r"(turns)
      : [in] "r"(in), [out] "r"(out), [mxcsr] "m"(mxcsr), [control] "m"(control)
      : "memory", "cc", "r12", "r13", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
        "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

using Hold = void (*)(const Registers*, Registers*, long);

/// Three tasks, each with patterns of its own; the urgent one spoils what it can.
void hold_registers(Hold hold, unsigned vectors, unsigned width, unsigned first_mask) {
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> held{0};
  preempt_often(
      strikes(), 3,
      [&](int number, Done& done) {
        Registers in, out;
        const async_region region;
        for (unsigned seed = static_cast<unsigned>(number); !done; seed += 3) {
          fill(in, seed);
          std::memset(&out, 0, sizeof out);
          hold(&in, &out, 20'000);
          for (unsigned r = 0; r < vectors; ++r) {
            if (std::memcmp(in.vector[r], out.vector[r], width) != 0) ++wrong;
          }
          for (unsigned k = first_mask; k < 8; ++k) {
            if (in.mask[k] != out.mask[k]) ++wrong;
          }
          ++held;
        }
      },
      [&] {
        if (hold == &hold_base) return;
        Registers in, out;
        fill(in, 0xff);
        hold(&in, &out, 1);
      });
  CHECK(held > 0);
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("AVX-512 registers and masks survive preemption at any instruction", "[starred]") {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) {
    SUCCEED("this processor has none");
    return;
  }
  hold_registers(&hold_zmm, 32, 64, 1);
}

TEST_CASE("AVX registers survive preemption at any instruction", "[starred]") {
  if (!__builtin_cpu_supports("avx2")) {
    SUCCEED("this processor has none");
    return;
  }
  hold_registers(&hold_ymm, 16, 32, 8);
}

TEST_CASE("SSE, x87 and general registers and both control words survive preemption", "[starred]") {
  std::atomic<unsigned> wrong{0};
  preempt_often(strikes(), 3, [&](int number, Done& done) {
    Registers in, out;
    const async_region region;
    const unsigned mxcsr_before = __builtin_ia32_stmxcsr();
    for (unsigned seed = static_cast<unsigned>(number); !done; seed += 3) {
      fill(in, seed);
      std::int64_t small[4] = {1, -2, seed, -1'000'000'007};  // what the x87 stack holds exactly
      std::memcpy(in.vector[0], small, sizeof small);
      std::memset(&out, 0, sizeof out);
      hold_base(&in, &out, 20'000);
      __builtin_ia32_ldmxcsr(mxcsr_before);
      // Behind the vectors: both control words, two general registers, the x87 stack.
      const auto* tail = reinterpret_cast<const unsigned char*>(&out) + 2048;
      unsigned mxcsr = 0;
      unsigned short control = 0;
      std::uint64_t general[2] = {0, 0};
      std::int64_t back[4];
      std::memcpy(&mxcsr, tail, sizeof mxcsr);
      std::memcpy(&control, tail + 8, sizeof control);
      std::memcpy(general, tail + 16, sizeof general);
      std::memcpy(back, tail + 32, sizeof back);
      if ((mxcsr & ~0x3fu) != 0x7f80 || control != 0x0f7f) ++wrong;
      if (general[0] != 0x1111 || general[1] != 0x2222) ++wrong;
      for (unsigned r = 0; r < 16; ++r) {
        if (std::memcmp(in.vector[r], out.vector[r], 16) != 0) ++wrong;
      }
      if (std::memcmp(back, small, sizeof back) != 0) ++wrong;
    }
  });
  CHECK(wrong == 0);
}

#endif

TEST_CASE("errno and rounding are a task's own across preemptions by signal") {
  std::atomic<unsigned> wrong{0};
  preempt_often(
      strikes(), 2,
      [&](int number, Done& done) {
        const int mode = number == 0 ? FE_UPWARD : FE_DOWNWARD;
        std::fesetround(mode);
        const async_region region;
        std::uint64_t x = 1;
        while (!done) {
          errno = 1000 + number;
          x = churn(x);
          if (errno != 1000 + number) ++wrong;
          if (std::fegetround() != mode) ++wrong;
        }
        std::fesetround(FE_TONEAREST);
      },
      [&] {
        if (std::fegetround() != FE_TONEAREST) ++wrong;
        errno = 7;
      });
  CHECK(wrong == 0);
}

namespace {

struct ChurnsWhenDestroyed {
  explicit ChurnsWhenDestroyed(std::atomic<unsigned>& its_wrong) : wrong(its_wrong) {}
  ChurnsWhenDestroyed(const ChurnsWhenDestroyed&) = delete;
  ChurnsWhenDestroyed& operator=(const ChurnsWhenDestroyed&) = delete;
  ~ChurnsWhenDestroyed() {
    const int before = std::uncaught_exceptions();
    churn(1);
    if (std::uncaught_exceptions() != before || before != 1) ++wrong;
  }
  std::atomic<unsigned>& wrong;
};

}  // namespace

TEST_CASE("exceptions thrown, caught and rethrown in a region survive its preemptions",
          "[starred]") {
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> caught{0};
  preempt_often(
      strikes(), 2,
      [&](int number, Done& done) {
        const async_region region;
        while (!done) {
          try {
            try {
              const ChurnsWhenDestroyed during_unwinding(wrong);
              throw number;
            } catch (int which) {
              churn(1);
              if (which != number || std::uncaught_exceptions() != 0) ++wrong;
              throw;
            }
          } catch (int which) {
            churn(1);
            if (which != number) ++wrong;
          }
          if (std::current_exception() != nullptr) ++wrong;
          ++caught;
        }
      },
      [&] {
        if (std::current_exception() != nullptr || std::uncaught_exceptions() != 0) ++wrong;
        try {
          throw std::runtime_error("between");
        } catch (const std::exception& error) {
          if (std::string(error.what()) != "between") ++wrong;
        }
      });
  CHECK(caught > 0);
  CHECK(wrong == 0);
}

TEST_CASE("the allocator is never entered twice: regions and what preempts them allocate",
          "[starred]") {
  std::atomic<unsigned> wrong{0};
  preempt_often(
      strikes(), 3,
      [&](int number, Done& done) {
        const async_region region;
        std::vector<std::unique_ptr<std::vector<unsigned char>>> blocks(64);
        for (std::size_t i = 0; !done; ++i) {
          auto& block = blocks[i % blocks.size()];
          if (block != nullptr) {
            for (const unsigned char byte : *block) {
              if (byte != static_cast<unsigned char>(number)) ++wrong;
            }
          }
          block = std::make_unique<std::vector<unsigned char>>(16 + (i * 97) % 3000,
                                                               static_cast<unsigned char>(number));
          churn(i);
        }
      },
      [] {
        auto big = std::make_unique<std::vector<int>>(500, 1);
        std::string text(200, 'x');
        CHECK(big->size() + text.size() == 700);
      });
  CHECK(wrong == 0);
}

TEST_CASE("stdio, the clock and other code of the C library may be called from regions") {
  std::FILE* sink = std::fopen("/dev/null", "w");
  REQUIRE(sink != nullptr);
  preempt_often(
      strikes(), 2,
      [&](int number, Done& done) {
        const async_region region;
        auto last = std::chrono::steady_clock::now();
        unsigned back = 0;
        while (!done) {
          std::fprintf(sink, "%d %f\n", number, 1.5);  // takes the FILE's recursive lock
          const auto now = std::chrono::steady_clock::now();
          if (now < last) ++back;
          last = now;
          churn(1);
        }
        CHECK(back == 0);
      },
      [&] { std::fprintf(sink, "between\n"); });
  std::fclose(sink);
}

TEST_CASE("tasks spawn, wake, yield on their stacks and are stolen in a storm of signals",
          "[starred]") {
  runtime_options options = workers(2);
  options.slice = std::chrono::microseconds(100);
  runtime rt(options);
  const Tally tally(rt);
  std::atomic<bool> enough{false};
  std::atomic<std::uint64_t> children{0};
  std::atomic<std::uint64_t> spawned{0};
  std::vector<join_handle<>> tasks;
  const std::uint64_t rounds = strikes() / 4;
  for (int i = 0; i < 6; ++i) {
    tasks.push_back(rt.spawn({.qos = i % 2 == 0 ? qos::utility : qos::standard}, [&] {
      const async_region region;
      for (std::uint64_t k = 0; k < rounds || !enough; ++k) {
        if (k % 256 == 0 && tally.reached()) enough = true;
        churn(k);
        ++spawned;
        spawn({.qos = qos::user_interactive}, [&]() -> task<> {
          co_await yield();
          ++children;
        }).detach();
        if (k % 16 == 0) await_here(yield());
      }
    }));
  }
  for (auto& task : tasks) task.join();
  rt.wait_idle();
  CHECK(children == spawned);
  tally.report();
  check_books(rt);
}

TEST_CASE("forks in regions leave parent and child whole", "[starred]") {
  if (!kSignals) {
    SUCCEED("ThreadSanitizer ends a child that forked with threads about");
    return;
  }
  // Of them it takes ten thousand.
  const std::uint64_t forks = std::max(strikes() / 20 + 1, least_preemptions() / 100);
  std::atomic<std::uint64_t> good{0};
  std::atomic<bool> forked{false};
  runtime rt(one_worker());
  {
    Storm storm(rt);
    auto hog = rt.spawn({.qos = qos::utility}, [&] {
      for (std::uint64_t i = 0; i < forks; ++i) {
        pid_t child = -1;
        {
          const async_region region;
          churn(i);
          child = ::fork();
          churn(i);
        }  // also in the child, to which no signal can come
        if (child == 0) ::_exit(42);
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 42) ++good;
      }
      forked = true;
    });
    while (!forked) storm.strike();
    hog.join();
  }
  CHECK(good == forks);
  if (least_preemptions() != 0) std::printf("%llu forks\n", static_cast<unsigned long long>(forks));
  CHECK(churn_elsewhere(1) == churn(1));
  check_books(rt);
}
