// SPDX-License-Identifier: BSL-1.0
// Replaces functions of the C and C++ libraries by ones that keep a list for each thread and call
// the original. std::mutex and its like end in these functions. Locks with a deadline are not seen.
#include "machine/lock_detector.hpp"

#include <algorithm>

#include <dlfcn.h>
#include <pthread.h>

#include "base/assert.hpp"
#include "base/atomic.hpp"
#include "machine/machine.hpp"

namespace paceline::core::machine {

namespace {

/// What this thread holds in the name of tasks, in the order of taking. A lock that a task keeps
/// across a suspension, and releases on another thread, stays until it falls out at the front.
struct HeldList {
  static constexpr unsigned kMost = 32;
  HeldLock locks[kMost];
  unsigned count = 0;
};
constinit thread_local HeldList held [[gnu::tls_model("initial-exec")]];

void took(const void* object, const char* kind, void* caller) noexcept {
  const Slot* task = own_record().task;
  if (task == nullptr) return;
  if (held.count == HeldList::kMost) {
    std::copy(held.locks + 1, held.locks + held.count, held.locks);
    --held.count;
  }
  held.locks[held.count] = {task, object, kind, reinterpret_cast<std::uintptr_t>(caller)};
  ++held.count;
}

void released(const void* object) noexcept {
  for (unsigned i = held.count; i-- > 0;) {
    if (held.locks[i].object != object) continue;
    std::copy(held.locks + i + 1, held.locks + held.count, held.locks + i);
    --held.count;
    return;
  }
}

/// The function that this one replaces. No static variable: that would need one of the functions.
template <class F>
F* original(Atomic<F*>& kept, const char* name) noexcept {
  F* found = kept.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
    check(found != nullptr, "the lock detector replaces functions of shared libraries");
    kept.store(found, std::memory_order_relaxed);
  }
  return found;
}

using OfMutex = int(pthread_mutex_t*);
using OfShared = int(pthread_rwlock_t*);
using Once = int(pthread_once_t*, void (*)());
using Acquire = int(std::int64_t*);
using Release = void(std::int64_t*);

constinit Atomic<OfMutex*> mutex_lock{nullptr};
constinit Atomic<OfMutex*> mutex_trylock{nullptr};
constinit Atomic<OfMutex*> mutex_unlock{nullptr};
constinit Atomic<OfShared*> shared_read{nullptr};
constinit Atomic<OfShared*> shared_write{nullptr};
constinit Atomic<OfShared*> shared_try_read{nullptr};
constinit Atomic<OfShared*> shared_try_write{nullptr};
constinit Atomic<OfShared*> shared_unlock{nullptr};
constinit Atomic<Once*> once{nullptr};
constinit Atomic<Acquire*> guard_acquire{nullptr};
constinit Atomic<Release*> guard_release{nullptr};
constinit Atomic<Release*> guard_abort{nullptr};

constexpr const char* kMutex = "a mutex";
constexpr const char* kShared = "a reader-writer lock";

/// What a call returned that takes a lock, or does not.
int noted(int error, const void* lock, const char* kind, void* caller) noexcept {
  if (error == 0) took(lock, kind, caller);
  return error;
}

}  // namespace

unsigned held_locks(const Slot& task, HeldLock* found, unsigned most) noexcept {
  unsigned count = 0;
  for (unsigned i = held.count; i-- > 0 && count < most;) {
    if (held.locks[i].task == &task) found[count++] = held.locks[i];
  }
  return count;
}

}  // namespace paceline::core::machine

// --- the functions that are replaced ---

#pragma GCC visibility push(default)
extern "C" {
// Not inlined, as with LTO they would be: their return addresses say who took the lock.

namespace machine = paceline::core::machine;

[[gnu::noinline]] int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  const int error = machine::original(machine::mutex_lock, "pthread_mutex_lock")(mutex);
  return machine::noted(error, mutex, machine::kMutex, __builtin_return_address(0));
}
[[gnu::noinline]] int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  const int error = machine::original(machine::mutex_trylock, "pthread_mutex_trylock")(mutex);
  return machine::noted(error, mutex, machine::kMutex, __builtin_return_address(0));
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  machine::released(mutex);  // before: then somebody else may destroy it
  return machine::original(machine::mutex_unlock, "pthread_mutex_unlock")(mutex);
}

[[gnu::noinline]] int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  const int error = machine::original(machine::shared_read, "pthread_rwlock_rdlock")(lock);
  return machine::noted(error, lock, machine::kShared, __builtin_return_address(0));
}
[[gnu::noinline]] int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  const int error = machine::original(machine::shared_write, "pthread_rwlock_wrlock")(lock);
  return machine::noted(error, lock, machine::kShared, __builtin_return_address(0));
}
[[gnu::noinline]] int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) noexcept {
  const int error = machine::original(machine::shared_try_read, "pthread_rwlock_tryrdlock")(lock);
  return machine::noted(error, lock, machine::kShared, __builtin_return_address(0));
}
[[gnu::noinline]] int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) noexcept {
  const int error = machine::original(machine::shared_try_write, "pthread_rwlock_trywrlock")(lock);
  return machine::noted(error, lock, machine::kShared, __builtin_return_address(0));
}
int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  machine::released(lock);
  return machine::original(machine::shared_unlock, "pthread_rwlock_unlock")(lock);
}

// std::call_once throws through here what its function throws.
[[gnu::noinline]] int pthread_once(pthread_once_t* control, void (*routine)()) {
  struct Open {
    const void* control;
    ~Open() { machine::released(control); }
  } const open{control};
  machine::took(control, "an initialiser of std::call_once", __builtin_return_address(0));
  return machine::original(machine::once, "pthread_once")(control, routine);
}

// The names are the C++ ABI's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
[[gnu::noinline]] int __cxa_guard_acquire(std::int64_t* guard) {
  const int ours = machine::original(machine::guard_acquire, "__cxa_guard_acquire")(guard);
  if (ours != 0)
    machine::took(guard, "a static variable's initialiser", __builtin_return_address(0));
  return ours;
}
void __cxa_guard_release(std::int64_t* guard) noexcept {
  machine::released(guard);
  machine::original(machine::guard_release, "__cxa_guard_release")(guard);
}
void __cxa_guard_abort(std::int64_t* guard) noexcept {
  machine::released(guard);
  machine::original(machine::guard_abort, "__cxa_guard_abort")(guard);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

}  // extern "C"
#pragma GCC visibility pop
