// SPDX-License-Identifier: BSL-1.0
// Preemptions by the million: what must survive each of them is checked at each of them, and
// afterwards nothing is lost and nothing is left.
//
// Hogs ask for their own preemption, so that its rate is that of the switch and not of the slice.
// Each round of a hog keeps something over its safepoint: errno, the rounding mode, memory of the
// heap, an exception in flight, a pattern at some depth of its stack. Others wait on their stacks
// for tasks that end on another worker just then, and wake tasks that are preempted. In the second
// part there are only those that wait: what they wait for ends while their stack is being left. In
// the third hogs without safepoints compute in regions, and a task of the other worker has each of
// them preempted by signal, again and again. In the fourth tasks block their threads while others
// wait for the core.
//
//   preempt_stress [--safepoint N] [--waits N] [--async N] [--handoff N]     at least so many of
//   each
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "exec/async.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "machine/signals.hpp"

namespace {

namespace core = paceline::core;
using namespace std::chrono_literals;
using Count = std::uint64_t;

constexpr std::size_t kWorkers = 2;
constexpr unsigned kHogs = 8;
constexpr unsigned kWaiters = 4;

std::atomic<bool> stop{false};
std::atomic<Count> rounds{0};

void require(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  std::fflush(stdout);
  std::abort();
}

/// What a monitor does after a slice. Not inlined: the task may have changed its thread.
[[gnu::noinline]] void ask_for_preemption() {
  if (core::ExecutorRuntime* runtime = core::machine::this_thread().runtime) {
    runtime->port().ask(core::Ask::slice, core::machine::now());
  }
}

void give_way() {
  ask_for_preemption();
  paceline::preempt_point();
}

// --- what is kept over a safepoint ---

void keep_errno(Count round) {
  errno = static_cast<int>(round % 100) + 1;
  give_way();
  require(errno == static_cast<int>(round % 100) + 1, "errno is kept");
}

void keep_rounding(Count round) {
  constexpr int kModes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  std::fesetround(kModes[round % 4]);
  give_way();
  require(std::fegetround() == kModes[round % 4], "the rounding mode is kept");
  std::fesetround(FE_TONEAREST);
}

void keep_memory(Count round) {
  const std::size_t bytes = 16 + round % 500;
  const std::unique_ptr<unsigned char[]> block(new unsigned char[bytes]);
  const auto mark = static_cast<unsigned char>(round);
  std::memset(block.get(), mark, bytes);
  give_way();
  for (std::size_t i = 0; i < bytes; ++i) require(block[i] == mark, "memory is kept");
}

struct GivesWayAtEnd {
  ~GivesWayAtEnd() {
    const int before = std::uncaught_exceptions();
    give_way();
    require(std::uncaught_exceptions() == before, "the number of exceptions in flight is kept");
  }
};

void keep_exception(Count round) {
  try {
    const GivesWayAtEnd leaves;
    throw round;
  } catch (const Count& caught) {
    give_way();
    require(caught == round, "the exception being handled is kept");
    try {
      throw;
    } catch (const Count& again) {
      require(again == round, "the exception being handled can be rethrown");
    }
  }
}

[[gnu::noinline]] Count keep_stack(Count round, unsigned depth) {
  volatile Count here = round ^ depth;
  if (depth == 0) {
    give_way();
  } else {
    require(keep_stack(round, depth - 1) == (round ^ (depth - 1)), "the stack is kept");
  }
  return here;
}

paceline::task<> hog(Count number) {
  Count mine = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    const Count round = number + ++mine;
    const auto thread = std::this_thread::get_id();
    switch (round % 16) {
      case 0: keep_rounding(round); break;
      case 1: keep_memory(round); break;
      case 2: keep_stack(round, static_cast<unsigned>(round / 16 % 20)); break;
      case 3:
        if (round / 16 % 8 == 0) keep_exception(round);
        break;
      default: keep_errno(round);
    }
    require(std::this_thread::get_id() == thread, "a stack stays on its thread");
  }
  rounds.fetch_add(mine);
  co_return;
}

/// Ends on whichever worker is free, as the waiter is being parked.
paceline::task<Count> echo(Count value) { co_return value; }

paceline::task<> waiter() {
  Count mine = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    ++mine;
    require(paceline::await_here(paceline::spawn({}, [mine] { return echo(mine); })) == mine,
            "a wait on the stack gives what it waited for");
    give_way();
    if (mine % 64 == 0) co_await paceline::yield();
  }
  rounds.fetch_add(mine);
}

// --- by signal ---

struct Ground {
  Count whole;
  double real;
};

constexpr Count kFactor = 6364136223846793005u;
constexpr Count kTerm = 1442695040888963407u;
constexpr int kTurns = 200'000;
constexpr int kPause = 8'000;

/// Numbers of both kinds, held in registers; each preemption comes here.
[[gnu::section("paceline_async")]] [[gnu::noinline]] Ground grind(Ground x, int turns) {
  for (int i = 0; i < turns; ++i) {
    x.whole = x.whole * kFactor + kTerm;
    x.real = x.real * 0.5 + 1.0;
    asm volatile("" : "+r"(x.whole), "+x"(x.real));
  }
  return x;
}

paceline::task<> grinder(Count number) {
  Ground all{0, 2.0};  // what kTurns make of 0; the real number stays what it is
  for (int i = 0; i < kTurns; ++i) all.whole = all.whole * kFactor + kTerm;
  Count power = 1;
  for (int i = 0; i < kTurns; ++i) power *= kFactor;
  Count mine = 0;
  Ground x{number, 2.0};
  while (!stop.load(std::memory_order_relaxed)) {
    const Count before = x.whole;
    errno = static_cast<int>(before % 100) + 1;
    {
      const paceline::async_region here;
      x = grind(x, kTurns);
    }
    require(errno == static_cast<int>(before % 100) + 1, "errno is kept over signals");
    require(x.whole == before * power + all.whole, "general registers are kept over signals");
    require(x.real == 2.0, "vector registers are kept over signals");
    ++mine;
  }
  rounds.fetch_add(mine);
  co_return;
}

/// Rung by one task, heard by another one.
struct Bell {
  std::atomic<Count> rung{0};
  std::atomic<Count> heard{0};
  std::atomic<bool> armed{false};
  paceline::waker listener;
};

paceline::task<> listen(Bell& bell) {
  while (!stop.load()) {
    co_await paceline::suspend_until(
        [&bell]() noexcept { return bell.rung.load() != bell.heard.load() || stop.load(); },
        [&bell](paceline::waker waker) {
          if (bell.armed) return;
          bell.listener = waker;
          bell.armed = true;
        });
    bell.heard.store(bell.rung.load());
  }
}

paceline::task<> ring(Bell& bell) {
  while (!bell.armed && !stop) co_await paceline::yield();
  while (!stop.load(std::memory_order_relaxed)) {
    const Count now = bell.rung.fetch_add(1) + 1;
    bell.listener.wake();
    for (Count looks = 1; bell.heard.load() != now && !stop.load(); ++looks) {
      paceline::preempt_point();
      if (looks % 1'000 == 0) std::this_thread::yield();  // there may be one processor for all
    }
    // What is urgent all the time has to let others have their turns.
    const Ground pause = grind({now, 2.0}, kPause);
    require(pause.real == 2.0, "vector registers are kept");
  }
  bell.listener.wake();
}

paceline::task<> blocker(Count number) {
  Count mine = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    volatile Count kept = number + ++mine;
    const auto thread = std::this_thread::get_id();
    paceline::blocking([] { std::this_thread::sleep_for(100us); });
    require(kept == number + mine, "the stack is kept");
    require(std::this_thread::get_id() == thread, "a blocking call returns on its thread");
    if (mine % 4 == 0) keep_stack(mine, 5);  // preempted on the thread that lost its worker
    co_await paceline::yield();
  }
  rounds.fetch_add(mine);
}

paceline::task<> yielder() {
  Count mine = 0;
  for (; !stop.load(std::memory_order_relaxed); ++mine) co_await paceline::yield();
  rounds.fetch_add(mine);
}

// --- running it ---

/// Resident memory, in KiB.
long resident() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * 4;
}

template <class Start, class Reached>
void run(const char* what, Count wanted, Start&& start, Reached&& reached) {
  if (wanted == 0) return;
  stop = false;
  rounds = 0;
  paceline::runtime_options options;
  options.workers = kWorkers;
  options.stack_size = 64 * 1024;
  options.slice = 100us;
  paceline::runtime rt(options);
  const auto began = std::chrono::steady_clock::now();
  std::vector<paceline::join_handle<>> tasks = start(rt);
  Count done = 0;
  long warm = 0;
  auto last = began;
  for (Count before = 0; (done = reached(rt.stats())) < wanted; before = done) {
    const auto now = std::chrono::steady_clock::now();
    if (done != before) last = now;
    require(now - last < 60s, "something is preempted each minute");
    if (warm == 0 && done >= wanted / 10) warm = resident();
    std::this_thread::sleep_for(5ms);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const long grown = warm == 0 ? 0 : resident() - warm;
  stop = true;
  const std::size_t started = tasks.size();
  for (auto& task : tasks) task.join();
  rt.wait_idle();
  const auto stats = rt.stats();
  std::printf(
      "%s: %llu in %.1f s, %.0f a second; rounds %llu, stack waits %llu, tasks %llu, weak at most "
      "%llu, refused %llu, hand-offs %llu (refused %llu), spare threads %llu, grown by %ld KiB\n",
      what, static_cast<unsigned long long>(done), took.count(),
      static_cast<double>(done) / took.count(), static_cast<unsigned long long>(rounds.load()),
      static_cast<unsigned long long>(stats.total.stack_waits),
      static_cast<unsigned long long>(stats.total.completed),
      static_cast<unsigned long long>(stats.total.weak_peak),
      static_cast<unsigned long long>(stats.total.refused_cap + stats.total.refused_memory),
      static_cast<unsigned long long>(stats.handoffs),
      static_cast<unsigned long long>(stats.handoffs_refused),
      static_cast<unsigned long long>(stats.spare_threads), grown);
  require(stats.live == 0 && stats.total.spawned == stats.total.completed, "no task is lost");
  require(stats.total.completed >= started, "every task is counted");
  require(stats.total.weak_live == 0, "no executor stays parked");
  require(stats.spare_threads <= 64, "spare threads have a limit");
  require(grown < 64 * 1024, "memory does not grow with the number of preemptions");
}

Count number(const char* text) {
  Count value = 0;
  const char* const last = text + std::strlen(text);
  const auto [end, error] = std::from_chars(text, last, value);
  if (error != std::errc() || end != last) {
    std::fprintf(stderr, "preempt_stress: '%s' is no number\n", text);
    std::exit(2);
  }
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  Count safepoints = 100'000;
  Count waits = 10'000;
  Count signals = 10'000;
  Count handoffs = 500;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view option = argv[i];
    Count* const count = option == "--safepoint" ? &safepoints
                         : option == "--waits"   ? &waits
                         : option == "--async"   ? &signals
                         : option == "--handoff" ? &handoffs
                                                 : nullptr;
    if (i + 1 == argc || count == nullptr) {
      std::fprintf(stderr,
                   "usage: preempt_stress [--safepoint N] [--waits N] [--async N] [--handoff N]\n");
      return 2;
    }
    *count = number(argv[i + 1]);
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  run(
      "safepoint preemptions", safepoints,
      [](paceline::runtime& rt) {
        std::vector<paceline::join_handle<>> tasks;
        for (Count i = 0; i < kHogs; ++i) {
          tasks.push_back(rt.spawn({}, [i] { return hog(i * 1'000); }));
        }
        for (unsigned i = 0; i < kWaiters; ++i) tasks.push_back(rt.spawn({}, &waiter));
        return tasks;
      },
      [](const auto& stats) { return stats.total.demotions_safepoint; });
  run(
      "waits on the stack", waits,
      [](paceline::runtime& rt) {
        std::vector<paceline::join_handle<>> tasks;
        for (unsigned i = 0; i < 2 * kWaiters; ++i) tasks.push_back(rt.spawn({}, &waiter));
        return tasks;
      },
      [](const auto& stats) { return stats.total.stack_waits; });
  if (!core::machine::signals_usable() || core::choose_async_signal({}) == 0) {
    std::printf("by signal: not here, where regions are safepoints\n");
    signals = 0;
  }
  Bell bell;
  run(
      "by signal", signals,
      [&bell](paceline::runtime& rt) {
        std::vector<paceline::join_handle<>> tasks;
        tasks.push_back(
            rt.spawn({.qos = paceline::qos::urgent, .core = 0}, [&bell] { return listen(bell); }));
        for (Count i = 0; i < kHogs / 2; ++i) {
          tasks.push_back(rt.spawn({.qos = paceline::qos::utility, .core = 0},
                                   [i] { return grinder(i * 1'000); }));
        }
        tasks.push_back(
            rt.spawn({.qos = paceline::qos::utility, .core = 1}, [&bell] { return ring(bell); }));
        return tasks;
      },
      [](const auto& stats) { return stats.total.demotions_async; });
  run(
      "hand-offs", handoffs,
      [](paceline::runtime& rt) {
        std::vector<paceline::join_handle<>> tasks;
        for (Count i = 0; i < 2 * kWorkers; ++i) {
          tasks.push_back(rt.spawn({}, [i] { return blocker(i * 1'000); }));
          tasks.push_back(rt.spawn({}, &yielder));
        }
        return tasks;
      },
      [](const auto& stats) { return stats.handoffs; });
  std::printf("nothing lost\n");
  return 0;
}
