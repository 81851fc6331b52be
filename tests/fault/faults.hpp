// SPDX-License-Identifier: BSL-1.0
// Failures on demand: the k-th allocation, mapping, protection change, thread start or affinity
// call of the process fails. faults.cpp replaces operator new and, by the linker's --wrap, the
// system calls that the runtime's own objects make.
#pragma once

#include <cerrno>
#include <cstddef>
#include <vector>

#include "support/catch.hpp"

namespace paceline_test::fault {

/// What can be made to fail.
enum class Call {
  allocation,    // operator new and, in our objects, malloc
  map,           // mmap
  protect,       // mprotect
  thread,        // pthread_create
  set_affinity,  // sched_setaffinity
  get_affinity,  // sched_getaffinity
};

/// From now on the k-th call of that kind (1 is the next one) fails with `error`, once or for good.
/// Process-wide, whichever thread makes it.
void arm(Call call, unsigned k, int error = ENOMEM, bool for_good = false);
/// From now on each call of that kind fails with probability 1 / `one_in`: always the same calls
/// for the same seed, as far as threads make them in the same order.
void arm_at_random(Call call, unsigned one_in, unsigned long seed, int error = ENOMEM);
/// Ends all failures. True if one was delivered since it was armed.
bool disarm();
/// How many calls of that kind were made since arm(), also after disarm().
unsigned calls(Call call);

/// Blocks that operator new, and malloc in our objects, have given out and not got back.
long live_allocations();

/// What sched_getaffinity answers from now on: exactly these CPUs. Empty: the truth again.
void pretend_cpus(std::vector<int> cpus);

/// Disarms when it goes out of scope, also when an assertion fails.
class Armed {
 public:
  Armed(Call call, unsigned k, int error = ENOMEM, bool for_good = false) {
    arm(call, k, error, for_good);
  }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  ~Armed() { disarm(); }
};

/// Runs `scenario(k)` with the k-th call failing, for k = 1, 2, ... until one run passes without a
/// failure. The scenario arms by itself (with `k`), returns whether the failure was delivered, and
/// checks what must hold after it. Returns how many calls could fail.
template <class Scenario>
unsigned for_every_failure(Scenario&& scenario) {
  constexpr unsigned kFarTooMany = 5'000;
  for (unsigned k = 1; k < kFarTooMany; ++k) {
    INFO("the call that fails is number " << k);
    if (!scenario(k)) return k - 1;
  }
  FAIL("a scenario never passes without a failure");
  return 0;
}

}  // namespace paceline_test::fault
