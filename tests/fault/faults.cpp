// SPDX-License-Identifier: BSL-1.0
#include "faults.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

// GCC cannot know that the two families below belong together.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace paceline_test::fault {

namespace {

constexpr std::size_t kKinds = 6;

/// One kind's plan. Relaxed: the numbers are read and written by whoever calls, in no order.
struct Plan {
  std::atomic<unsigned> calls{0};
  std::atomic<unsigned> fails_at{0};  // 0: never
  std::atomic<int> error{0};
  std::atomic<bool> for_good{false};
  std::atomic<unsigned> one_in{0};  // 0: not at random
  std::atomic<unsigned long> seed{0};
};
constinit Plan plans[kKinds];
constinit std::atomic<bool> delivered{false};
constinit std::atomic<long> live{0};

constinit std::atomic<bool> pretending{false};
std::vector<int>& pretended() {
  static auto& cpus = *new std::vector<int>;
  return cpus;
}

/// Counts a call. The error it must fail with, or 0.
int verdict(Call call) noexcept {
  Plan& plan = plans[static_cast<std::size_t>(call)];
  const unsigned number = plan.calls.fetch_add(1) + 1;
  if (const unsigned one_in = plan.one_in.load()) {
    std::uint64_t mixed = (plan.seed.load() + number) * 0x9E37'79B9'7F4A'7C15u;
    mixed = (mixed ^ (mixed >> 31)) * 0xBF58'476D'1CE4'E5B9u;
    if ((mixed >> 20) % one_in != 0) return 0;
    delivered = true;
    return plan.error.load();
  }
  const unsigned at = plan.fails_at.load();
  if (at == 0 || number < at || (number > at && !plan.for_good.load())) return 0;
  delivered = true;
  return plan.error.load();
}

void* counted(void* block) noexcept {
  if (block != nullptr) live.fetch_add(1);
  return block;
}

}  // namespace

void arm(Call call, unsigned k, int error, bool for_good) {
  disarm();
  Plan& plan = plans[static_cast<std::size_t>(call)];
  plan.error = error;
  plan.for_good = for_good;
  plan.calls = 0;
  delivered = false;
  plan.fails_at = k;
}

void arm_at_random(Call call, unsigned one_in, unsigned long seed, int error) {
  disarm();
  Plan& plan = plans[static_cast<std::size_t>(call)];
  plan.error = error;
  plan.seed = seed;
  plan.calls = 0;
  delivered = false;
  plan.one_in = one_in;
}

bool disarm() {
  for (Plan& plan : plans) {
    plan.fails_at = 0;
    plan.one_in = 0;
  }
  return delivered.exchange(false);
}

unsigned calls(Call call) { return plans[static_cast<std::size_t>(call)].calls.load(); }

long live_allocations() { return live.load(); }

void pretend_cpus(std::vector<int> cpus) {
  pretending = false;
  pretended() = std::move(cpus);
  pretending = !pretended().empty();
}

}  // namespace paceline_test::fault

using paceline_test::fault::Call;
namespace fault = paceline_test::fault;

// --- the linker's wrappers ----------------------------------------------------------------------
// With --wrap=f every use of f in this program's objects becomes __wrap_f, and __real_f is f.

extern "C" {

void* __real_malloc(std::size_t bytes);
void __real_free(void* block);
void* __real_mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_mprotect(void* at, std::size_t bytes, int protection);
int __real_madvise(void* at, std::size_t bytes, int advice);
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                          void* argument);
int __real_sched_setaffinity(pid_t pid, std::size_t bytes, const cpu_set_t* set);
int __real_sched_getaffinity(pid_t pid, std::size_t bytes, cpu_set_t* set);

void* __wrap_malloc(std::size_t bytes) {
  if (fault::verdict(Call::allocation) != 0) return nullptr;
  return fault::counted(__real_malloc(bytes));
}

void __wrap_free(void* block) {
  if (block != nullptr) fault::live.fetch_sub(1);
  __real_free(block);
}

void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (const int error = fault::verdict(Call::map)) {
    errno = error;
    return MAP_FAILED;
  }
  return __real_mmap(at, bytes, protection, flags, fd, offset);
}

// With 64-bit file offsets asked for, <sys/mman.h> calls mmap by its other name.
void* __wrap_mmap64(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  return __wrap_mmap(at, bytes, protection, flags, fd, offset);
}

int __wrap_mprotect(void* at, std::size_t bytes, int protection) {
  if (const int error = fault::verdict(Call::protect)) {
    errno = error;
    return -1;
  }
  return __real_mprotect(at, bytes, protection);
}

// As a system before Linux 6.13: guards are made by mprotect, which may fail.
int __wrap_madvise(void* at, std::size_t bytes, int advice) {
  constexpr int kGuardInstall = 102;
  if (advice != kGuardInstall) return __real_madvise(at, bytes, advice);
  errno = EINVAL;
  return -1;
}

int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                          void* argument) {
  if (const int error = fault::verdict(Call::thread)) return error;
  return __real_pthread_create(thread, attributes, body, argument);
}

int __wrap_sched_setaffinity(pid_t pid, std::size_t bytes, const cpu_set_t* set) {
  if (const int error = fault::verdict(Call::set_affinity)) {
    errno = error;
    return -1;
  }
  return __real_sched_setaffinity(pid, bytes, set);
}

int __wrap_sched_getaffinity(pid_t pid, std::size_t bytes, cpu_set_t* set) {
  if (const int error = fault::verdict(Call::get_affinity)) {
    errno = error;
    return -1;
  }
  if (!fault::pretending) return __real_sched_getaffinity(pid, bytes, set);
  CPU_ZERO_S(bytes, set);
  for (const int cpu : fault::pretended()) {
    // The kernel refuses a mask shorter than its own.
    if (static_cast<std::size_t>(cpu) >= bytes * 8) {
      errno = EINVAL;
      return -1;
    }
    CPU_SET_S(static_cast<std::size_t>(cpu), bytes, set);
  }
  return 0;
}

}  // extern "C"

// --- operator new -------------------------------------------------------------------------------
// Every form, because a sanitizer brings forms of its own that would not match ours.

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (fault::verdict(Call::allocation) != 0) return nullptr;
  if (alignment == 0) return fault::counted(__real_malloc(bytes == 0 ? 1 : bytes));
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  return fault::counted(std::aligned_alloc(alignment, rounded));
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment = 0) {
  void* block = allocate(bytes, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void release(void* block) noexcept {
  if (block != nullptr) fault::live.fetch_sub(1);
  __real_free(block);
}

}  // namespace

using Align = std::align_val_t;
using Size = std::size_t;

void* operator new(Size n) { return allocate_or_throw(n); }
void* operator new[](Size n) { return allocate_or_throw(n); }
void* operator new(Size n, Align a) { return allocate_or_throw(n, static_cast<Size>(a)); }
void* operator new[](Size n, Align a) { return allocate_or_throw(n, static_cast<Size>(a)); }
void* operator new(Size n, const std::nothrow_t&) noexcept { return allocate(n, 0); }
void* operator new[](Size n, const std::nothrow_t&) noexcept { return allocate(n, 0); }
void* operator new(Size n, Align a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<Size>(a));
}
void* operator new[](Size n, Align a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<Size>(a));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, Size) noexcept { release(block); }
void operator delete[](void* block, Size) noexcept { release(block); }
void operator delete(void* block, Align) noexcept { release(block); }
void operator delete[](void* block, Align) noexcept { release(block); }
void operator delete(void* block, Size, Align) noexcept { release(block); }
void operator delete[](void* block, Size, Align) noexcept { release(block); }
