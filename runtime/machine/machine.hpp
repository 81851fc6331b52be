// SPDX-License-Identifier: BSL-1.0
// The machine seam (decision D11): everything the runtime asks of the operating system.
// Flow rooms: start, park, time. Implemented by linux.cpp (darwin.cpp, the simulated machine),
// chosen when linking. It must never call back into the runtime except through what it was given.
// Proof: tests/unit/machine/, tests/fault/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <paceline/detail/safepoint.hpp>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "base/time.hpp"
#include "machine/thread_class.hpp"

namespace paceline::core {
class FrameHeap;
class ExecutorRuntime;
struct Region;
struct Slot;
}  // namespace paceline::core

namespace paceline::core::machine {

// --- time ---

/// Steady clock, nanoseconds. Any thread, signal-safe.
Nanos now() noexcept;

// --- parking ---

/// Sleeps while `word` holds `expected`, until woken or until `deadline` (kForever: none). May
/// return early for no reason. Blocks the thread.
void park(Atomic<std::uint32_t>& word, std::uint32_t expected, Nanos deadline) noexcept;
/// Wakes one thread parked on `word`. Signal-safe; keeps errno. The word may be gone already: then
/// nobody, or somebody who tolerates it, is woken.
void unpark(Atomic<std::uint32_t>& word) noexcept;
/// Wakes every thread parked on `word`; otherwise as unpark.
void unpark_all(Atomic<std::uint32_t>& word) noexcept;
/// One step of a short busy wait.
void relax() noexcept;
/// Gives the rest of the time slice away.
void yield_thread() noexcept;

// --- threads ---

/// What belongs to the calling thread. The one thread_local of the runtime.
struct ThisThread {
  ExecutorRuntime* runtime = nullptr;  // of a worker, else null
  FrameHeap* heap = nullptr;           // of a worker, else null
  unsigned held_ranks = 0;             // locks held, for the rank check

  // Of a thread that drives a worker: is it out in user code (0) or inside (1), the worker's hold
  // word as this thread left it, and where whoever takes the worker over says where the thread
  // finds itself.
  Atomic<std::uint32_t> inside{1};
  void* stack_bottom = nullptr;  // of the fiber that runs here; null: the thread's own stack
  void* exceptions = nullptr;    // where the C++ runtime keeps this thread's; null: not asked yet
  Slot* task = nullptr;          // that runs here now
  std::uint32_t hold = 0;
  Atomic<ExecutorRuntime*> mail{nullptr};
  Region* region = nullptr;  // of a thread that the runtime started; see exec/region.hpp

  // Where this thread last placed a task from outside, and for how many that answer was good and
  // for how many more it is.
  std::uint32_t placed_runtime = 0;
  std::uint32_t placed_seat = 0;
  std::uint32_t placement_run = 0;
  std::uint32_t placements_left = 0;
  std::uint32_t placed_class = 0;
  std::uint32_t place_turn = 0;
};
/// Never inlined: a compiler may keep a thread-local address across a suspension that changes the
/// thread (decision D15).
[[gnu::noinline]] ThisThread& this_thread() noexcept;
/// The same record, for code that is never inlined into a coroutine and keeps no address of it
/// across a call that may switch stacks: a look without a call.
inline ThisThread& own_record() noexcept;
#ifdef PACELINE_SIMULATED_THREADS
// Tests: many threads share one of the system's.
inline ThisThread& own_record() noexcept { return this_thread(); }
#else
extern constinit thread_local ThisThread this_thread_record [[gnu::tls_model("initial-exec")]];
inline ThisThread& own_record() noexcept { return this_thread_record; }
#endif

/// Safepoints of the calling thread look at `word` from now on; null: at none.
void take_requests_from(const Atomic<std::uint32_t>* word) noexcept;

/// The same while guards (paceline::nopreempt) may live.
void change_requests_to(const Atomic<std::uint32_t>* word) noexcept;

/// Makes every thread of this process pass a full memory barrier before it returns, so that the
/// others need none. False: the system cannot.
bool barrier_everywhere() noexcept;
/// Before the first barrier_everywhere.
void prepare_barriers() noexcept;

/// What a thread has done lately.
struct ThreadState {
  Nanos cpu_time = 0;     // spent so far
  bool runnable = false;  // it runs, or would if it were given a processor
};
/// The system's number of the calling thread.
int this_thread_number() noexcept;
/// Of another thread of this process; nullopt: gone, or not to be known. Takes some microseconds.
std::optional<ThreadState> look_at_thread(int number) noexcept;

/// Opaque; 0 is none.
using ThreadHandle = std::uintptr_t;
/// Starts `body(argument)` on a new thread with all signals blocked that the process may handle
/// elsewhere. Throws std::system_error.
ThreadHandle start_thread(void (*body)(void*) noexcept, void* argument);
void join_thread(ThreadHandle thread) noexcept;
void detach_thread(ThreadHandle thread) noexcept;
bool is_this_thread(ThreadHandle thread) noexcept;
/// Names the calling thread as far as the system allows.
void name_this_thread(std::string_view name) noexcept;
/// Asks for timers without slack on the calling thread.
void want_precise_timers() noexcept;
/// Asks for the processor soon after a wake-up, on the calling thread, which runs for microseconds
/// at a time. A hint; nothing where the system has none.
void want_prompt_wakeups() noexcept;
/// Binds the calling thread to one CPU. Returns 0 or an errno.
int pin_this_thread(int cpu) noexcept;
/// Asks the system to treat the calling thread as `wanted` says. Returns 0 or an errno; what could
/// be had is kept.
int set_thread_class(const ThreadClass& wanted) noexcept;

// --- what there is ---

/// CPU numbers this process may use, ascending; never empty. From the affinity mask.
std::vector<int> usable_cpus();
/// CPUs' worth of time the cgroup grants, if it is limited.
std::optional<double> cpu_quota();
/// The CPU the caller runs on at this moment; -1: not known. Signal-safe.
int current_cpu() noexcept;
std::size_t page_size() noexcept;

// --- memory ---

/// Zeroed memory, aligned to a power of two >= the page size; null if there is none.
void* map(std::size_t bytes, std::size_t alignment) noexcept;
void unmap(void* memory, std::size_t bytes) noexcept;
/// Gives physical memory back; the range reads as zero afterwards.
void discard(void* memory, std::size_t bytes) noexcept;
/// Asks for huge pages where the system has them.
void prefer_huge_pages(void* memory, std::size_t bytes) noexcept;
/// Makes a range trap. Where the system can (Linux 6.13) that costs no mapping. False if it
/// refuses.
bool guard(void* memory, std::size_t bytes) noexcept;

// --- fork ---

/// The lock is held across every fork from now on, so that the child finds what it guards whole and
/// free. For the few process-wide locks, in the order in which they nest. Start-up only.
void keep_across_fork(Mutex& lock) noexcept;

/// Changes in the child of every fork. A runtime remembers it and refuses calls after a change.
/// Counts from the first watch_forks() on, which returns the same.
extern constinit Atomic<std::uint64_t> forks;
inline std::uint64_t fork_generation() noexcept { return forks.load(std::memory_order_relaxed); }
std::uint64_t watch_forks() noexcept;

}  // namespace paceline::core::machine
